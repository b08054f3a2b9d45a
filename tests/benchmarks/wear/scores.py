"""From forecasts beside the truth to errors, coverage and width."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from tests.benchmarks.wear.trial import FRACTIONS, Forecast


class Score(TypedDict, total=False):
    """MAE, coverage and width of the 80 % interval in the set's unit of time; rmse_unit is the mean over units."""

    mae: float
    rmse_unit: float
    cov80: float
    width80: float
    units: int
    by_fraction: dict[str, "Score"]


def score(forecasts: Sequence[Forecast]) -> Score:
    """Return the score: each at FRACTIONS, their mean, and rmse_unit over all moments."""
    by_fraction = {
        f"{fraction:g}": _at([one for one in forecasts if one.fraction == fraction]) for fraction in FRACTIONS
    }
    told = [part for part in by_fraction.values() if part]
    if not told:
        return {}
    units: dict[str, list[float]] = {}
    for one in forecasts:
        units.setdefault(one.unit, []).append(one.error)
    return {
        "mae": float(np.mean([part["mae"] for part in told])),
        "rmse_unit": float(np.mean([np.sqrt(np.mean(np.square(errors))) for errors in units.values()])),
        "cov80": float(np.mean([part["cov80"] for part in told])),
        "width80": float(np.mean([part["width80"] for part in told])),
        "units": len(units),
        "by_fraction": by_fraction,
    }


def _at(forecasts: Sequence[Forecast]) -> Score:
    if not forecasts:
        return {}
    return {
        "mae": float(np.mean([abs(one.error) for one in forecasts])),
        "cov80": float(np.mean([one.covered for one in forecasts])),
        "width80": float(np.mean([one.q90 - one.q10 for one in forecasts])),
    }
