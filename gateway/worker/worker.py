"""The worker: jobs, forecasts, prompts, messages to units, upkeep; each a named task of one TaskGroup.

What it does stands in rows, so a killed worker loses nothing: a job that it held is taken up again when its heartbeat
has been missing for half a minute, and a unit is unmarked in the transaction that writes its forecast. On SIGTERM jobs
under way are finished, for as long as GRACE_S, and nothing new is begun.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import procrastinate
import psycopg
import structlog
from psycopg_pool import ConnectionPool

from commerce.desk import Desk
from gateway import clock, jobs
from gateway.db import pool as pools
from gateway.notify import mqtt
from gateway.notify.send import ATTEMPTS, Post, send
from gateway.notify.smtp import mailer
from gateway.replenish import reactions
from gateway.replenish.fulfil import Fulfilment
from gateway.settings import Settings
from gateway.worker.chores import Chores
from gateway.worker.rounds import again_and_again, end_on_signals, in_thread, pause

POLL_S = 1.0  # how soon a job is seen whose time has come; a new one wakes the worker at once
STALLED_S = 30.0
GRACE_S = 20.0
CONCURRENCY = 4
REACT_ATTEMPTS = 8  # about eight minutes: a unit's later events wait behind the one that fails
log = structlog.get_logger()


class Worker(Chores):
    """One worker process; several may run on one database. `pool` is open and in the gateway's role.

    `fulfil` lets parcels leave and arrive by themselves; by default only where the world's time is accelerated, which
    settings allow in the demo and in tests alone.
    """

    def __init__(
        self, settings: Settings, dsn: str, pool: ConnectionPool, desk: Desk, *, fulfil: bool | None = None
    ) -> None:
        super().__init__(settings, pool, desk)
        self.queue = jobs.queue(pools.dsn_for(dsn, pools.Role.GATEWAY))
        self.fulfilment = Fulfilment(desk, self.begin, enabled=settings.pace is not None if fulfil is None else fulfil)
        smtp_url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        self.post = Post(mailer(smtp_url), settings.mail_from, settings.public_url)
        self._name_tasks()

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
            self.queue.task(name=work.__name__, retry=retry)(in_thread(work))

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
            end_on_signals(stop)
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
                group.create_task(again_and_again(chore, stop), name=chore.name)

    async def _work_jobs(self, stop: asyncio.Event) -> None:
        """Work jobs; when the database goes away, come back with it."""
        again_s = 1.0
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
                log.warning("no jobs", error=str(error), again_s=again_s)
                await pause(again_s, stop)
                again_s = min(again_s * 2, 30.0)

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
            await pause(STALLED_S, stop)
