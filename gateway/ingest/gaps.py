"""Gaps: asking units to send again what never arrived, and hearing that they cannot."""

import re
from datetime import datetime, timedelta

import msgspec
import psycopg

from gateway import clock
from gateway.ingest import presence, receipts, sessions, topics
from gateway.ingest.content import Reply
from gateway.ingest.receipts import Message

PATIENCE = 2.0  # seconds that a gap may fill by itself: messages overtake each other
FIRST, LONGEST = 10.0, 86_400.0  # seconds until a unit is asked again, doubling
COMMAND = re.compile(r"gap-([0-9]{1,18})-[0-9]{1,9}")

DUE = """select g.gap_id, g.session, lower(g.seqs), upper(g.seqs) - 1, g.asks, u.device
    from gap g join unit u using (tenant_id, unit_id)
    where g.closed_at is null and g.lost_at is null and u.device is not null and g.found_at <= %(settled)s
        and (g.asked_at is null
             or g.asked_at + least(%(first)s * 2 ^ least(g.asks - 1, 30), %(longest)s) * interval '1 second' <= %(now)s)
    order by g.gap_id limit %(limit)s for update of g skip locked"""
GIVEN_UP = "select distinct unit_id from gap where closed_at is null and lost_at <= %s limit %s"
CLOSE = """update gap g set closed_at = %s, outcome = 'lost' from unit u
    where u.unit_id = g.unit_id and g.unit_id = any(%s) and g.closed_at is null and g.lost_at <= %s
    returning g.tenant_id, g.unit_id, g.session, u.device"""


def ask(conn: psycopg.Connection, now: datetime, limit: int = 500) -> list[Message]:
    """Return the replay commands that are due, each marked as asked; the caller commits, then publishes them.

    The command's id is made of the gap and how often it was asked for: the same question always has the same.
    """
    pace = _pace()
    due = conn.execute(
        DUE,
        {
            "now": now,
            "settled": now - timedelta(seconds=PATIENCE * pace),
            "first": FIRST * pace,
            "longest": LONGEST * pace,
            "limit": limit,
        },
    ).fetchall()
    conn.execute("update gap set asks = asks + 1, asked_at = %s where gap_id = any(%s)", (now, [row[0] for row in due]))
    return [
        Message(
            topics.command(device),
            msgspec.json.encode(
                {
                    "v": 1,
                    "id": f"gap-{gap}-{asks}",
                    "cmd": "replay",
                    "expires": round((now + timedelta(seconds=LONGEST * pace)).timestamp()),
                    "s": session,
                    "from": first,
                    "to": last,
                }
            ),
        )
        for gap, session, first, last, asks, device in due
    ]


def answer(conn: psycopg.Connection, unit_id: int, reply: Reply, now: datetime) -> None:
    """Note on an open gap that its unit says that it is lost; `close` closes it where it stays open."""
    found = COMMAND.fullmatch(reply.id)
    if found and reply.status == "failed" and reply.detail == "lost":
        conn.execute(
            """update gap set lost_at = coalesce(lost_at, %s)
               where gap_id = %s and unit_id = %s and closed_at is null""",
            (now, int(found[1]), unit_id),
        )


def close(conn: psycopg.Connection, now: datetime, limit: int = 500) -> tuple[int, list[Message]]:
    """Close, as lost, what units gave up a while ago; return how many gaps, and the receipts that move on by it.

    A unit sends what it still has before it says that the rest is lost, and another process may have got that. It has
    as long to store it as a unit has to answer; what it stores at this moment is waited for, by locking the units. What
    comes later still is stored all the same. The caller commits, then publishes the receipts.
    """
    since = now - timedelta(seconds=FIRST * _pace())
    unit_ids = [row[0] for row in conn.execute(GIVEN_UP, (since, limit)).fetchall()]
    if unit_ids:
        presence.lock(conn, unit_ids)
    closed = conn.execute(CLOSE, (now, unit_ids, since)).fetchall() if unit_ids else []
    if not closed:
        return 0, []
    moved = sessions.load(conn, {(tenant, unit, session): [] for tenant, unit, session, _ in closed})
    devices = {(unit, session): device for _, unit, session, device in closed if device}
    return len(closed), [
        receipts.through(device, key[1], moved[key].sequence.through) for key, device in devices.items()
    ]


def _pace() -> float:
    """Return how many seconds of the world pass in one of ours: patience and back-off are ours."""
    return 1.0 / clock.wall_delay(timedelta(seconds=1))


def open_count(conn: psycopg.Connection) -> int:
    """Return how many gaps are open."""
    row = conn.execute("select count(*) from gap where closed_at is null").fetchone()
    return int(row[0]) if row else 0
