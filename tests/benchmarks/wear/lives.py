"""One recorded life per set, forecast by forecast: what a figure shows of how an interval narrows."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from tests.benchmarks.wear.trial import Forecast


class Life(TypedDict):
    """Hold the part of median life: its name, when it ended, and by model (now, q10, q50, q90) in order of time."""

    unit: str
    condition: str
    ends: float
    models: dict[str, list[tuple[float, float, float, float]]]


def middle(forecasts: Mapping[str, Sequence[Forecast]]) -> Life | None:
    """Return the life of the part that ended in the middle of all that were asked; None where nobody was.

    It is chosen by the length of its life alone, so that no model's luck decides which one is shown.
    """
    ends = {one.unit: one for of in forecasts.values() for one in of}
    if not ends:
        return None
    order = sorted(ends.values(), key=lambda one: (one.truth, one.unit))
    shown = order[len(order) // 2]
    return {
        "unit": shown.unit,
        "condition": shown.condition,
        "ends": shown.truth,
        "models": {
            model: [(one.now, one.q10, one.q50, one.q90) for one in of if one.unit == shown.unit]
            for model, of in forecasts.items()
        },
    }
