"""From forecasts beside the truth to errors, coverage, calibration, accuracy of prognosis and what it leads to."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from gateway.bench import prognosis
from gateway.bench.pit import BINS, rank, tenths
from gateway.bench.record import Array
from tests.benchmarks.wear import asking
from tests.benchmarks.wear.asking import Outcome
from tests.benchmarks.wear.trial import ASKED, FRACTIONS, Forecast

HORIZONS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, float("inf")))
"""Time that was left, as a share of the median life."""

PROGNOSIS = ("horizon_share", "steady_horizon_share", "never", "relative_accuracy")


class Score(TypedDict, total=False):
    """Hold what is said of some forecasts, in the set's unit of time.

    mae, median, bias: absolute error of the median date in the mean and in the middle, and error with its sign.
    rmse_unit: mean over units of the root mean squared error over all moments. cov80, width80, cov90, width90: of the
    middle 80 and 90 %. crps: twice the mean pinball loss. alpha_lambda: share near in relation to what was left.
    pit: histogram of where ends lie in their forecasts. prognosis: see gateway.bench.prognosis. asking: see asking.py.
    """

    mae: float
    median: float
    bias: float
    rmse_unit: float
    cov80: float
    width80: float
    cov90: float
    width90: float
    crps: float
    alpha_lambda: float
    units: int
    pit: list[float]
    prognosis: dict[str, float]
    asking: Outcome
    by_fraction: dict[str, "Score"]
    by_horizon: dict[str, "Score"]


def score(forecasts: Sequence[Forecast]) -> Score:
    """Return the score: each at FRACTIONS, their mean, and over all moments what needs a whole life."""
    by_fraction = {
        f"{fraction:g}": _at([one for one in forecasts if one.fraction == fraction]) for fraction in FRACTIONS
    }
    told = [part for part in by_fraction.values() if part]
    if not told:
        return {}
    units: dict[str, list[float]] = {}
    for one in forecasts:
        units.setdefault(one.unit, []).append(one.error)
    means: Score = {name: float(np.mean([part[name] for part in told])) for name in told[0] if name != "pit"}
    eol, truth, left = _columns(forecasts)
    foreseen = prognosis.prognosis(
        eol, truth, left, truth,
        cycle=np.unique([one.unit for one in forecasts], return_inverse=True)[1], weight=np.ones(truth.size),
    )  # fmt: skip
    usual = float(np.median([one.truth for one in {one.unit: one for one in forecasts}.values()]))
    return {
        **means,
        "rmse_unit": float(np.mean([np.sqrt(np.mean(np.square(errors))) for errors in units.values()])),
        "units": len(units),
        "pit": _pit(eol, truth),
        "prognosis": {name: float(getattr(foreseen, name)) for name in PROGNOSIS},
        "asking": asking.outcome(forecasts, asking.DELIVERY * usual),
        "by_fraction": by_fraction,
        "by_horizon": {
            f"{low:g}-{high:g}" if np.isfinite(high) else f"{low:g}+": _at(
                [one for one in forecasts if low * usual <= one.truth - one.now < high * usual]
            )
            for low, high in HORIZONS
        },
    }


def _at(forecasts: Sequence[Forecast]) -> Score:
    if not forecasts:
        return {}
    eol, truth, left = _columns(forecasts)
    at = {quantile: eol[:, i] for i, quantile in enumerate(ASKED)}
    error = at[0.5] - truth
    over, q = truth[:, None] - eol, np.array(ASKED)
    return {
        "mae": float(np.mean(np.abs(error))),
        "median": float(np.median(np.abs(error))),
        "bias": float(np.mean(error)),
        "cov80": float(np.mean((at[0.1] <= truth) & (truth <= at[0.9]))),
        "width80": float(np.mean(at[0.9] - at[0.1])),
        "cov90": float(np.mean((at[0.05] <= truth) & (truth <= at[0.95]))),
        "width90": float(np.mean(at[0.95] - at[0.05])),
        "crps": float(2.0 * np.mean(np.maximum(q * over, (q - 1.0) * over))),
        "alpha_lambda": float(np.mean(prognosis.in_cone(eol, truth, left))),
        "pit": _pit(eol, truth),
    }


def _pit(eol: Array, truth: Array) -> list[float]:
    """Return the share of ends in each tenth of their forecasts."""
    return [float(share) for share in np.bincount(tenths(rank(eol, truth)), minlength=BINS) / truth.size]


def _columns(forecasts: Sequence[Forecast]) -> tuple[Array, Array, Array]:
    """Return the quantiles (k, q), the ends that came (k,) and what was left (k,)."""
    truth = np.array([one.truth for one in forecasts])
    return np.array([one.quantiles for one in forecasts]), truth, truth - np.array([one.now for one in forecasts])
