"""Rounds: chores in threads of their own until the worker stops, and jobs in threads."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from gateway.worker.chores import Chore

log = structlog.get_logger()


def in_thread(work: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    async def run(**arguments: Any) -> None:
        await asyncio.to_thread(work, **arguments)

    return run


async def again_and_again(chore: Chore, stop: asyncio.Event) -> None:
    """Do a chore until `stop`, resting at least as long as it took; what fails is logged and done again later."""
    loop = asyncio.get_running_loop()
    failures = 0
    while not stop.is_set():
        began = loop.time()
        try:
            more = await asyncio.to_thread(chore.work)
            failures = 0
        except (psycopg.OperationalError, PoolTimeout) as error:
            more, failures = False, failures + 1
            log.warning("chore waits for the database", chore=chore.name, error=str(error))
        except Exception:
            more, failures = False, failures + 1
            log.exception("chore failed", chore=chore.name)
        took = loop.time() - began
        rest = max(0.2, took) if more else max(chore.every_s, took)
        await pause(rest * 2 ** min(failures, 5), stop)


async def pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def end_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
