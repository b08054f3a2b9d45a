"""How readings age: compressed once the late window is over, where the store can, and let go after their time.

Rollups, cycles, forecasts and orders stay, and answer as before (ingest/hourly.py). Readings go by whole partitions: a
month of plain PostgreSQL, a chunk of TimescaleDB. One that comes later than it would have been kept is taken in like
any other, and goes with the next look.
"""

from datetime import datetime, timedelta

import psycopg

from gateway.settings import Settings


def compress(conn: psycopg.Connection, settings: Settings) -> bool:
    """Set the store's own compression policy as the settings say and return whether it has any; the caller commits."""
    row = conn.execute("select compress_readings(%s)", (settings.compress_readings_d,)).fetchone()
    return bool(row and row[0])


def let_go(conn: psycopg.Connection, settings: Settings, now: datetime) -> int:
    """Let go of readings older than the settings keep them, and return how many partitions that were.

    The caller commits, at once: ingest waits for it. Raises LockNotAvailable where somebody else reads or writes for
    longer than ingest may wait; the next look finds the same.
    """
    if not settings.keep_readings_d:
        return 0
    before = now - timedelta(days=settings.keep_readings_d)
    row = conn.execute("select let_go_readings(%s)", (before,)).fetchone()
    return int(row[0]) if row else 0
