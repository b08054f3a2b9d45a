"""The outbox: what is to be said, written in the transaction of its cause and sent afterwards.

A row's key is deterministic, so the same cause says it once. Mail is sent by the job `send`; messages to units are
published by the worker's one MQTT connection (mqtt.py), which looks for rows that wait.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway import clock, jobs

Channel = Literal["email", "mqtt"]
COLUMNS = """message_id, tenant_id, key, channel, party_id, device, kind, payload, created_at, due_at, attempts,
    sent_at, failed_at, error, rendered"""


@dataclass(frozen=True, slots=True)
class Message:
    """A row of table outbox: waiting while neither sent nor failed (given up, or no longer needed)."""

    message_id: int
    tenant_id: int
    key: str
    channel: Channel
    party_id: int | None
    device: str | None
    kind: str
    payload: dict[str, Any]
    created_at: datetime
    due_at: datetime
    attempts: int
    sent_at: datetime | None
    failed_at: datetime | None
    error: str | None
    rendered: dict[str, Any] | None


def put(
    conn: psycopg.Connection,
    *,
    tenant_id: int,
    key: str,
    channel: Channel,
    kind: str,
    payload: dict[str, Any],
    party_id: int | None = None,
    device: str | None = None,
    due: datetime | None = None,
) -> int | None:
    """Write a message that is due at world time `due`, now by default; return its id, or None when its key stands."""
    now = clock.now()
    row = conn.execute(
        """insert into outbox (tenant_id, key, channel, party_id, device, kind, payload, created_at, due_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant_id, key) do nothing returning message_id""",
        (tenant_id, key, channel, party_id, device, kind, Jsonb(payload), now, due or now),
    ).fetchone()
    if row is None:
        return None
    if channel == "email":
        later = due if due and due > now else None
        jobs.defer(conn, "send", due=later, lock=f"message:{row[0]}", message_id=row[0])
    return int(row[0])


def begin(conn: psycopg.Connection, message_id: int) -> Message | None:
    """Count an attempt at a message that still waits and return it, or None; the row stays locked."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(
            f"""update outbox set attempts = attempts + 1
                where message_id = %s and sent_at is null and failed_at is null returning {COLUMNS}""",
            (message_id,),
        ).fetchone()


def get(conn: psycopg.Connection, message_id: int) -> Message | None:
    """Return a message, or None."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(f"select {COLUMNS} from outbox where message_id = %s", (message_id,)).fetchone()


def letters(conn: psycopg.Connection, *, failed: bool = False, limit: int = 100) -> list[Message]:
    """Return the latest mails, newest first; with `failed`, those that could not be delivered."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(
            f"""select {COLUMNS} from outbox where channel = 'email'
                and (not %s or failed_at is not null and error not like 'not sent:%%')
                order by message_id desc limit %s""",
            (failed, limit),
        ).fetchall()


def waiting(conn: psycopg.Connection, channel: Channel, limit: int) -> list[Message]:
    """Return what is due on a channel, oldest first."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        cursor.execute(
            f"""select {COLUMNS} from outbox where channel = %s and sent_at is null and failed_at is null
                and due_at <= %s order by message_id limit %s""",
            (channel, clock.now(), limit),
        )
        return cursor.fetchall()


def sent(conn: psycopg.Connection, message_ids: list[int], rendered: dict[str, Any] | None = None) -> None:
    """Mark messages as handed over; `rendered` is what the null adapter keeps for a reader."""
    conn.execute(
        "update outbox set sent_at = %s, error = null, rendered = %s where message_id = any(%s)",
        (clock.now(), Jsonb(rendered) if rendered else None, message_ids),
    )


def failed(conn: psycopg.Connection, message_id: int, error: str, *, give_up: bool) -> None:
    """Note why a message was not handed over; `give_up` ends it, visibly."""
    conn.execute(
        "update outbox set error = %s, failed_at = %s where message_id = %s",
        (error[:500], clock.now() if give_up else None, message_id),
    )
