"""Readings into the store: COPY into a staging table, INSERT … ON CONFLICT DO NOTHING."""

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from gateway.ingest.clocks import moment

STAGING = """create temporary table if not exists staging (
    tenant_id int, unit_id bigint, slot_id int, channel_id int, ts timestamptz, value double precision, session bigint,
    seq bigint, device_ts timestamptz, received_at timestamptz, clock "char", flags smallint) on commit delete rows"""
COLUMNS = "tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, device_ts, received_at, clock, flags"
APPEND = f"insert into reading ({COLUMNS}) select {COLUMNS} from staging on conflict do nothing"

# PostgreSQL's binary COPY: a column count, then each column's length and bytes; -1 is null.
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
_HEAD = "!hiiiqiiiiiqidiqiq"  # tenant_id … seq
_WITH_RAW = struct.Struct(_HEAD + "iqiqicih")
_WITHOUT_RAW = struct.Struct(_HEAD + "iiqicih")

REDELIVERED = timedelta(days=7)  # the longest that a broker keeps our session
STRETCH = 28 * 86_400 * 1_000_000  # microseconds; no month is shorter


class Row(NamedTuple):
    """One reading; times are microseconds since 2000, `raw` the unit's own time."""

    tenant_id: int
    unit_id: int
    slot_id: int
    channel_id: int
    ts: int
    value: float
    session: int
    seq: int
    raw: int | None
    received: int
    clock: bytes
    flags: int


def append(conn: psycopg.Connection, rows: Sequence[Row]) -> int:
    """Add readings and return how many were new; one that stands already is left as it is."""
    if not rows:
        return 0
    _prepare(conn, rows)
    with conn.cursor() as cursor:
        with cursor.copy(f"copy staging ({COLUMNS}) from stdin (format binary)") as copy:
            copy.write(packed(rows))
        return cursor.execute(APPEND).rowcount


def holds(conn: psycopg.Connection, unit_id: int, channels: list[int], number: int, received_at: datetime) -> bool:
    """Say whether an unnumbered message of this digest was stored in the days before `received_at`."""
    found = conn.execute(
        """select 1 from reading where unit_id = %s and channel_id = any(%s) and session = 0 and seq = %s
           and ts between %s and %s limit 1""",
        (unit_id, channels, number, received_at - REDELIVERED, received_at),
    )
    return found.fetchone() is not None


def packed(rows: Sequence[Row]) -> bytes:
    """Return rows as a binary COPY stream."""
    parts = [HEADER]
    for tenant, unit, slot, channel, ts, value, session, seq, raw, received, clock, flags in rows:
        head = (12, 4, tenant, 8, unit, 4, slot, 4, channel, 8, ts, 8, value, 8, session, 8, seq)
        if raw is None:
            parts.append(_WITHOUT_RAW.pack(*head, -1, 8, received, 1, clock, 2, flags))
        else:
            parts.append(_WITH_RAW.pack(*head, 8, raw, 8, received, 1, clock, 2, flags))
    parts.append(TRAILER)
    return b"".join(parts)


def _prepare(conn: psycopg.Connection, rows: Sequence[Row]) -> None:
    """Make sure of the staging table and of the partitions; neither is remembered, since a rollback takes it back."""
    conn.execute(STAGING)
    for stretch in {row.ts // STRETCH for row in rows}:
        conn.execute("select reading_partitions(%s, %s)", (moment(stretch * STRETCH), moment((stretch + 1) * STRETCH)))
