"""What can be believed: a value within what its channel can measure, a counter that only goes up."""

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.clocks import Flag
from gateway.ingest.content import Value
from gateway.registry.channels import Channel

NAN = float("nan")
REASONS = ("null", "INV", "NONE", "FAIL", "OFF", "INIT", "sentinel")  # their places are stored: append only
NUMERIC_SENTINELS = (-1.0, 65_535.0)
_NO_VALUE = {reason: Flag.NO_VALUE | place << Flag.WHY for place, reason in enumerate(REASONS)}
SENTINEL = _NO_VALUE["sentinel"]


def judge(value: Value, channel: Channel) -> tuple[float, int] | None:
    """Return the number and flags to store, NaN for "no value" with its reason, or None for what cannot be believed."""
    if value is None:
        return NAN, _NO_VALUE["null"]
    if isinstance(value, str):
        flags = _NO_VALUE.get(value)
        return None if flags is None else (NAN, flags)
    if isinstance(value, bool):
        return (float(value), 0) if channel.kind == "state" else None
    if channel.low <= value <= channel.high:
        return value, 0
    return (NAN, SENTINEL) if value in NUMERIC_SENTINELS else None


def judge_all(
    values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Judge numbers as `judge` does: which can be believed, and which stand for no value."""
    within = (low <= values) & (values <= high)
    return within, ~within & np.isin(values, NUMERIC_SENTINELS)


def why_no_value(flags: int) -> str | None:
    """Return the reason kept in a reading's flags for why it has no value."""
    return REASONS[flags >> Flag.WHY & 7] if flags & Flag.NO_VALUE else None


def went_back(value: float, ts: int, high: float, high_ts: int) -> bool:
    """Say whether a counter contradicts the highest reading known: lower though later, or higher though earlier."""
    return (ts > high_ts and value < high) or (ts < high_ts and value > high)
