"""Readings into the store: COPY, or where some may be there already COPY and INSERT … ON CONFLICT DO NOTHING."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.ingest.arrays import NO_TIME
from gateway.ingest.clocks import moment
from gateway.ingest.readings import Readings, chosen

Buffer = bytes | memoryview

STAGING = """create temporary table if not exists staging (
    tenant_id int, unit_id bigint, slot_id int, channel_id int, ts timestamptz, value double precision, session bigint,
    seq bigint, device_ts timestamptz, received_at timestamptz, clock "char", flags smallint) on commit delete rows"""
COLUMNS = "tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, device_ts, received_at, clock, flags"
APPEND = f"""with added as (
        insert into reading ({COLUMNS}) select {COLUMNS} from staging on conflict do nothing returning unit_id)
    select unit_id, count(*) from added group by unit_id"""

# PostgreSQL's binary COPY: a column count, then each column's length and bytes; -1 is null.
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
FIELDS = {
    "tenant_id": ">i4", "unit_id": ">i8", "slot_id": ">i4", "channel_id": ">i4", "ts": ">i8", "value": ">f8",
    "session": ">i8", "seq": ">i8", "raw": ">i8", "received": ">i8", "clock": "S1", "flags": ">i2",
}  # fmt: skip

REDELIVERED = timedelta(days=7)  # the longest that a broker keeps our session
STRETCH = 28 * 86_400 * 1_000_000  # microseconds; no month is shorter


def _blank(*, raw: bool) -> NDArray[Any]:
    """Return one tuple of a COPY stream without values; a null has a length and no bytes."""
    cells = [("count", ">i2")]
    for name, layout in FIELDS.items():
        cells.append((f"{name}_size", ">i4"))
        if raw or name != "raw":
            cells.append((name, layout))
    blank = np.zeros(1, cells)
    blank["count"] = len(FIELDS)
    for name, layout in FIELDS.items():
        blank[f"{name}_size"] = np.dtype(layout).itemsize if raw or name != "raw" else -1
    return blank


_WITH_RAW, _WITHOUT_RAW = _blank(raw=True), _blank(raw=False)


def append(conn: psycopg.Connection, readings: Readings, *, all_fresh: bool) -> Counter[int]:
    """Add readings and return how many of each unit stood already; those are left as they are.

    `all_fresh` says that by their sequence numbers none stands there yet. They go straight into the table then, at
    half the cost, and where the table knows better, into the staging table after all.
    """
    if not readings.size:
        return Counter()
    _prepare(conn, readings)
    stream = packed(readings)
    if all_fresh:
        try:
            with conn.transaction():
                _copy(conn, "reading", stream)
        except psycopg.errors.UniqueViolation:
            pass
        else:
            return Counter()
    conn.execute(STAGING)
    _copy(conn, "staging", stream)
    units, given = np.unique(readings["unit_id"], return_counts=True)
    added: dict[int, int] = dict(conn.execute(APPEND).fetchall())
    return +Counter({unit: n - added.get(unit, 0) for unit, n in zip(units.tolist(), given.tolist(), strict=True)})


def _copy(conn: psycopg.Connection, table: str, stream: Iterable[Buffer]) -> None:
    with conn.cursor() as cursor, cursor.copy(f"copy {table} ({COLUMNS}) from stdin (format binary)") as copy:
        for piece in stream:
            copy.write(piece)


def holds(conn: psycopg.Connection, unit_id: int, channels: list[int], number: int, received_at: datetime) -> bool:
    """Say whether an unnumbered message of this digest was stored in the days before `received_at`."""
    found = conn.execute(
        """select 1 from reading where unit_id = %s and channel_id = any(%s) and session = 0 and seq = %s
           and ts between %s and %s limit 1""",
        (unit_id, channels, number, received_at - REDELIVERED, received_at),
    )
    return found.fetchone() is not None


def packed(readings: Readings) -> list[Buffer]:
    """Return readings as a binary COPY stream, in pieces: putting them together would cost as much as making them."""
    timed = readings["raw"] != NO_TIME
    parts: list[Buffer] = [HEADER]
    for some, blank in ((timed, _WITH_RAW), (~timed, _WITHOUT_RAW)):
        rows = chosen(readings, some)
        cells = np.repeat(blank, len(rows))
        for name in FIELDS:
            if name in cells.dtype.fields:  # type: ignore[operator]  # it has fields
                cells[name] = rows[name]
        parts.append(cells.view("u1").data)
    return [*parts, TRAILER]


def _prepare(conn: psycopg.Connection, readings: Readings) -> None:
    """Make sure of the partitions; they are not remembered, since a rollback takes them back."""
    for stretch in np.unique(readings["ts"] // STRETCH).tolist():
        conn.execute("select reading_partitions(%s, %s)", (moment(stretch * STRETCH), moment((stretch + 1) * STRETCH)))
