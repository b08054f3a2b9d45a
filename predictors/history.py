"""Finished and running cycles: what a model learns from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictors.batch import LEAST, UTMOST, Array


@dataclass(frozen=True, slots=True)
class History:
    """Hold m cycles as columns.

    exposure: (m,) exposure in reference hours (running hours without a load channel) at the end, or now for a running
    cycle; NaN for a unit without telemetry.
    censored: (m,) True where the part had not reached its end of life: still running, or replaced early.
    groups: (m,) labels of what the model must carry over to: unit, dust, region; None = every cycle its own.
    hits: (m, L) exposure at which the declared levels were first crossed, NaN not crossed or not seen.
    calm: (m, C) the same of calmer signals (predictors.indicator.calm_crossings), None = not looked at.
    days: (m,) age in days at the end, or now.
    covariates: (m, C) mean of each declared covariate, a logarithm, over the cycle; NaN unknown, None = none declared.

    Raises ValueError where shapes differ.
    """

    exposure: Array
    censored: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None
    hits: Array | None = None
    days: Array | None = None
    calm: Array | None = None
    covariates: Array | None = None

    @classmethod
    def of(
        cls,
        exposure: ArrayLike,
        censored: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        hits: ArrayLike | None = None,
        days: ArrayLike | None = None,
        calm: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> "History":
        """Build a history from anything array-like; group labels of any type become numbers in sorted order."""
        numbered = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        return cls(
            exposure=_positive(exposure),
            censored=np.asarray(censored, dtype=bool),
            groups=numbered,
            hits=None if hits is None else _positive(hits),
            days=None if days is None else _positive(days),
            calm=None if calm is None else _positive(calm),
            covariates=None if covariates is None else _signed(covariates),
        )

    def __post_init__(self) -> None:
        m = self.exposure.shape
        for name, column in (("censored", self.censored), ("groups", self.groups), ("days", self.days)):
            if column is not None and column.shape != m:
                raise ValueError(f"{name} has shape {column.shape}, exposure has {m}")
        for name, table in (("hits", self.hits), ("calm", self.calm), ("covariates", self.covariates)):
            if table is not None and (table.ndim != 2 or table.shape[:1] != m):
                raise ValueError(f"{name} has shape {table.shape}, exposure has {m}")

    def take(self, rows: NDArray[np.bool_]) -> "History":
        """Return the cycles where `rows` is True."""
        return History(
            self.exposure[rows],
            self.censored[rows],
            None if self.groups is None else self.groups[rows],
            None if self.hits is None else self.hits[rows],
            None if self.days is None else self.days[rows],
            None if self.calm is None else self.calm[rows],
            None if self.covariates is None else self.covariates[rows],
        )

    def __len__(self) -> int:
        return int(self.exposure.size)


def _positive(values: ArrayLike) -> Array:
    column = np.array(values, dtype=np.float64)
    column[~((column >= LEAST) & (column <= UTMOST))] = np.nan
    return column


def _signed(values: ArrayLike) -> Array:
    column = np.array(values, dtype=np.float64)
    column[~(np.abs(column) <= UTMOST)] = np.nan
    return column
