"""A lane into the store: one connection, and what it knows of units."""

from collections.abc import Sequence

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.db import pool
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.outcome import Outcome
from gateway.ingest.settle import settle

ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}


class Lane:
    """One connection to the database, made anew where it broke."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.directory = Directory()
        self._conn: psycopg.Connection | None = None

    def connection(self) -> psycopg.Connection:
        """Return the connection; raises psycopg.OperationalError while none can be had."""
        if self._conn is None or self._conn.closed or self._conn.broken:
            self.hang_up()
            self._conn = pool.connect(make_conninfo(self.dsn, **ALIVE), pool.Role.GATEWAY)
            self._conn.autocommit = True
        return self._conn

    def settle(self, batch: Sequence[Envelope]) -> Outcome:
        """Commit messages; raises psycopg.Error while the database cannot take them."""
        return settle(self.connection(), self.directory, batch)

    def hang_up(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
