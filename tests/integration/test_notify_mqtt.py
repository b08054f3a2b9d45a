"""What units are told: over a real broker, retained where the protocol says, never a command too late."""

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import psycopg
import pytest

from gateway import clock
from gateway.db import pool
from gateway.notify import mqtt, outbox
from gateway.settings import Settings
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import House

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """A broker that lets everybody in, and its port."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (tmp_path / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "broker.conf")], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            break
        except OSError:
            process.poll()
    yield port
    process.terminate()
    process.wait(10)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    found = fleet.build(conn)
    unit_id = fleet.enrol(conn, found)
    now = fleet.run(conn, unit_id, 60)
    fleet.set_clock(now)
    fleet.scored(conn, unit_id, now)
    conn.commit()
    yield found
    clock.accelerate(None)


def beginning(dsn: str) -> Any:
    @contextmanager
    def begin() -> Iterator[psycopg.Connection]:
        with pool.connect(dsn, pool.Role.GATEWAY) as conn:
            yield conn

    return begin


def waiting(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from outbox where sent_at is null and failed_at is null").fetchone()
    conn.commit()
    assert row
    return int(row[0])


async def test_a_forecast_is_retained_for_its_unit(
    conn: psycopg.Connection, dsn: str, house: House, broker: int
) -> None:
    """A unit that connects later finds where its slots stand; several that waited are one message."""
    outbox.put(
        conn,
        tenant_id=house.tenant_id,
        key="forecast:again",
        channel="mqtt",
        kind="forecast",
        payload={},
        device="acme.A1",
    )
    conn.commit()
    settings, stop = Settings(mqtt_url=f"mqtt://127.0.0.1:{broker}"), asyncio.Event()
    telling = asyncio.create_task(mqtt.run(settings, beginning(dsn), stop))
    async with asyncio.timeout(20):
        while await asyncio.to_thread(waiting, conn):  # noqa: ASYNC110  # what we wait for happens in the database
            await asyncio.sleep(0.1)
        stop.set()
        await telling
        async with aiomqtt.Client("127.0.0.1", broker) as unit:
            await unit.subscribe("ww/v1/acme.A1/dn/#")
            message = await anext(aiter(unit.messages))
    assert ("ww/v1/acme.A1/dn/forecast", True) == (str(message.topic), message.retain)
    assert isinstance(message.payload, bytes)
    told = json.loads(message.payload)
    state = fleet.standing(conn, 1)
    assert {"v", "slots"} == set(told)
    slot = told["slots"]["hepa"]
    assert (state["eol_q50"].date().isoformat(), "ok", "measured") == (slot["eol"], slot["stage"], slot["basis"])
    assert round(state["pct_left"]) == slot["left_pct"]
    assert slot["earliest"] <= slot["eol"] <= slot["latest"]


def test_a_command_is_not_retained_and_not_sent_too_late(conn: psycopg.Connection, house: House) -> None:
    """What has expired is given up; what has not carries its own expiry."""
    late, timely = clock.wall() - timedelta(minutes=1), clock.wall() + timedelta(minutes=1)
    for key, expires in (("late", late), ("timely", timely)):
        outbox.put(
            conn,
            tenant_id=house.tenant_id,
            key=key,
            channel="mqtt",
            kind="replay",
            payload={"id": key, "cmd": "replay", "expires": expires.timestamp(), "s": 7, "from": 1, "to": 2},
            device="acme.A1",
        )
    found = mqtt.publications(conn, outbox.waiting(conn, "mqtt", 10))
    assert {"ww/v1/acme.A1/dn/cmd": False, "ww/v1/acme.A1/dn/forecast": True} == {p.topic: p.retain for p in found}
    command = next(p for p in found if not p.retain)
    assert ("timely", True) == (json.loads(command.payload)["id"], 0 < (command.expires_s or 0) <= 60)
    assert [("late",)] == conn.execute("select key from outbox where failed_at is not null").fetchall()


async def test_a_broker_that_is_away_loses_nothing(conn: psycopg.Connection, dsn: str, house: House) -> None:
    """What waits goes on waiting, and stopping does not hang."""
    stop = asyncio.Event()
    telling = asyncio.create_task(mqtt.run(Settings(mqtt_url="mqtt://127.0.0.1:9"), beginning(dsn), stop))
    await asyncio.sleep(0.5)
    stop.set()
    async with asyncio.timeout(5):
        await telling
    assert 1 == waiting(conn)
