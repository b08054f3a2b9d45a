"""The worker, whole: it forecasts, prompts, pays, ships, begins the next cycle; stops cleanly, and survives a kill."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from psycopg import conninfo

from commerce.desk import Desk, OrderEvent
from gateway import clock, jobs, metrics
from gateway.db import pool, readiness
from gateway.events import Event, EventType
from gateway.ingest import readiness as ingest_readiness
from gateway.notify import outbox
from gateway.notify.mail import Mail
from gateway.notify.smtp import KeptMail
from gateway.operate import mosquitto, ports
from gateway.registry import history
from gateway.replenish import learn
from gateway.settings import Settings
from gateway.worker.worker import Worker
from tests.integration import replenish_fleet as fleet
from tests.shop import BORN, Shop

PROMPTED = timedelta(days=104)


def tell(conn: psycopg.Connection, told: OrderEvent) -> None:
    payload = {"order_id": told.order_id} | ({"card_kept": told.card_kept} if told.card_kept else {})
    kind = EventType(told.type)
    history.record(conn, Event(told.tenant_id, told.unit_id, told.slot_id, kind, told.key, told.at, payload))


@pytest.fixture
def worker(shop: Shop) -> Iterator[Worker]:
    """A worker of the shop whose mails stay in the outbox; a broker it does not have must not bother it."""
    settings = Settings(mqtt_url="mqtt://127.0.0.1:9", public_url="https://parts.example")
    desk = Desk(shop.payments, shop.begin, tell, clock.now, clock.wall, undo=timedelta(hours=6))
    yield Worker(settings, shop.dsn, shop.pool, desk, fulfil=True)
    clock.accelerate(None)


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """Let a worker work while the block runs, then let it stop as on SIGTERM."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.work(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task


async def until(shop: Shop, query: str, *wanted: Any, seconds: float = 40) -> None:
    """Wait until a query finds what is wanted."""
    found: list[Any] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await asyncio.to_thread(shop.sql, query)
        if found == list(wanted):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{query}: wanted {wanted}, found {found}")


def hasten(now: datetime, days_a_second: float) -> None:
    clock.accelerate(clock.Pace(now, clock.wall(), 86_400 * days_a_second))


async def test_from_readings_to_the_next_cycle(shop: Shop, worker: Worker) -> None:
    """A worn unit is forecast, its owner asked once and pays with one tap; parcel, fitting, next cycle follow."""
    shop.save_card()
    with shop.begin(shop.tenant_id) as conn:
        now = fleet.run(conn, shop.unit_id, 104)
    hasten(now, 0.5)
    async with working(worker):
        await until(shop, "select kind, rendered is not null from outbox where channel = 'email'", ("prompt", True))
        placed = await asyncio.to_thread(shop.tap, worker.desk)
        assert ("paid", None) == (placed.order.state, placed.go_to)
        await until(shop, "select state from prompt", ("ordered",))
        await until(shop, "select state from purchase", ("delivered",))
        with shop.begin(shop.tenant_id) as conn:
            fitting = Event(
                shop.tenant_id, shop.unit_id, shop.slot_id, EventType.PART_FITTED, "e1", clock.now(), {"by": "button"}
            )
            history.record(conn, fitting)
        await until(shop, "select state from purchase", ("fitted",))
        await until(shop, "select count(*) from slot_state where stage = 'ok' and forecast_id is not null", (1,))
    assert [(2, 1)] == shop.sql("select count(*), count(label) from cycle")
    assert [(2880,)] == shop.sql("select amount_minor from payment where state = 'captured'")
    mails = shop.sql("select kind from outbox where channel = 'email' and sent_at is not null order by message_id")
    assert [("prompt",), ("order_received",), ("order_shipped",)] == mails
    assert [("closed",)] == shop.sql("select state from prompt")
    assert [(0,)] == shop.sql("select count(*) from event where handled_at is null")
    assert [] == shop.sql("select task_name from procrastinate_jobs where status = 'failed'")


