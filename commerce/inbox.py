"""The webhook inbox: what the provider said, verified and stored once, then worked on.

Only ids are kept: what Stripe sends along holds names and addresses, and none of it is needed, because the truth is
always asked for.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from commerce.payments import Notice


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of table provider_event; payload: object_id, order_id, key."""

    tenant_id: int
    source: str
    event_id: str
    type: str
    payload: dict[str, Any]
    received_at: datetime
    handled_at: datetime | None
    outcome: str | None


def put(conn: psycopg.Connection[Any], source: str, tenant_id: int, notice: Notice, wall: datetime) -> bool:
    """Store a verified notice once; tell whether it is still to be worked on. False too for an unknown tenant."""
    payload = {"object_id": notice.object_id, "order_id": notice.order_id, "key": notice.key}
    conn.execute(
        """insert into provider_event (tenant_id, source, event_id, type, payload, received_at)
           select tenant_id, %s, %s, %s, %s, %s from tenant where tenant_id = %s on conflict do nothing""",
        (source, notice.event_id, notice.type, Jsonb(payload), wall, tenant_id),
    )
    stored = get(conn, source, notice.event_id)
    return stored is not None and stored.tenant_id == tenant_id and stored.handled_at is None


def get(conn: psycopg.Connection[Any], source: str, event_id: str) -> Heard | None:
    """Return a stored notice, if the transaction may see it."""
    with conn.cursor(row_factory=class_row(Heard)) as cursor:
        return cursor.execute(
            "select * from provider_event where source = %s and event_id = %s", (source, event_id)
        ).fetchone()


def close(conn: psycopg.Connection[Any], heard: Heard, outcome: str, wall: datetime) -> None:
    """Mark a notice as worked on, with what came of it."""
    conn.execute(
        """update provider_event set handled_at = %s, outcome = %s
           where source = %s and event_id = %s and handled_at is null""",
        (wall, outcome, heard.source, heard.event_id),
    )


def waiting(conn: psycopg.Connection[Any], tenant_id: int, before: datetime) -> list[Heard]:
    """Return notices that came before then and were never worked on."""
    with conn.cursor(row_factory=class_row(Heard)) as cursor:
        cursor.execute(
            """select * from provider_event where tenant_id = %s and handled_at is null and received_at < %s
               order by received_at limit 100""",
            (tenant_id, before),
        )
        return cursor.fetchall()
