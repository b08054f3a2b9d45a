"""How old readings are when they come in: what makes a backlog, and a clock that is wrong, seen as such."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.arrays import NO_TIME
from gateway.ingest.clocks import SECOND, Flag
from gateway.ingest.readings import Readings, starts

WRONG = ord("w")  # the unit named a time that cannot be; what else may stand is in `Readings`


class Newest(NamedTuple):
    """The newest reading of each of some units, a column each: when it happened, how we know, what their clock said."""

    unit_id: NDArray[np.int64]
    ts: NDArray[np.int64]  # microseconds since 2000
    clock: NDArray[np.int32]  # a character: s, r, n, or WRONG
    off_s: NDArray[np.float64]  # by how much the clock was ahead of the arrival, in seconds; NaN where there is none


NOBODY = Newest(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))


def newest(ordered: Readings) -> Newest:
    """Return the newest reading of each unit among readings in order."""
    if not ordered.size:
        return NOBODY
    begin = starts(ordered["unit_id"])
    ts = ordered["ts"]
    lengths = np.diff(np.append(begin, len(ordered)))
    places = np.flatnonzero(ts == np.repeat(np.maximum.reduceat(ts, begin), lengths))
    rows = np.take(ordered, places[np.searchsorted(places, begin)])
    told = rows["raw"] != NO_TIME
    off = (np.where(told, rows["raw"], rows["received"]) - rows["received"]) / SECOND
    wrong = (rows["flags"] & Flag.FUTURE != 0) | (told & (rows["clock"] == b"n"))
    clock = np.where(wrong, WRONG, np.ascontiguousarray(rows["clock"]).view("u1")).astype(np.int32)
    return Newest(rows["unit_id"], rows["ts"], clock, np.where(told, off, np.nan))


def ages(readings: Readings) -> NDArray[np.float64]:
    """Return how old, in seconds, the readings were whose units could tell: never below zero."""
    told = readings["clock"] != b"n"
    found: NDArray[np.float64] = np.maximum(readings["received"][told] - readings["ts"][told], 0) / SECOND
    return found