async def test_stopping_finishes_what_is_under_way(shop: Shop, worker: Worker) -> None:
    """A mail that is being handed over when SIGTERM comes is handed over and marked; the next one waits."""
    taken: list[str] = []

    class Slow(KeptMail):
        def deliver(self, mail: Mail) -> None:
            time.sleep(2)
            taken.append(mail.to)

    worker.post = type(worker.post)(Slow(), worker.post.sender, worker.post.public_url)
    with shop.begin(shop.tenant_id) as conn:
        put_sign_in(conn, shop, "first")
    async with working(worker):
        await until(shop, "select attempts from outbox where kind = 'sign_in'", (1,))
    assert {"owner@example.com"} == set(taken)
    marked = shop.sql("select sent_at is not null from outbox where attempts > 0")
    assert [(True,)] * len(taken) == marked
    assert [] == shop.sql("select task_name from procrastinate_jobs where status = 'doing'")


async def test_sigterm_ends_the_worker(shop: Shop, worker: Worker) -> None:
    """A process that is told to end ends, well within the grace it has."""
    task = asyncio.create_task(worker.work())
    await until(shop, "select count(*) from procrastinate_workers", (1,))
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
    assert [(0,)] == shop.sql("select count(*) from procrastinate_workers")


def put_sign_in(conn: psycopg.Connection, shop: Shop, key: str) -> None:
    outbox.put(
        conn,
        tenant_id=shop.tenant_id,
        key=key,
        channel="email",
        kind="sign_in",
        payload={},
        party_id=shop.party_id,
    )


async def test_s48_a_killed_worker_s_job_is_taken_up_again(shop: Shop, worker: Worker) -> None:
    """A job that a dead worker held is done by the next one, once."""
    with shop.begin(shop.tenant_id) as conn:
        happened = Event(
            shop.tenant_id, shop.unit_id, shop.slot_id, EventType.PART_FITTED, "e1", BORN + PROMPTED, {"by": "button"}
        )
        history.record(conn, happened)
        conn.execute(
            """with dead as (insert into procrastinate_workers (last_heartbeat)
                             values (now() - interval '10 minutes') returning id)
               update procrastinate_jobs set status = 'doing', worker_id = dead.id from dead"""
        )
    async with working(worker):
        await until(shop, "select count(*) from cycle", (2,))
    assert [(0,)] == shop.sql("select count(*) from event where handled_at is null")


async def test_a_job_that_fails_comes_again(shop: Shop, worker: Worker) -> None:
    """An order that cannot be released is tried again later; its attempts are counted where one can see them."""
    with shop.begin(shop.tenant_id) as conn:
        jobs.defer(conn, "release", tenant_id=shop.tenant_id, order_id=999)
    async with working(worker):
        await until(shop, "select attempts > 0, status::text from procrastinate_jobs", (True, "todo"))


