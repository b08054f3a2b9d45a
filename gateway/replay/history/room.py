"""A deployment to live a history through: a database of its own, and nobody who listens, works or speaks beside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg_pool import ConnectionPool

from commerce.desk import Desk
from gateway import settings as configuration
from gateway.app.desk import desk
from gateway.db import pool
from gateway.errors import Conflict
from gateway.operate import database
from gateway.settings import Settings
from gateway.worker.chores import Chores


@dataclass(frozen=True, slots=True)
class Room:
    """What a history needs of the house; `conn` is in the gateway's role and commits by itself after each statement."""

    conn: psycopg.Connection
    desk: Desk
    chores: Chores


def refuse_used(folder: Path) -> None:
    """Raise Conflict where a folder holds anything: whatever stands there, a history does not belong into it."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty, and a history gets a folder of its own; name a new one with --keep")


@contextmanager
def room(folder: Path) -> Iterator[Room]:
    """Open a room whose database lies in `folder`, and leave it as a deployment that commands can be pointed at.

    Raises Conflict where the folder is in use.
    """
    refuse_used(folder)
    settings = configuration.alone(folder.resolve(), metrics_port=0)
    try:
        with within(database.dsn(settings), settings) as opened:
            yield opened
    finally:
        database.leave_embedded(settings.data_dir)


@contextmanager
def within(dsn: str, settings: Settings) -> Iterator[Room]:
    """Open a room in a database that has no tenant yet. Raises Conflict where it has one: its owners might be asked."""
    with pool.connect(dsn, pool.Role.GATEWAY) as conn, pool.open_pool(dsn, pool.Role.GATEWAY, size=2) as connections:
        conn.autocommit = True
        if conn.execute("select from tenant limit 1").fetchone() is not None:
            raise Conflict("this database is somebody's already; a history gets one of its own")
        conn.execute("set synchronous_commit = off")  # what breaks off is lived through again, from the files
        yield _room(conn, settings, connections)


def _room(conn: psycopg.Connection, settings: Settings, connections: ConnectionPool) -> Room:
    at = desk(settings, connections)
    return Room(conn, at, Chores(settings, connections, at))
