"""When a reading happened: the unit's time where it can be believed, its uptime or our own where not.

Times are whole microseconds since 2000-01-01 UTC, as PostgreSQL keeps them; a corrected time is rounded to
milliseconds, so that a batch cut another way finds the same.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import Clock

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_UNIX = 946_684_800  # seconds
MICROSECOND = timedelta(microseconds=1)
SECOND, MILLISECOND = 1_000_000, 1_000

EARLIEST = int((datetime(2015, 1, 1, tzinfo=UTC) - EPOCH) / MICROSECOND)  # before that, no unit of ours was built
AHEAD = 600 * SECOND  # a clock may be this much fast
LATE = 90 * 86_400 * SECOND  # a cellar, a holiday: up to here it is everyday life
RAW_LOW, RAW_HIGH = -62_135_596_800.0, 253_402_300_799.0  # Unix seconds of the years 1 to 9999


CLOCKS: tuple[Clock, ...] = ("synced", "relative", "none")
PLACE = {clock: place for place, clock in enumerate(CLOCKS)}  # its number in a column


class Flag:
    """What a reading's `flags` say; bits may stand together."""

    BACK = 1  # a counter below its own past: kept, and lifts no wear
    LATE = 2
    FUTURE = 4  # the unit's clock ran ahead; placed by the time of receipt
    NO_VALUE = 8  # the unit said that it had none; why stands in the next three bits
    WHY = 4  # by how many bits the reason is shifted


class Placed(NamedTuple):
    """When a sample happened, and how we know: `clock` is s, r or n; `raw` is the unit's own word."""

    ts: int
    clock: bytes
    flags: int
    raw: int | None


@lru_cache(1_024)  # messages that came together have the same
def micros(at: datetime) -> int:
    """Return a time as microseconds since 2000."""
    return (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=1_024)  # what comes together came at one moment
def moment(at: int) -> datetime:
    """Return microseconds since 2000 as a time."""
    return EPOCH + timedelta(microseconds=at)


def anchor(t: float, last: float, received: int) -> int | None:
    """Return when an uptime clock read zero, judged by its first message; None when that cannot be.

    `t + last` is the uptime, in seconds, of the newest sample in a message received at `received`.
    """
    at = received - _rounded(t + last)
    return at if at >= EARLIEST else None


def place(clock: Clock, t: float, offset: float, *, last: float, received: int, zero: int | None) -> Placed:
    """Return when the sample `offset` seconds after `t` happened.

    `last` is the offset of the newest sample of its message and `zero` the session's anchor: where the unit's
    clock says nothing, that sample happened when it was received and the others as much earlier as they say.
    """
    if clock == "synced":
        at = t + offset
        if not RAW_LOW < at < RAW_HIGH:
            return Placed(_by_receipt(offset, last, received), b"n", Flag.FUTURE if at > 0 else 0, None)
        ts = _rounded(at) - EPOCH_UNIX * SECOND
        if EARLIEST <= ts <= received + AHEAD:
            return Placed(ts, b"s", Flag.LATE if received - ts > LATE else 0, ts)
        return Placed(_by_receipt(offset, last, received), b"n", Flag.FUTURE if ts > received else 0, ts)
    if clock == "relative" and zero is not None:
        ts = zero + _rounded(t + offset)
        if EARLIEST <= ts <= received + AHEAD:
            return Placed(ts, b"r", Flag.LATE if received - ts > LATE else 0, None)
        return Placed(_by_receipt(offset, last, received), b"n", Flag.FUTURE if ts > received else 0, None)
    return Placed(_by_receipt(offset, last, received), b"n", 0, None)


class Times(NamedTuple):
    """What `place` returns, for many samples: a column each; `raw` is NO_TIME where the unit said nothing."""

    ts: NDArray[np.int64]
    clock: NDArray[np.bytes_]
    flags: NDArray[np.int64]
    raw: NDArray[np.int64]


def place_all(  # noqa: PLR0917  # a column for each argument of `place`
    clock: NDArray[np.int64],
    t: NDArray[np.float64],
    offset: NDArray[np.float64],
    last: NDArray[np.float64],
    received: NDArray[np.int64],
    zero: NDArray[np.int64],
) -> Times:
    """Do as `place` does, for many samples; `clock` holds their PLACE, `zero` NO_TIME where none is known."""
    synced = clock == PLACE["synced"]
    relative = (clock == PLACE["relative"]) & (zero != NO_TIME)
    with np.errstate(over="ignore"):  # what no calendar holds becomes infinite, and is clipped
        at = t + offset
        before = np.clip(last - offset, 0.0, LATE / SECOND)
    said = _all_rounded(at) + np.where(relative, zero, -EPOCH_UNIX * SECOND)
    told = (synced & (at > RAW_LOW) & (at < RAW_HIGH)) | relative
    good = told & (said >= EARLIEST) & (said <= received + AHEAD)
    late = good & (received - said > LATE)
    ahead = ~good & ((told & (said > received)) | (synced & ~told & (at > 0)))
    return Times(
        np.where(good, said, received - _all_rounded(before)),
        np.where(good, np.where(synced, b"s", b"r"), b"n"),
        late * Flag.LATE + ahead * Flag.FUTURE,
        np.where(synced & told, said, NO_TIME),
    )


def _all_rounded(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Do as `_rounded` does, for many."""
    return np.rint(np.clip(seconds, RAW_LOW, RAW_HIGH) * 1_000).astype(np.int64) * MILLISECOND


def _by_receipt(offset: float, last: float, received: int) -> int:
    before = min(max(last - offset, 0.0), LATE / SECOND)
    return received - _rounded(before)


def _rounded(seconds: float) -> int:
    """Return seconds as microseconds, rounded to milliseconds; what no calendar holds becomes its end."""
    return round(min(max(seconds, RAW_LOW), RAW_HIGH) * 1_000) * MILLISECOND
