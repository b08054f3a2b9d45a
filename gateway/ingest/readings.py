"""Readings as records: one row of numbers each, so that thousands are checked, packed and rolled up at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Readings = NDArray[Any]  # of READING

# Times are microseconds since 2000; `raw` is the unit's own, or NO_TIME. `key` numbers unit, slot and channel within
# one batch; `counter` says whether the channel only goes up.
READING = np.dtype(
    [
        ("tenant_id", "i4"), ("unit_id", "i8"), ("slot_id", "i4"), ("channel_id", "i4"), ("ts", "i8"), ("value", "f8"),
        ("session", "i8"), ("seq", "i8"), ("raw", "i8"), ("received", "i8"), ("clock", "S1"), ("flags", "i2"),
        ("key", "i8"), ("counter", "?"),
    ]
)  # fmt: skip

NONE: Readings = np.empty(0, READING)


def in_order(readings: Readings) -> Readings:
    """Return readings by key, and within a key by time, session and sequence number."""
    found = np.take(readings, np.argsort(readings["key"], kind="stable"))
    key, ts = found["key"], found["ts"]
    if np.any((key[1:] == key[:-1]) & (ts[1:] <= ts[:-1])):  # some came out of order, or at the same time
        found = np.take(readings, np.lexsort([readings[name] for name in ("seq", "session", "ts", "key")]))
    return found


def chosen(readings: Readings, some: NDArray[np.bool_]) -> Readings:
    """Return the readings for which `some` is true: as they are where all are meant. Indexing records is slow."""
    return readings if some.all() else np.compress(some, readings)


def starts(*columns: NDArray[Any]) -> NDArray[np.intp]:
    """Return where a new run of equal values begins, 0 included; there must be a row."""
    changes = np.zeros(len(columns[0]), bool)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)
