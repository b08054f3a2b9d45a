"""The only place that asks what time it is.

There are two times. `now` is the world's: units wear, parcels travel and prompts fall due in it; the demo
lets it run faster. `wall` is the wall clock's: sessions, links, quotes and signatures expire in it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

PACE = "must be origin,since,speed: two times in ISO 8601 with their zone, and a positive number"


class Pace(NamedTuple):
    """How the world's time runs: from `origin` at wall time `since`, `speed` times as fast."""

    origin: datetime
    since: datetime
    speed: float


_pace: list[Pace] = []


def wall() -> datetime:
    """Return the wall clock's time, in UTC."""
    return datetime.now(UTC)


def now() -> datetime:
    """Return the world's time, in UTC: the wall clock's, unless `accelerate` was called."""
    return at(wall())


def at(moment: datetime) -> datetime:
    """Return the world's time at a moment of the wall clock's."""
    if not _pace:
        return moment
    pace = _pace[0]
    return pace.origin + (moment - pace.since) * pace.speed


def accelerate(pace: Pace | None) -> None:
    """Let the world's time run at a pace of its own (the demo, the tests); None puts it right again."""
    _pace[:] = [pace] if pace else []


@contextmanager
def standing(at: datetime) -> Iterator[None]:
    """Let the world's time stand at a moment, for a history that is lived through; afterwards it runs as before."""
    before = _pace[0] if _pace else None
    accelerate(Pace(at, wall(), 0.0))
    try:
        yield
    finally:
        accelerate(before)


def pace_from(text: str) -> Pace:
    """Read a pace written as `origin,since,speed`, times in ISO 8601.

    Raises ValueError when it is not three fields, a time has no zone, or the speed is not positive.
    """
    try:
        origin, since, speed = text.split(",")
        pace = Pace(datetime.fromisoformat(origin), datetime.fromisoformat(since), float(speed))
    except ValueError:
        raise ValueError(PACE) from None
    if pace.origin.tzinfo is None or pace.since.tzinfo is None or not 0 < pace.speed < math.inf:
        raise ValueError(PACE)
    return pace


def wall_delay(span: timedelta) -> float:
    """Return how many wall-clock seconds pass while the world's time advances by `span`; endless while it stands."""
    speed = _pace[0].speed if _pace else 1.0
    return span.total_seconds() / speed if speed else math.inf
