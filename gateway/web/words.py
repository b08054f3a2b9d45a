"""What pages say about time: spans with their interval, dates, how long ago."""

from datetime import datetime, timedelta

from gateway.notify.words import between, days_between, span


def left(now: datetime, q10: datetime, q50: datetime, q90: datetime) -> tuple[str, str]:
    """Say how long a part lasts: a phrase and its interval, such as ("about 6 weeks left", "4 to 9").

    The interval is empty when both its ends round to the same; past the middle estimate the phrase says so.
    """
    low, mid, high = (days_between(at, now) for at in (q10, q50, q90))
    if mid < 0:
        over = -mid
        return ("due today" if over < 1 else f"past its end by about {span(over, 'en')}"), ""
    if mid < 1:
        return "due within a day", ""
    said = between(max(low, 0), high, mid, "en")
    return f"about {span(mid, 'en')} left", said if " to " in said else ""


def ago(now: datetime, at: datetime) -> str:
    """Say how long ago something was: "just now", "5 minutes ago", "3 weeks ago"."""
    past = now - at
    if past < timedelta(minutes=2):
        return "just now"
    if past < timedelta(hours=2):
        return f"{count(int(past.total_seconds() // 60), 'minute')} ago"
    if past < timedelta(days=2):
        return f"{count(int(past.total_seconds() // 3600), 'hour')} ago"
    return f"{span(past / timedelta(days=1), 'en')} ago"


def count(n: int, noun: str) -> str:
    """Say a number of things: "1 minute", "3 minutes"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def date(at: datetime) -> str:
    """Write a date: "3 Mar 2027"."""
    return f"{at.day} {at:%b %Y}"


def moment(at: datetime) -> str:
    """Write a time of a day, in UTC: "3 Mar 2027, 14:05"."""
    return f"{date(at)}, {at:%H:%M}"
