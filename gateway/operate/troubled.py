"""Units that want a look, worst first: what is wrong with each, and what an operator can do about it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

from gateway.operate.bands import BEHIND_AFTER, SILENT_AFTER
from gateway.operate.words import count, lasting

MANY_TWICE = 1_000  # readings that a unit sends again in a day before it is said; a few are what QoS 1 promises
ASKED_IN_VAIN = 3
By = Literal["all", "gaps", "lag", "quarantine", "duplicates", "silence"]
ORDER: dict[By, str] = {
    "all": """(missing > 0)::int + (clock is not distinct from 'w')::int + behind::int + (refused > 0)::int
        + (resent >= %(many)s)::int + silent::int desc, missing desc, refused desc, lag desc nulls last, resent desc""",
    "gaps": "missing desc",
    "lag": "lag desc nulls last",
    "quarantine": "refused desc",
    "duplicates": "redelivered + resent desc",
    "silence": "last_seen_at",
}

STANDING = """
with gaps as (
    select unit_id, count(*)::int as gaps, sum(upper(seqs) - lower(seqs))::bigint as missing,
        min(found_at) as gap_since, min(asks) as asks
    from gap where closed_at is null group by unit_id),
kept as (
    select device, sum(n)::int as refused, string_agg(n || ' ' || reason, ', ' order by n desc, reason) as reasons
    from (select device, reason, count(*) as n from quarantine
        where released_at is null and device is not null group by device, reason) of_reason group by device),
twice as (
    select unit_id, sum(redelivered)::int as redelivered, sum(resent)::int as resent from duplicate_hourly
    where hour > %(now)s - interval '1 day' group by unit_id),
standing as (
    select u.unit_id, u.device, u.last_seen_at, u.latest_at, u.last_seen_at - u.latest_at as lag, u.clock::text,
        u.clock_off_s, coalesce(gaps, 0) as gaps, coalesce(missing, 0) as missing, gap_since, coalesce(asks, 0) as asks,
        coalesce(refused, 0) as refused, coalesce(reasons, '') as reasons, coalesce(redelivered, 0) as redelivered,
        coalesce(resent, 0) as resent, coalesce(u.last_seen_at < %(now)s - %(silent)s, false) as silent,
        coalesce(u.last_seen_at - u.latest_at > %(behind)s and u.last_seen_at >= %(now)s - %(silent)s, false) as behind
    from unit u left join gaps using (unit_id) left join kept using (device) left join twice using (unit_id)
    where u.device is not null)
select * from standing"""
WANTING = """ where missing > 0 or refused > 0 or resent >= %(many)s or clock = 'w' or behind or silent"""


class Standing(NamedTuple):
    """How one unit stands; spans of time and counts, all of what is open now or came in the last day."""

    unit_id: int
    device: str
    last_seen_at: datetime | None
    latest_at: datetime | None  # of its newest reading
    lag: timedelta | None  # between the two
    clock: str | None  # s synced, r relative, n none, w wrong
    clock_off_s: float | None
    gaps: int
    missing: int  # sequence numbers
    gap_since: datetime | None
    asks: int  # how often its gaps were asked for, at least
    refused: int
    reasons: str
    redelivered: int
    resent: int
    silent: bool
    behind: bool


class Trouble(NamedTuple):
    """One thing that is wrong with a unit, and what to do about it."""

    what: str
    says: str
    remedy: str


def worst(conn: psycopg.Connection, now: datetime, *, by: By = "all", limit: int = 10) -> list[Standing]:
    """Return units that want a look, worst first by what was asked for."""
    return _asked(conn, f"{STANDING}{WANTING} order by {ORDER[by]}, device limit %(limit)s", now, limit=limit)


def wanting(conn: psycopg.Connection, now: datetime) -> int:
    """Return how many units want a look."""
    query = f"select count(*) from ({STANDING}{WANTING}) wanting"
    row = conn.execute(query.encode(), _given(now)).fetchone()
    return int(row[0]) if row else 0


def of_unit(conn: psycopg.Connection, unit_id: int, now: datetime) -> Standing | None:
    """Return how one unit stands; None for one without a radio."""
    found = _asked(conn, f"{STANDING} where unit_id = %(unit)s", now, unit=unit_id)
    return found[0] if found else None


def troubles(unit: Standing, now: datetime) -> Iterator[Trouble]:
    """Yield what is wrong with a unit, what matters most first."""
    if unit.missing and unit.gap_since:
        since = lasting(now - unit.gap_since)
        says = f"{count(unit.missing, 'reading')} missing in {count(unit.gaps, 'gap')} for {since}"
        yield Trouble("gaps", says, _gap_remedy(unit))
    if unit.clock == "w":
        off = unit.clock_off_s
        way = (
            "is no time"
            if off is None
            else f"is {lasting(timedelta(seconds=abs(off)))} {'fast' if off > 0 else 'slow'}"
        )
        yield Trouble("clock", f"its clock {way}", "set its clock; until then readings are placed by when they arrive")
    if unit.behind and unit.lag:
        yield Trouble(
            "lag",
            f"it speaks, and its newest reading is {lasting(unit.lag)} older than its last word",
            "a backlog shrinks: look again; a lag that stays the same is a slow clock; none at all is a dead sensor",
        )
    if unit.refused:
        remedy = f"wearwell quarantine list --device {unit.device}"
        yield Trouble("quarantine", f"{count(unit.refused, 'message')} refused: {unit.reasons}", remedy)
    if unit.resent >= MANY_TWICE:
        yield Trouble(
            "duplicates",
            f"it sent {count(unit.resent, 'reading')} again in a day",
            "it may not hear its receipts: see that it subscribes to its dn/# and takes them at QoS 1",
        )
    if unit.silent and unit.last_seen_at:
        yield Trouble(
            "silence",
            f"not heard of for {lasting(now - unit.last_seen_at)}",
            "many at once: the broker or the network, wearwell doctor; one: its power, its Wi-Fi, its credential",
        )


def _gap_remedy(unit: Standing) -> str:
    if unit.silent:
        return "it is away; it is asked again when it is back"
    if unit.asks < ASKED_IN_VAIN:
        return "it is being asked for them: look again in some minutes"
    return "it was asked and does not answer: see that its firmware knows the command replay, and reads its dn/cmd"


def _given(now: datetime) -> dict[str, Any]:
    return {"now": now, "silent": SILENT_AFTER, "behind": BEHIND_AFTER, "many": MANY_TWICE}


def _asked(conn: psycopg.Connection, query: str, now: datetime, **more: Any) -> list[Standing]:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(query.encode(), _given(now) | more).fetchall()
