"""The job queue: deferred in the caller's transaction, worked by gateway/worker.py, recovered when a worker dies."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from psycopg import conninfo

from gateway import clock

CONNECT_S = 5


def queue(dsn: str) -> App:
    """Return the queue's app over its own asynchronous connections, for the worker; the caller opens it."""
    return App(connector=PsycopgConnector(conninfo=conninfo.make_conninfo(dsn, connect_timeout=CONNECT_S)))


_deferring = App(connector=SyncPsycopgConnector())  # never opened: it borrows the caller's connection


def defer(
    conn: psycopg.Connection, task: str, *, due: datetime | None = None, lock: str | None = None, **kwargs: Any
) -> None:
    """Put a job into the queue in the transaction of `conn`.

    `task` is its name in gateway/worker.py; `due` is world time; jobs that share `lock` run in order, one at a time.
    """
    at = clock.wall() + timedelta(seconds=clock.wall_delay(due - clock.now())) if due else None
    _deferring.configure_task(task, schedule_at=at, lock=lock, connection=conn, allow_unknown=True).defer(**kwargs)
