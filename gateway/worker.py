"""The worker: jobs, forecasts, prompts, messages to units, upkeep; each a named task of one TaskGroup.

What it does stands in rows, so a killed worker loses nothing: a job that it held is taken up again when its heartbeat
has been missing for half a minute, and a unit is unmarked in the transaction that writes its forecast. On SIGTERM jobs
under way are finished, for as long as GRACE_S, and nothing new is begun.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import procrastinate
import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from commerce.desk import Desk
from gateway import clock, jobs
from gateway.bench import comparisons, drift, shadow
from gateway.db import pool as pools
from gateway.lifecycle import retention
from gateway.notify import mqtt
from gateway.notify.send import ATTEMPTS, Post, send
from gateway.notify.smtp import mailer
from gateway.replenish import habits, learn, prompts, reactions, score
from gateway.replenish.fulfil import Fulfilment
from gateway.settings import Settings

POLL_S = 1.0  # how soon a job is seen whose time has come; a new one wakes the worker at once
IDLE_S = 0.5  # between looks for units to score, when there were none
PROMPTS_S = 1.0
AGED_S = 10.0
LEARN_S = 60.0
RESUME_S = 30.0
STALLED_S = 30.0
PARTITIONS_S = 3_600.0
RETENTION_S = 3_600.0
SHADOW_S = 5.0
DRIFT_S = 600.0
COMPARISONS_S = 5.0
GRACE_S = 20.0
MONTHS_AHEAD = timedelta(days=62)
CONCURRENCY = 4
REACT_ATTEMPTS = 8  # about eight minutes: a unit's later events wait behind the one that fails
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chore:
    """Something done again and again; `work` returns whether there may be more at once."""

    name: str
    every_s: float
    work: Callable[[], bool]


class Worker:
    """One worker process; several may run on one database. `pool` is open and in the gateway's role.

    `fulfil` lets parcels leave and arrive by themselves; by default only where the world's time is accelerated, which
    settings allow in the demo and in tests alone.
    """

    def __init__(
        self, settings: Settings, dsn: str, pool: ConnectionPool, desk: Desk, *, fulfil: bool | None = None
    ) -> None:
        self.settings = settings
        self.desk = desk
        self.pool = pool
        self.queue = jobs.queue(pools.dsn_for(dsn, pools.Role.GATEWAY))
        self.fulfilment = Fulfilment(desk, self.begin, enabled=settings.pace is not None if fulfil is None else fulfil)
        smtp_url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        self.post = Post(mailer(smtp_url), settings.mail_from, settings.public_url)
        self._name_tasks()

    @contextmanager
    def begin(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection in one transaction that sees every tenant; commit at the end."""
        with self.pool.connection() as conn:
            yield conn

    # Jobs: each is one of these, by name.

    def react(self, event_id: int) -> None:
        """Take the steps that follow from an event."""
        with self.begin() as conn:
            reactions.react(conn, event_id, self.desk, clock.now())

    def send(self, message_id: int) -> None:
        """Send one mail."""
        send(self.begin, message_id, self.post)

    def hear(self, source: str, event_id: str) -> None:
        """Work on what the payment provider said."""
        self.desk.hear(source, event_id)

    def release(self, tenant_id: int, order_id: int) -> None:
        """Capture an order's money and hand it to fulfilment."""
        self.desk.release(tenant_id, order_id)

    def fulfil(self, tenant_id: int, order_id: int) -> None:
        """Take the next step of a parcel, where nobody else does."""
        self.fulfilment.step(tenant_id, order_id, clock.now())

    def _name_tasks(self) -> None:
        for work in (self.react, self.send, self.hear, self.release, self.fulfil):
            retry = jobs.Retry(REACT_ATTEMPTS if work == self.react else ATTEMPTS)
            self.queue.task(name=work.__name__, retry=retry)(_in_thread(work))

    # Chores: what time brings.

    def chores(self) -> tuple[Chore, ...]:
        """Return everything that is done again and again."""
        return (
            Chore("score", IDLE_S, self.score),
            Chore("aged", AGED_S, self.want_aged),
            Chore("prompts", PROMPTS_S, self.speak),
            Chore("learn", LEARN_S, self.learn),
            Chore("habits", LEARN_S, self.learn_habits),
            Chore("shadow", SHADOW_S, self.forecast_beside),
            Chore("drift", DRIFT_S, self.look_for_drift),
            Chore("comparisons", COMPARISONS_S, self.compare),
            Chore("resume", RESUME_S, self.resume),
            Chore("partitions", PARTITIONS_S, self.make_partitions),
            Chore("retention", RETENTION_S, self.let_go),
        )

    def score(self) -> bool:
        """Score units that have news."""
        with self.begin() as conn:
            return score.score_waiting(conn, clock.now()) > 0

    def want_aged(self) -> bool:
        """Have slots scored again that nobody spoke of for a day."""
        with self.begin() as conn:
            score.want_aged(conn, clock.now())
        return False

    def speak(self) -> bool:
        """Ask the owners who are to be asked now."""
        with self.begin() as conn:
            asked = prompts.speak(conn, clock.now())
        if asked:
            log.info("prompts", count=len(asked))
        return False

    def learn(self) -> bool:
        """Learn from finished cycles, one slot's model at a time."""
        with self.begin() as conn:
            ripe = learn.ripe(conn)
        for slot_id in ripe:
            try:
                with self.begin() as conn:
                    version = learn.learn(conn, slot_id, clock.now())
            except (ValueError, ArithmeticError, LookupError):  # it keeps no other from learning
                log.exception("not learned", slot_id=slot_id)
            else:
                log.info("learned", slot_id=slot_id, model_version_id=version)
        return False

    def learn_habits(self) -> bool:
        """Learn how units are used, one slot at a time."""
        with self.begin() as conn:
            stale = habits.stale(conn, clock.now())
        for slot_id in stale:
            try:
                with self.begin() as conn:
                    units = habits.learn(conn, slot_id, clock.now())
            except (ValueError, ArithmeticError, LookupError):
                log.exception("habits not learned", slot_id=slot_id)
            else:
                log.info("habits learned", slot_id=slot_id, units=units)
        return False

    def forecast_beside(self) -> bool:
        """Let challengers forecast in the shadow of the champions."""
        with self.begin() as conn:
            return shadow.forecast_beside(conn) > 0

    def compare(self) -> bool:
        """Work out a comparison that staff asked for in the console."""
        with self.begin() as conn:
            return comparisons.answer(conn, clock.now())

    def look_for_drift(self) -> bool:
        """Look once a day at each slot whether the world still is the one that its model learned from."""
        now = clock.now()
        with self.begin() as conn:
            slots = drift.aged(conn, now)
        for slot_id in slots:
            try:
                with self.begin() as conn:
                    alarms = drift.watch(conn, slot_id, now)
            except (ValueError, ArithmeticError, LookupError):  # it keeps no other from being looked at
                log.exception("not looked at for drift", slot_id=slot_id)
            else:
                if alarms:
                    log.warning("drift", slot_id=slot_id, alarms=alarms)
        return False

    def resume(self) -> bool:
        """Find again what payments left open."""
        with self.begin() as conn:
            tenants = [row[0] for row in conn.execute("select tenant_id from tenant order by tenant_id")]
        for tenant_id in tenants:
            try:
                self.desk.resume(tenant_id)
            except ExceptionGroup:  # one tenant's trouble keeps no other waiting
                log.exception("payments left open", tenant_id=tenant_id)
        return False

    def make_partitions(self) -> bool:
        """Have the store's partitions ready before readings come."""
        now = clock.now()
        with self.begin() as conn:
            conn.execute("select reading_partitions(%s, %s)", (now - MONTHS_AHEAD, now + MONTHS_AHEAD))
        return False

    def let_go(self) -> bool:
        """Let go of rows that have done their work and are old."""
        with self.begin() as conn:
            gone = retention.let_go(conn, self.settings, clock.now())
        if any(gone.values()):
            log.info("let go", **gone)
        return any(count >= retention.BATCH for count in gone.values())

    async def recover(self) -> int:
        """Take up again the jobs of workers whose heartbeat is gone; return how many."""
        stalled = list(await self.queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S))
        for job in stalled:
            await self.queue.job_manager.retry_job(job)
            log.warning("job taken up again", task=job.task_name, job_id=job.id)
        return len(stalled)

    # Running.

    def run(self) -> None:
        """Work until a signal to end comes; then finish what is under way."""
        asyncio.run(self.work())

    async def work(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, or without one until a signal to end comes; then finish what is under way."""
        if stop is None:
            stop = asyncio.Event()
            _end_on_signals(stop)
        threads = CONCURRENCY + len(self.chores()) + 2  # a slow mail server or provider holds up nothing else
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "worker"))
        try:
            if await jobs.opened(self.queue, stop):
                await self._work_everything(stop)
        finally:
            await self.queue.close_async()
        log.info("worker stopped")

    async def _work_everything(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work_jobs(stop), name="jobs")
            group.create_task(mqtt.run(self.settings, self.begin, stop), name="units")
            group.create_task(self._recover_stalled(stop), name="stalled")
            for chore in self.chores():
                group.create_task(_again_and_again(chore, stop), name=chore.name)

    async def _work_jobs(self, stop: asyncio.Event) -> None:
        """Work jobs; when the database goes away, come back with it."""
        pause = 1.0
        while not stop.is_set():
            working = asyncio.create_task(self._procrastinate(), name="procrastinate")
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if stop.is_set():
                working.cancel()
            try:
                await working
            except asyncio.CancelledError:
                if not stop.is_set():
                    raise
            except (psycopg.OperationalError, procrastinate.exceptions.ConnectorException, OSError) as error:
                log.warning("no jobs", error=str(error), again_s=pause)
                await _pause(pause, stop)
                pause = min(pause * 2, 30.0)

    async def _procrastinate(self) -> None:
        await self.queue.run_worker_async(
            name="wearwell",
            concurrency=CONCURRENCY,
            fetch_job_polling_interval=POLL_S,
            shutdown_graceful_timeout=GRACE_S,
            delete_jobs="successful",
            install_signal_handlers=False,
        )

    async def _recover_stalled(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.recover()
            except (psycopg.OperationalError, procrastinate.exceptions.ConnectorException) as error:
                log.warning("stalled jobs not looked at", error=str(error))
            await _pause(STALLED_S, stop)


def _in_thread(work: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    async def run(**arguments: Any) -> None:
        await asyncio.to_thread(work, **arguments)

    return run


async def _again_and_again(chore: Chore, stop: asyncio.Event) -> None:
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
        await _pause(rest * 2 ** min(failures, 5), stop)


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def _end_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
