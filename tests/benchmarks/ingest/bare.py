"""A bare binary COPY: the same rows, in the order in which ingest stored them, into the same table elsewhere."""

import time
import uuid
from datetime import datetime

import psycopg
from psycopg import conninfo

from gateway.ingest.store import COLUMNS
from tests.benchmarks.ingest.ground import Ground, checkpoint

SEARCH_PATH = "-c search_path=wearwell,public"


class Bare:
    """A twin of the ground's database, made while that is empty, that gets each round's rows by COPY alone."""

    def __init__(self, ground: Ground) -> None:
        self.dsn = ground.dsn
        self.name = f"ww_bare_{uuid.uuid4().hex[:8]}"
        source = conninfo.conninfo_to_dict(ground.dsn)["dbname"]
        with self._admin() as conn:
            conn.execute(f"create database {self.name} template {source}")

    def copy(self, since: datetime) -> tuple[int, float]:
        """Copy what was received from `since` on; return how many rows these were and how long it took, in seconds."""
        with psycopg.connect(self.dsn, options=SEARCH_PATH) as conn, conn.cursor() as cursor:
            conn.execute("select reading_partitions(min(ts), max(ts)) from reading")
            query = f"copy (select {COLUMNS} from reading where received_at >= %s) to stdout (format binary)"
            with cursor.copy(query, (since,)) as copy:
                stream = b"".join(bytes(part) for part in copy)
        checkpoint(self.dsn)
        twin = conninfo.make_conninfo(self.dsn, dbname=self.name)
        with psycopg.connect(twin, options=SEARCH_PATH) as conn, conn.cursor() as cursor:
            with psycopg.connect(self.dsn, options=SEARCH_PATH) as source:
                span = source.execute("select min(ts), max(ts) from reading").fetchone()
            conn.execute("select reading_partitions(%s, %s)", span)
            conn.commit()
            began = time.monotonic()
            with cursor.copy(f"copy reading ({COLUMNS}) from stdin (format binary)") as copy:
                copy.write(stream)
            conn.commit()
            return cursor.rowcount, time.monotonic() - began

    def drop(self) -> None:
        """Drop the twin."""
        with self._admin() as conn:
            conn.execute(f"drop database {self.name} with (force)")

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, dbname="postgres", autocommit=True)
