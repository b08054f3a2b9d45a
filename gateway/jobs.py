"""The job queue: deferred in the caller's transaction, worked by gateway/worker, recovered when a worker dies."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from psycopg import conninfo

from gateway import clock

CONNECT_S = 5
OPEN_S = 6.0  # that opening the queue may take
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0  # between tries while the database is away
LONGEST_RETRY_S = 3_600
log = structlog.get_logger()


def queue(dsn: str) -> App:
    """Return the queue's app over its own asynchronous connections, for the worker; the caller opens it."""
    return App(connector=PsycopgConnector(conninfo=conninfo.make_conninfo(dsn, connect_timeout=CONNECT_S)))


_deferring = App(connector=SyncPsycopgConnector())  # never opened: it borrows the caller's connection


def defer(
    conn: psycopg.Connection, task: str, *, due: datetime | None = None, lock: str | None = None, **kwargs: Any
) -> None:
    """Put a job into the queue in the transaction of `conn`.

    `task` is its name in gateway/worker; `due` is world time; jobs that share `lock` run in order, one at a time.
    """
    at = clock.wall() + timedelta(seconds=clock.wall_delay(due - clock.now())) if due else None
    _deferring.configure_task(task, schedule_at=at, lock=lock, connection=conn, allow_unknown=True).defer(**kwargs)


class Retry(BaseRetryStrategy):
    """Again after 2, 4, 8, … seconds and a little more, an hour at most, until `attempts` are over."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:  # noqa: ARG002  # theirs
        """Return when to try again, or None to give up: the job then stays in the queue as failed."""
        if job.attempts >= self.attempts:
            return None
        pause = min(2 ** (job.attempts + 1), LONGEST_RETRY_S)
        return RetryDecision(retry_in={"seconds": int(pause * random.uniform(1.0, 1.2))})  # noqa: S311  # jitter


async def opened(queue: App, stop: asyncio.Event) -> bool:
    """Open the queue, ever more patiently while the database is away; False where `stop` came first."""
    pause = FIRST_PAUSE_S
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            opening = asyncio.ensure_future(queue.open_async())
            await asyncio.wait({opening, stopping}, timeout=OPEN_S, return_when=asyncio.FIRST_COMPLETED)
            opening.cancel()
            ended = await asyncio.gather(opening, return_exceptions=True)
            if not isinstance(ended[0], BaseException):
                return True
            await queue.close_async()  # a pool that was not filled in time cannot be opened again
            if not stop.is_set():
                log.warning("the database is away; nothing is worked on", error=str(ended[0]), again_s=pause)
                await asyncio.wait({stopping}, timeout=pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
                pause = min(pause * 2, LONGEST_PAUSE_S)
        return False
    finally:
        stopping.cancel()
