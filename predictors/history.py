"""Finished and running cycles: what a model learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predictors.batch import LEAST, UTMOST, Array
from predictors.indicator import READS


@dataclass(frozen=True, slots=True)
class History:
    """Hold m cycles as columns.

    exposure: (m,) exposure in reference hours (running hours without a load channel) at the end, or now for a running
    cycle; NaN for a unit without telemetry.
    censored: (m,) True where the part had not reached its end of life: still running, or replaced early.
    groups: (m,) labels of what the model must carry over to: unit, dust, region; None = every cycle its own.
    hits: (m, L) exposure at which the declared levels were first crossed, NaN not crossed or not seen.
    looks: (m, G, 5) what the indicator read on the way (predictors.indicator.looks), padded with NaN; None = not looked
    at.
    days: (m,) age in days at the end, or now.
    covariates: (m, C) mean of each declared covariate, a logarithm, over the cycle; NaN unknown, None = none declared.

    Raises ValueError where shapes differ.
    """

    exposure: Array
    censored: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None
    hits: Array | None = None
    days: Array | None = None
    looks: Array | None = None
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
        looks: Sequence[Array] | Array | None = None,
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
            looks=None if looks is None else padded(looks),
            covariates=None if covariates is None else _signed(covariates),
        )

    def __post_init__(self) -> None:
        m = self.exposure.shape
        for name, column in (("censored", self.censored), ("groups", self.groups), ("days", self.days)):
            if column is not None and column.shape != m:
                raise ValueError(f"{name} has shape {column.shape}, exposure has {m}")
        for name, table in (("hits", self.hits), ("covariates", self.covariates)):
            if table is not None and (table.ndim != 2 or table.shape[:1] != m):
                raise ValueError(f"{name} has shape {table.shape}, exposure has {m}")
        if self.looks is not None and (self.looks.shape[:1] != m or self.looks.shape[2:] != (1 + READS,)):
            raise ValueError(f"looks has shape {self.looks.shape}, exposure has {m}, a look {1 + READS} numbers")

    def take(self, rows: NDArray[np.bool_]) -> "History":
        """Return the cycles where `rows` is True."""
        return History(
            self.exposure[rows],
            self.censored[rows],
            None if self.groups is None else self.groups[rows],
            None if self.hits is None else self.hits[rows],
            None if self.days is None else self.days[rows],
            None if self.looks is None else self.looks[rows],
            None if self.covariates is None else self.covariates[rows],
        )

    def __len__(self) -> int:
        return int(self.exposure.size)


def padded(tables: Sequence[Array] | Array) -> Array:
    """Return tables of looks, (k, 5) each, as one, (m, G, 5), NaN where a part has fewer; what cannot be is NaN too."""
    whole = np.full((len(tables), max((len(table) for table in tables), default=0), 1 + READS), np.nan)
    for place, table in zip(whole, tables, strict=True):
        if len(table):
            place[: len(table)] = table
    with np.errstate(invalid="ignore"):
        sound = (np.abs(whole) <= UTMOST).all(axis=2) & (whole[:, :, 0] >= 0)
    whole[~sound] = np.nan
    return whole


def _positive(values: ArrayLike) -> Array:
    column = np.array(values, dtype=np.float64)
    column[~((column >= LEAST) & (column <= UTMOST))] = np.nan
    return column


def _signed(values: ArrayLike) -> Array:
    column = np.array(values, dtype=np.float64)
    column[~(np.abs(column) <= UTMOST)] = np.nan
    return column
