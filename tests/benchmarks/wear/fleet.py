"""The fleet's gate: a million slots forecast on one core."""

import os
import time

from predictors import registry
from tests.benchmarks import wear_speed
from tests.benchmarks.wear.gates import Verdict

SLOTS = 1_000_000
AIM_S = 2.0


def fleet(model: str, slots: int = SLOTS) -> Verdict:
    """Return the seconds of one core's own time that a model needs for `slots` slots, three quantiles each."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        batch, history = wear_speed.fleet(slots)
        fitted = registry.named(model)(wear_speed.DECLARED).fit(history)
        start = time.process_time()
        fitted.forecast(wear_speed.updated(batch))
        taken = time.process_time() - start
    finally:
        os.sched_setaffinity(0, cores)
    return {
        "aim": "a million slots updated and forecast in <= 2 s on one core",
        "limits": {"s": (None, AIM_S)},
        "seen": {"s": taken},
        "met": taken <= AIM_S,
    }
