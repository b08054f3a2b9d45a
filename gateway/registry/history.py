"""What happened, as rows told once; the job that answers each is deferred in the transaction that told it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway import clock, jobs
from gateway.events import Event

STUCK = timedelta(minutes=15)  # of wall time; the worker's attempts at one event take about nine


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of table event."""

    event_id: int
    tenant_id: int
    unit_id: int | None
    slot_id: int | None
    type: str
    key: str
    payload: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime
    handled_at: datetime | None


COLUMNS = "event_id, tenant_id, unit_id, slot_id, type, key, payload, occurred_at, recorded_at, handled_at"


def record(conn: psycopg.Connection, event: Event) -> int | None:
    """Record an event and defer its reaction; return its id, or None when its key was told before."""
    row = conn.execute(
        """insert into event (tenant_id, unit_id, slot_id, type, key, payload, occurred_at, recorded_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant_id, key) do nothing returning event_id""",
        (
            event.tenant_id,
            event.unit_id,
            event.slot_id,
            event.type,
            event.key,
            Jsonb(event.payload),
            event.occurred_at,
            clock.now(),
        ),
    ).fetchone()
    if row is None:
        return None
    jobs.defer(conn, "react", lock=f"unit:{event.unit_id}", event_id=row[0])
    return int(row[0])


def take(conn: psycopg.Connection, event_id: int) -> Recorded | None:
    """Lock an event that nobody has handled yet and return it, or None; `done` belongs to the same transaction."""
    with conn.cursor(row_factory=class_row(Recorded)) as cursor:
        return cursor.execute(
            f"select {COLUMNS} from event where event_id = %s and handled_at is null for update", (event_id,)
        ).fetchone()


def done(conn: psycopg.Connection, event_id: int) -> None:
    """Mark an event as handled."""
    conn.execute("update event set handled_at = %s where event_id = %s", (clock.now(), event_id))


def stuck_before(now: datetime) -> datetime:
    """Return since when, in world time, an event must have waited to count as stuck: its job has failed by then."""
    return now - STUCK / clock.wall_delay(timedelta(seconds=1))


def of_unit(conn: psycopg.Connection, unit_id: int, limit: int = 100) -> list[Recorded]:
    """Return a unit's latest events, newest first."""
    with conn.cursor(row_factory=class_row(Recorded)) as cursor:
        cursor.execute(
            f"select {COLUMNS} from event where unit_id = %s order by occurred_at desc, event_id desc limit %s",
            (unit_id, limit),
        )
        return cursor.fetchall()
