"""Other ingest processes over the same database: those that do not share with this one get a copy of every message.

A copy of what has a sequence number or a time changes nothing. A message with neither is known by its arrival alone,
and each process has an arrival of its own: it would be stored twice. Each process holds a lock in the database that
stands for the way its messages come; processes that share have the same one.
"""

from zlib import crc32

import psycopg
import structlog

from gateway.settings import Settings

log = structlog.get_logger()

ROOM = 0x57570001  # of the database's advisory locks: ours alone
FEW = ("/state", "/evt", "/up/#")  # what is left unshared on purpose: storing it twice changes nothing
HOLD = "select pg_advisory_lock_shared(%s, %s)"
OTHERS = """select count(distinct objid) from pg_locks where locktype = 'advisory' and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
    and classid = %s and objid <> %s"""


def way(settings: Settings) -> str:
    """Return what processes that share their messages have in common, and no other process has."""
    if settings.kafka_url:
        return f"kafka {settings.kafka_group} {sorted(settings.kafka_topics)}"
    telemetry = sorted(each for each in settings.mqtt_subscriptions if not each.endswith(FEW))
    shared = all(each.startswith("$share/") for each in telemetry)
    return f"mqtt {telemetry} {'' if shared else settings.mqtt_client}"


class Neighbours:
    """Looks for them, and warns once when there are some."""

    def __init__(self, settings: Settings) -> None:
        self._mark = crc32(way(settings).encode()) >> 1
        self._holds: psycopg.Connection | None = None
        self.warned = False

    def look(self, conn: psycopg.Connection) -> None:
        """Say that this process is here, and whether others are that do not share; `conn` is the same each time."""
        if self._holds is not conn:
            conn.execute(HOLD, (ROOM, self._mark))
            self._holds = conn
        row = conn.execute(OTHERS, (ROOM, self._mark)).fetchone()
        others = bool(row and row[0])
        if others and not self.warned:
            log.warning(
                "another ingest process takes the same messages without sharing them; what has neither sequence nor"
                " time is stored twice. See docs/operating.md, Broker."
            )
        self.warned = others
