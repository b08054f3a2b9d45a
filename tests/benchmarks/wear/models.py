"""The models of the benchmark: ours, and what one would take instead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictors import baselines, estimators
from predictors.declaration import Declaration

DEFAULT = "fused"
READS_ALL = 2


@dataclass(frozen=True, slots=True)
class Model:
    """Hold how to build an estimator from a declaration, and how to ask it.

    by_hours: it counts time, not exposure. reads: 0 the exposure alone, 1 the levels crossed too, READS_ALL also what
    the indicator reads now, and on the way. knows_strangers: it is told which units are of a group it never saw.
    on_clock: its exposure runs on the clock with fitted covariates (predictors.clock).
    """

    build: Callable[[Declaration], Any]
    by_hours: bool = False
    reads: int = 1
    knows_strangers: bool = False
    on_clock: bool = False


def _shares(declaration: Declaration) -> tuple[float, ...]:
    return tuple(float(share) for share in np.cumsum(declaration.way))


MODELS: dict[str, Model] = {
    "timer": Model(lambda _: baselines.TimerRegressor(), by_hours=True, reads=0),
    "linear": Model(lambda declared: baselines.LinearExtrapolation(_shares(declared))),
    "exponential": Model(lambda declared: baselines.ExponentialExtrapolation(_shares(declared))),
    "forest": Model(lambda _: baselines.RandomForestBaseline()),
    "boosting": Model(lambda _: baselines.GradientBoostingBaseline()),
    "weibull": Model(lambda _: estimators.WeibullRegressor(), reads=0, on_clock=True),
    "hit": Model(lambda _: estimators.HitRegressor(), on_clock=True),
    "fused": Model(
        lambda declared: estimators.FusedRegressor(levels=_shares(declared)),
        reads=READS_ALL,
        knows_strangers=True,
        on_clock=True,
    ),
}
