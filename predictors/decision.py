"""When to order, given what a day too early and a day too late cost."""

import math


def order_quantile(cost_early: float, cost_late: float) -> float:
    """Return the quantile of the end-of-life date at which the part should be there.

    The newsvendor's fractile: F(s) = c_early / (c_early + c_late) minimises the expected cost of a day of life wasted
    (c_early) and a day run past the end (c_late). Arrow, Harris & Marschak (1951). Raises ValueError unless both are
    above zero.
    """
    for name, cost in (("cost_early", cost_early), ("cost_late", cost_late)):
        if not (math.isfinite(cost) and cost > 0):
            raise ValueError(f"{name} must be a positive number, not {cost!r}")
    return cost_early / (cost_early + cost_late)
