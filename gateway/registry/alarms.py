"""Drift alarms as rows: where each test of each slot stands."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Alarm:
    """A row of table drift with the names of its slot and product model."""

    model: str
    slot: str
    gtin: str
    slot_code: str
    code: str
    looked_at: datetime
    alarm: bool
    p_value: float
    n: int
    then_value: float | None
    now_value: float | None
    says: str


def standing(conn: psycopg.Connection, slot_id: int | None = None) -> list[Alarm]:
    """Return where the tests stand, those that alarm first."""
    with conn.cursor(row_factory=class_row(Alarm)) as cursor:
        cursor.execute(
            """select m.name as model, s.name as slot, m.gtin, s.code as slot_code, d.code, d.looked_at, d.alarm,
                 d.p_value, d.n, d.then_value, d.now_value, d.says
               from drift d join slot s on s.slot_id = d.slot_id join product_model m on m.model_id = s.model_id
               where %s::int is null or d.slot_id = %s order by d.alarm desc, m.name, s.slot_id, d.code""",
            (slot_id, slot_id),
        )
        return cursor.fetchall()
