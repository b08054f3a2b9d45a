"""What a cell of a history's files may hold: a time with its zone, a number."""

from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

from gateway.ingest import clocks

EARLIEST = clocks.moment(clocks.EARLIEST)


@lru_cache(65_536)  # a fleet that is read every hour has one time in many lines
def moment(text: str) -> int:
    """Return a time as milliseconds since 1970; raises ValueError that says what would be right."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write one like 2025-03-31T14:30:00Z") from None
    if at.tzinfo is None:
        raise ValueError(
            "the time has no zone; write 2025-03-31T14:30:00Z if it is UTC, else 2025-03-31T14:30:00+02:00"
        )
    if at < EARLIEST:
        raise ValueError(
            f"{text!r} lies before {EARLIEST:%Y}, which is taken for a clock that nobody had set; take the line out, or"
            " shift the whole history by some years"
        )
    return ms(at)


def number(text: str) -> float:
    """Return a number; raises ValueError that says what would be right."""
    try:
        value = float(text)
    except ValueError:
        remedy = ": write decimals with a dot" if "," in text else "; leave the cell empty where nothing was measured"
        raise ValueError(f"{text[:40]!r} is no number{remedy}") from None
    if "_" in text or not isfinite(value):
        raise ValueError(f"{text[:40]!r} is no number; leave the cell empty where nothing was measured")
    return value


def at(ms: int) -> datetime:
    """Return milliseconds since 1970 as a time."""
    return datetime.fromtimestamp(ms / 1_000, UTC)


def ms(moment: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return round(moment.timestamp() * 1_000)
