"""What is missing and what was refused: gaps in sequences, and the quarantine."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.errors import NotFound

Row = dict[str, Any]

GAPS = """
select u.device, g.session, lower(g.seqs) as first, upper(g.seqs) - 1 as last, upper(g.seqs) - lower(g.seqs) as missing,
       g.found_at, g.asked_at, g.asks, g.closed_at, g.outcome
from gap g join unit u using (unit_id)
where (%(all)s or g.closed_at is null) and (%(device)s::text is null or u.device = %(device)s)
order by g.found_at desc limit %(limit)s"""

QUARANTINED = """
select quarantine_id as id, received_at, device, topic, reason, detail, octet_length(payload) as bytes, released_at
from quarantine
where (%(all)s or released_at is null) and (%(reason)s::text is null or reason = %(reason)s)
order by received_at desc limit %(limit)s"""

SHOWN = """
select quarantine_id as id, received_at, device, topic, content_type, reason, detail, payload, released_at
from quarantine where quarantine_id = %s"""


def gaps(conn: psycopg.Connection, *, device: str | None, closed: bool, limit: int) -> list[Row]:
    """Return gaps in units' sequence numbers, newest first; the closed ones too when asked."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(GAPS, {"all": closed, "device": device, "limit": limit}).fetchall()


def quarantined(conn: psycopg.Connection, *, reason: str | None, released: bool, limit: int) -> list[Row]:
    """Return what was refused, newest first; what was released since too when asked."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUARANTINED, {"all": released, "reason": reason, "limit": limit}).fetchall()


def one(conn: psycopg.Connection, quarantine_id: int) -> Row:
    """Return one refused message with its bytes, as text where they are text. Raises NotFound."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(SHOWN, (quarantine_id,)).fetchone()
    if row is None:
        raise NotFound(f"nothing is quarantined under {quarantine_id}; list it with: wearwell quarantine list")
    payload = bytes(row["payload"])
    return row | {"payload": payload.decode() if payload.isascii() else payload.hex()}
