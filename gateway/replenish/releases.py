"""Releases: which version of a slot's model is in force, who released it, and what stood before.

A release stands on the one before it; a roll-back takes the last one off again. What is left on top is in force. Rows
are only ever added, so the log is the audit.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row

from gateway.registry.models import Slot

Kind = Literal["release", "rollback"]
GATEWAY = "gateway"
COLUMNS = """release_id, slot_id, kind, model_version_id, predictor, predictor_before, actor, note, released_at"""


@dataclass(frozen=True, slots=True)
class Release:
    """A row of table model_release; `model_version_id` None is the declaration alone."""

    release_id: int
    slot_id: int
    kind: Kind
    model_version_id: int | None
    predictor: str
    predictor_before: str
    actor: str
    note: str
    released_at: datetime


def hold(conn: psycopg.Connection, slot_id: int) -> None:
    """Let nobody else release, roll back or begin a shadow for this slot until the transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtextextended('release', %s))", (slot_id,))


def log(conn: psycopg.Connection, slot_id: int) -> list[Release]:
    """Return every release and roll-back of a slot, in the order in which they happened."""
    with conn.cursor(row_factory=class_row(Release)) as cursor:
        cursor.execute(f"select {COLUMNS} from model_release where slot_id = %s order by release_id", (slot_id,))
        return cursor.fetchall()


def standing(rows: list[Release]) -> list[Release]:
    """Return the releases that no roll-back has taken off, the one in force last."""
    stack: list[Release] = []
    for row in rows:
        if row.kind == "release":
            stack.append(row)
        elif stack:
            stack.pop()
    return stack


def staff_decides(rows: list[Release]) -> bool:
    """Tell whether staff have released or rolled back: from then on the gateway releases nothing by itself."""
    return any(row.actor != GATEWAY for row in rows)


def record(
    conn: psycopg.Connection,
    slot: Slot,
    kind: Kind,
    version_id: int | None,
    predictor: str,
    *,
    actor: str,
    note: str,
    now: datetime,
) -> None:
    """Add one row, and let the slot be forecast with that predictor from now on."""
    conn.execute(
        """insert into model_release (tenant_id, slot_id, kind, model_version_id, predictor, predictor_before, actor,
             note, released_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (slot.tenant_id, slot.slot_id, kind, version_id, predictor, slot.predictor, actor, note, now),
    )
    if predictor != slot.predictor:
        conn.execute("update slot set predictor = %s where slot_id = %s", (predictor, slot.slot_id))
