"""Attempts: what the limits at the doors count, per account and per address. Times are the wall clock's."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` within `window` for each bucket of this name."""

    name: str
    times: int
    window: timedelta

    def bucket(self, who: str) -> str:
        """Return the bucket of an account or address: hashed, since it is personal and only compared."""
        return f"{self.name}:{hashlib.sha256(who.lower().encode()).hexdigest()[:32]}"


def wait(conn: psycopg.Connection, limit: Limit, who: str, wall: datetime) -> int:
    """Return for how many seconds `who` must wait before trying again; 0: go on."""
    row = conn.execute(
        """select count(*), min(at) from
           (select at from attempt where bucket = %s and at > %s order by at desc limit %s) latest""",
        (limit.bucket(who), wall - limit.window, limit.times),
    ).fetchone()
    if row is None or row[0] < limit.times:
        return 0
    oldest: datetime = row[1]
    return max(1, round((oldest + limit.window - wall).total_seconds()))


def note(conn: psycopg.Connection, limit: Limit, who: str, wall: datetime) -> None:
    """Count one attempt, and forget those that are too old to matter."""
    conn.execute("insert into attempt (bucket, at) values (%s, %s)", (limit.bucket(who), wall))
    conn.execute("delete from attempt where bucket = %s and at < %s", (limit.bucket(who), wall - limit.window))
