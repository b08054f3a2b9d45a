"""What a model says about many slots."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Hold the forecasts of n slots at q quantiles.

    quantiles: (q,) in (0, 1), ascending.
    eol_d: (n, q) days from now to the end of life; at least 0, non-decreasing over the quantiles.
    pct_left: (n,) 0 to 100, the median share of the part's life that is left.
    measured: (n,) False where the date rests on the calendar only.
    drivers: (n,) arrays by name, see predictors.drivers; NaN where a driver does not apply.
    """

    quantiles: tuple[float, ...]
    eol_d: Array
    pct_left: Array
    measured: NDArray[np.bool_]
    drivers: Mapping[str, Array]

    @classmethod
    def joined(cls, parts: Sequence["Forecasts"]) -> "Forecasts":
        """Return the forecasts of some slots after one another; at least one part, all at the same quantiles."""
        drivers = {name: np.concatenate([part.drivers[name] for part in parts]) for name in parts[0].drivers}
        eol_d, pct_left, measured = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("eol_d", "pct_left", "measured")
        )
        return cls(parts[0].quantiles, eol_d, pct_left, measured, drivers)

    def __len__(self) -> int:
        return int(self.measured.size)


def ascending(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles as a tuple; raise ValueError unless they ascend strictly within (0, 1)."""
    given = tuple(float(quantile) for quantile in quantiles)
    way = (0.0, *given, 1.0)
    if not given or not all(low < high for low, high in itertools.pairwise(way)):
        raise ValueError(f"quantiles must ascend strictly between 0 and 1, not {given}")
    return given
