"""The fleet's gate: a million slots updated and forecast on one core, as `tests.benchmarks.wear_speed` measures it."""

import os

from tests.benchmarks import wear_speed
from tests.benchmarks.wear.gates import Verdict

SLOTS = 1_000_000


def fleet(model: str, slots: int = SLOTS) -> Verdict:
    """Return the seconds of one core's own time that a model needs for `slots` slots, three quantiles each."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        (speed,) = wear_speed.measure(slots, models=(model,))
    finally:
        os.sched_setaffinity(0, cores)
    return {
        "aim": "a million slots updated and forecast in <= 2 s on one core",
        "limits": {"s": (None, wear_speed.AIM_S)},
        "seen": {"s": speed.update_s},
        "met": speed.meets_aim,
    }
