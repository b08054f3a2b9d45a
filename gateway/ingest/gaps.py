"""Gaps: asking units to send again what never arrived, and hearing that they cannot."""

import re
from datetime import datetime, timedelta

import msgspec
import psycopg

from gateway import clock
from gateway.ingest import topics
from gateway.ingest.content import Reply
from gateway.ingest.receipts import Message

PATIENCE = 2.0  # seconds that a gap may fill by itself: messages overtake each other
FIRST, LONGEST = 10.0, 86_400.0  # seconds until a unit is asked again, doubling
COMMAND = re.compile(r"gap-([0-9]{1,18})-[0-9]{1,9}")

DUE = """select g.gap_id, g.session, lower(g.seqs), upper(g.seqs) - 1, g.asks, u.device
    from gap g join unit u using (tenant_id, unit_id)
    where g.closed_at is null and u.device is not null and g.found_at <= %(settled)s
        and (g.asked_at is null
             or g.asked_at + least(%(first)s * 2 ^ least(g.asks - 1, 30), %(longest)s) * interval '1 second' <= %(now)s)
    order by g.gap_id limit %(limit)s for update of g skip locked"""


def ask(conn: psycopg.Connection, now: datetime, limit: int = 500) -> list[Message]:
    """Return the replay commands that are due, each marked as asked; the caller commits, then publishes them.

    The command's id is made of the gap and how often it was asked for: the same question always has the same.
    """
    pace = 1.0 / clock.wall_delay(timedelta(seconds=1))  # seconds of the world in one of ours: back-off is ours
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


def answer(conn: psycopg.Connection, unit_id: int, reply: Reply, now: datetime) -> int | None:
    """Close a gap whose unit says that it is lost; return the session whose receipt moves on, or None."""
    found = COMMAND.fullmatch(reply.id)
    if not found or reply.status != "failed" or reply.detail != "lost":
        return None
    row = conn.execute(
        """update gap set closed_at = %s, outcome = 'lost' where gap_id = %s and unit_id = %s and closed_at is null
           returning session""",
        (now, int(found[1]), unit_id),
    ).fetchone()
    return row[0] if row else None


def open_count(conn: psycopg.Connection) -> int:
    """Return how many gaps are open."""
    row = conn.execute("select count(*) from gap where closed_at is null").fetchone()
    return int(row[0]) if row else 0
