"""What owners of recorded parts would have been told, and what it would have led to.

A recording has no price and no parcel: a part takes DELIVERY of the set's median life, and a unit of time run past the
end costs LATE of those thrown away, as a slot is declared by default.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TypedDict

import numpy as np

from predictors.decision import order_quantile
from tests.benchmarks.wear.trial import ASKED, Forecast

DELIVERY = 0.05
LATE = 4.0


class Outcome(TypedDict):
    """Hold means over units in the set's unit of time: thrown away, run past the end, and what both cost.

    late_rate: share asked only by the end itself. stock_out_rate: share without a part at the end.
    """

    early: float
    late: float
    late_rate: float
    stock_out_rate: float
    cost: float


def outcome(forecasts: Sequence[Forecast], takes: float) -> Outcome:
    """Return what asking by these forecasts leads to, when a part takes so long to arrive."""
    ordered = sorted(forecasts, key=lambda one: (one.unit, one.now))
    units = [list(of) for _, of in groupby(ordered, key=lambda one: one.unit)]
    end = np.array([of[0].truth for of in units])
    asked = np.array([asked_at(of, takes) for of in units])
    early, late = np.maximum(end - asked - takes, 0.0), np.maximum(asked + takes - end, 0.0)
    return {
        "early": float(np.mean(early)),
        "late": float(np.mean(late)),
        "late_rate": float(np.mean(asked >= end)),
        "stock_out_rate": float(np.mean(late > 0.0)),
        "cost": float(np.mean(early + LATE * late)),
    }


def asked_at(of: Sequence[Forecast], takes: float) -> float:
    """Return when the owner of one part is asked: on the order date as it stands, by the end itself at the latest."""
    end = of[0].truth
    for one, following in pairwise([*of, None]):
        if one is None:
            break
        due = max(one.now, float(np.interp(order_quantile(1.0, LATE), ASKED, one.quantiles)) - takes)
        if due < (end if following is None else min(following.now, end)):
            return due
    return end