def test_one_tenant_s_trouble_keeps_no_other_waiting(
    shop: Shop, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments of every tenant are resumed, whatever goes wrong with those of one."""
    shop.sql("insert into tenant (slug, name, created_at) values ('other', 'Another maker', %s)", BORN)
    resumed = []

    def resume(tenant_id: int) -> None:
        resumed.append(tenant_id)
        raise ExceptionGroup("out of order", [RuntimeError()])

    monkeypatch.setattr(worker.desk, "resume", resume)
    worker.resume()
    assert 2 == len(set(resumed))


def test_one_slot_s_labels_keep_no_other_from_learning(
    shop: Shop, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slot is learned by itself."""
    learned = []

    def broken(_conn: psycopg.Connection, slot_id: int, _now: datetime) -> int:
        learned.append(slot_id)
        raise ValueError("labels that cannot be")

    monkeypatch.setattr(learn, "ripe", lambda _conn: [1, 2])
    monkeypatch.setattr(learn, "learn", broken)
    worker.learn()
    assert [1, 2] == learned


async def test_one_failing_chore_does_not_stop_the_others(
    shop: Shop, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts that cannot be made keep nobody from being forecast."""
    hasten(BORN + timedelta(days=1), 1e-6)

    def broken() -> bool:
        raise RuntimeError("out of order")

    monkeypatch.setattr(worker, "speak", broken)
    async with working(worker):
        await until(shop, "select count(*) from forecast", (1,))


async def test_a_worker_waits_for_a_database_that_comes_later(shop: Shop, worker: Worker, template_db: str) -> None:
    """Nothing to connect to at the start: it asks again, and works once the database is there."""
    name = f"ww_late_{uuid.uuid4().hex[:8]}"
    late = conninfo.make_conninfo(shop.dsn, dbname=name)
    with psycopg.connect(conninfo.make_conninfo(shop.dsn, dbname="postgres"), autocommit=True) as owner:
        try:
            with pool.open_pool(late, pool.Role.GATEWAY) as waiting:
                worker = Worker(worker.settings, late, waiting, worker.desk)
                async with working(worker):
                    await asyncio.sleep(1)
                    owner.execute(f"create database {name} template {template_db}")

                    def there() -> bool:
                        with psycopg.connect(late) as conn:
                            return conn.execute("select 1 from wearwell.procrastinate_workers").fetchone() is not None

                    async with asyncio.timeout(40):
                        while not await asyncio.to_thread(there):  # noqa: ASYNC110  # it happens in the database
                            await asyncio.sleep(0.2)
        finally:
            owner.execute(f"drop database if exists {name} with (force)")


async def test_a_worker_told_to_end_while_its_database_is_away_ends(shop: Shop, worker: Worker) -> None:
    """It does not finish waiting first: whoever stops a house does not wait for a database that is not there."""
    away = conninfo.make_conninfo(shop.dsn, dbname="ww_never")
    with pool.open_pool(away, pool.Role.GATEWAY) as never:
        worker = Worker(worker.settings, away, never, worker.desk)
        stop = asyncio.Event()
        task = asyncio.create_task(worker.work(stop))
        await asyncio.sleep(1)
        stop.set()
        async with asyncio.timeout(5):
            await task


async def test_a_worker_never_gives_up_on_its_database(
    shop: Shop, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the queue cannot be opened, it is tried again, after a pause."""
    tried: list[float] = []
    really = worker.queue.open_async

    def refuse() -> Any:
        tried.append(time.monotonic())
        if len(tried) > 2:
            return really()
        raise ConnectorException

    async def open_async() -> None:
        await refuse()

    monkeypatch.setattr(worker.queue, "open_async", open_async)
    async with working(worker):
        await until(shop, "select count(*) from procrastinate_workers", (1,))
    assert 3 == len(tried)
    assert tried[2] - tried[1] >= tried[1] - tried[0] >= 0.5


def test_a_worker_without_database_and_broker_says_so_and_ends_when_told(tmp_path: Path) -> None:
    """/readyz names both, /healthz is ok, nobody gives up, and SIGTERM ends it at once."""
    metrics_port, nobody = ports.free(0), ports.free(0)
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEARWELL_")} | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "WEARWELL_DATABASE_DSN": f"postgresql://wearwell_service@127.0.0.1:{nobody}/wearwell",
        "WEARWELL_MQTT_URL": f"mqtt://127.0.0.1:{nobody}",
        "WEARWELL_METRICS_PORT": str(metrics_port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "work"], env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert ports.answers(metrics_port, within_s=30)
        answer = httpx.get(f"http://127.0.0.1:{metrics_port}/readyz")
        assert "wearwell_units" not in httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30).text
        said = {"broker": ingest_readiness.BROKER_AWAY, "database": readiness.AWAY}
        assert (503, {"ready": False, "checks": said}) == (answer.status_code, answer.json())
        assert "ok" == httpx.get(f"http://127.0.0.1:{metrics_port}/healthz").text
        time.sleep(1)
        process.terminate()
        _, lines = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert 0 == process.returncode, lines
    assert "Traceback" not in lines
    assert "worker stopped" in lines


async def test_a_worker_says_whether_the_broker_has_it(shop: Shop, worker: Worker) -> None:
    """While it is connected the gauge stands at 1; a broker that goes away is noticed with nothing to publish."""
    program = mosquitto.find()
    if program is None:
        pytest.skip("no Mosquitto on this machine")
    port = ports.free(0)
    worker.settings = Settings(mqtt_url=f"mqtt://127.0.0.1:{port}")
    broker = await asyncio.create_subprocess_exec(program, "-p", str(port), stderr=asyncio.subprocess.DEVNULL)
    assert await asyncio.to_thread(ports.answers, port, within_s=10)

    async def shown(value: int) -> None:
        async with asyncio.timeout(20):
            while metrics.value("broker_connected") != value:  # noqa: ASYNC110  # a thread of the worker puts it
                await asyncio.sleep(0.1)

    async with working(worker):
        await shown(1)
        broker.terminate()
        await broker.wait()
        await shown(0)
