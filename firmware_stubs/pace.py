"""The stubs' own clock: the world's time, which may run faster than the wall's."""

from datetime import UTC, datetime
from typing import NamedTuple


class Pace(NamedTuple):
    """The world's time: from `origin` at wall time `since`, `speed` times as fast."""

    origin: datetime
    since: datetime
    speed: float = 1.0

    def now(self) -> float:
        """Return the world's time in Unix seconds."""
        return self.origin.timestamp() + (datetime.now(UTC) - self.since).total_seconds() * self.speed


def from_now(speed: float) -> Pace:
    """Return a world that starts at this moment and runs `speed` times as fast as the wall clock."""
    now = datetime.now(UTC)
    return Pace(now, now, speed)


def read(text: str) -> Pace:
    """Read `origin,since,speed`, times in ISO 8601 with a zone; raises ValueError."""
    origin, since, speed = text.split(",")
    pace = Pace(datetime.fromisoformat(origin), datetime.fromisoformat(since), float(speed))
    if pace.origin.tzinfo is None or pace.since.tzinfo is None or not pace.speed > 0:
        raise ValueError("a pace needs times with a zone and a positive speed")
    return pace
