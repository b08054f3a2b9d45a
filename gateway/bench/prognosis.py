"""Metrics of prognosis: how early, and how near in relation to what is left, forecasts become ones to act on.

Saxena et al. (2008), "Metrics for evaluating performance of prognostic techniques", PHM; Saxena, Celaya, Saha, Saha &
Goebel (2010), "Metrics for offline evaluation of prognostic performance", IJPHM 1(1). A forecast is near where a share
BETA of its probability lies within a band about the end that came: ± ALPHA of what was left (a cone that closes), or
± HORIZON_ALPHA of the whole life (a band of constant width).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.bench.pit import rank

ALPHA = 0.2
BETA = 0.5
HORIZON_ALPHA = 0.1
UNTIL = 0.9  # of life: at the very end the relative error of any forecast that is not exact grows without bound

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Prognosis:
    """Hold the metrics of a group of cycles; means over cycles, each with its weight.

    cycles: how many. horizon_d: prognostic horizon, days from the first near forecast to the end, 0 where none was;
    horizon_share: the same as a share of life. steady_horizon_d, steady_horizon_share: from the first on since which
    all were near. never: share of cycles without a near forecast. relative_accuracy: cumulative relative accuracy, one
    is perfect, below zero is an error larger than what was left. alpha, beta, horizon_alpha, until: the bounds of it.
    """

    cycles: int
    horizon_d: float
    horizon_share: float
    steady_horizon_d: float
    steady_horizon_share: float
    never: float
    relative_accuracy: float
    alpha: float = ALPHA
    beta: float = BETA
    horizon_alpha: float = HORIZON_ALPHA
    until: float = UNTIL


def in_cone(eol_d: Array, end_d: Array, left_d: Array) -> Marks:
    """Tell which forecasts (k, q) at backtest.GRID are alpha-lambda accurate, (k,): near within the cone."""
    return _near(eol_d, end_d, ALPHA * left_d)


def in_band(eol_d: Array, end_d: Array, life_d: Array) -> Marks:
    """Tell which forecasts (k, q) have BETA of their probability within ± HORIZON_ALPHA of the whole life, (k,)."""
    return _near(eol_d, end_d, HORIZON_ALPHA * life_d)


def relative_accuracy(error_d: Array, left_d: Array) -> Array:
    """Return 1 - |error| / what was left, (k,); what was left is above zero."""
    return np.asarray(1.0 - np.abs(error_d) / left_d)


def horizons(cycle: Indices, left_d: Array, near: Marks) -> tuple[Indices, Array, Array]:
    """Return the c cycles of k forecasts, each one's prognostic horizon and its steady one, (c,), in days; 0 for none.

    left_d: (k,) days that were left. near: (k,) as in_band says.
    """
    cycles, place = np.unique(cycle, return_inverse=True)
    first, steady, last_far = np.zeros(cycles.size), np.zeros(cycles.size), np.full(cycles.size, np.inf)
    np.maximum.at(first, place[near], left_d[near])
    np.minimum.at(last_far, place[~near], left_d[~near])
    since = near & (left_d < last_far[place])
    np.maximum.at(steady, place[since], left_d[since])
    return cycles, first, steady


def prognosis(eol_d: Array, end_d: Array, left_d: Array, life_d: Array, *, cycle: Indices, weight: Array) -> Prognosis:
    """Return the metrics of k forecasts of the end-of-life day.

    eol_d: (k, q) at backtest.GRID. end_d, left_d, life_d: (k,) the end that came, days left and the whole life then, in
    days. cycle, weight: (k,) which part, and how many parts each stands for; NaN throughout where k is 0.
    """
    if not cycle.size:
        nothing = float("nan")
        return Prognosis(0, nothing, nothing, nothing, nothing, nothing, nothing)
    cycles, first, steady = horizons(cycle, left_d, in_band(eol_d, end_d, life_d))
    _, at, place = np.unique(cycle, return_index=True, return_inverse=True)
    share = np.bincount(place, weight) / np.bincount(place)
    share /= share.sum()
    life = life_d[at]
    median = eol_d[:, eol_d.shape[1] // 2]
    early = left_d >= (1.0 - UNTIL) * life_d
    count = np.bincount(place[early], minlength=cycles.size)
    total = np.bincount(place[early], relative_accuracy(median - end_d, left_d)[early], cycles.size)
    judged = count > 0
    accuracy = float(np.average(total[judged] / count[judged], weights=share[judged])) if judged.any() else float("nan")
    return Prognosis(
        cycles=int(cycles.size),
        horizon_d=float(share @ first),
        horizon_share=float(share @ (first / life)),
        steady_horizon_d=float(share @ steady),
        steady_horizon_share=float(share @ (steady / life)),
        never=float(share @ (first == 0.0)),
        relative_accuracy=accuracy,
    )


def _near(eol_d: Array, end_d: Array, reach_d: Array) -> Marks:
    # A rank is linear between quantiles: what lies on a bound to the last bit counts as within it.
    return np.asarray(rank(eol_d, end_d + reach_d) - rank(eol_d, end_d - reach_d) >= BETA - 1e-9)
