"""Messages to units: the worker's one connection to the broker, and what waits in the outbox for it.

A forecast is retained, and holds every slot of its unit as it stands when it is sent: of several that wait, one goes.
A command is never retained: a unit that comes back later must not obey an old one.
"""

import asyncio
import json
import ssl
from collections.abc import Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiomqtt
import psycopg
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway import clock, metrics
from gateway.notify import outbox
from gateway.notify.outbox import Message
from gateway.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.notify.send import Begin

BATCH = 500
IDLE_S = 0.5
LONGEST_PAUSE_S = 30.0
log = structlog.get_logger()

SLOTS = """
select u.device, s.code, st.pct_left, st.eol_q10, st.eol_q50, st.eol_q90, st.stage, st.basis
from slot_state st join unit u on u.unit_id = st.unit_id join slot s on s.slot_id = st.slot_id
where u.device = any(%s) and st.forecast_id is not null order by s.slot_id"""


class Publication(NamedTuple):
    """One MQTT message, and the outbox rows that it answers."""

    topic: str
    payload: bytes
    retain: bool
    expires_s: int | None
    message_ids: list[int]


def publications(conn: psycopg.Connection, messages: Iterable[Message]) -> list[Publication]:
    """Turn outbox rows into what is published: one forecast for each unit, each command that has not expired."""
    forecasts: dict[str, list[int]] = {}
    found = []
    for message in messages:
        device = message.device
        if device is None:
            outbox.failed(conn, message.message_id, "not sent: the unit has no radio", give_up=True)
        elif message.kind == "forecast":
            forecasts.setdefault(device, []).append(message.message_id)
        elif (left := _seconds_left(message.payload)) is not None and left <= 0:
            outbox.failed(conn, message.message_id, "not sent: the command has expired", give_up=True)
        else:
            payload = _json({"v": 1, **message.payload})
            found.append(Publication(f"ww/v1/{device}/dn/cmd", payload, False, left, [message.message_id]))
    slots = _slots(conn, list(forecasts))
    for device, ids in forecasts.items():
        payload = _json({"v": 1, "slots": slots.get(device, {})})
        found.append(Publication(f"ww/v1/{device}/dn/forecast", payload, True, None, ids))
    return found


def _seconds_left(payload: dict[str, Any]) -> int | None:
    expires = payload.get("expires")
    return int(expires - clock.wall().timestamp()) if isinstance(expires, int | float) else None


def _slots(conn: psycopg.Connection, devices: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for device, code, left, q10, q50, q90, stage, basis in conn.execute(SLOTS, (devices,)):
        found.setdefault(device, {})[code] = {
            "left_pct": round(left),
            "eol": _date(q50),
            "earliest": _date(q10),
            "latest": _date(q90),
            "stage": stage,
            "basis": basis,
        }
    return found


def _date(at: datetime) -> str:
    return at.date().isoformat()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


async def publish_waiting(client: aiomqtt.Client, begin: "Begin") -> int:
    """Publish what waits with QoS 1 and mark it when the broker has it; return how many rows were answered."""

    def read() -> list[Publication]:
        with begin() as conn:
            return publications(conn, outbox.waiting(conn, "mqtt", BATCH))

    def mark(ids: list[int]) -> None:
        with begin() as conn:
            outbox.sent(conn, ids)

    ready = await asyncio.to_thread(read)
    for one in ready:
        properties = None
        if one.expires_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.MessageExpiryInterval = one.expires_s
        await client.publish(one.topic, one.payload, qos=1, retain=one.retain, properties=properties)
    ids = [message_id for one in ready for message_id in one.message_ids]
    if ids:
        await asyncio.to_thread(mark, ids)
    return len(ids)


@asynccontextmanager
async def connected(settings: Settings) -> "AsyncIterator[aiomqtt.Client]":
    """Connect to the broker as the gateway, under a client id of the worker's own."""
    url = urlsplit(settings.mqtt_url)
    secure = url.scheme == "mqtts"
    password = settings.mqtt_password
    async with aiomqtt.Client(
        url.hostname or "127.0.0.1",
        port=url.port or (8883 if secure else 1883),
        identifier="",  # the broker names it: two workers must not push each other out
        username=settings.mqtt_username,
        password=password.get_secret_value() if password else None,
        protocol=aiomqtt.ProtocolVersion.V5 if settings.mqtt_version == "5" else aiomqtt.ProtocolVersion.V311,
        tls_context=ssl.create_default_context(cafile=settings.mqtt_ca_file) if secure else None,
        timeout=10,
    ) as client:
        yield client


async def run(settings: Settings, begin: "Begin", stop: asyncio.Event) -> None:
    """Publish until `stop`; a broker that is away is asked again, ever more patiently."""
    pause = 1.0
    metrics.put("broker_connected", 0)
    while not stop.is_set():
        try:
            async with connected(settings) as client:
                pause = 1.0
                await _publish(client, begin, stop)
        except (aiomqtt.MqttError, psycopg.OperationalError, OSError) as error:
            log.warning("units cannot be told", error=str(error), again_s=pause)
            await _sleep(pause, stop)
            pause = min(pause * 2, LONGEST_PAUSE_S)


async def _publish(client: aiomqtt.Client, begin: "Begin", stop: asyncio.Event) -> None:
    """Publish what waits until `stop`. Raises MqttError when the connection ends, also with nothing to say."""
    lost = asyncio.create_task(_listen(client), name="broker's goodbye")
    metrics.put("broker_connected", 1)
    try:
        while not stop.is_set():
            if lost.done():
                await lost
            if not await publish_waiting(client, begin):
                await _sleep(IDLE_S, stop)
    finally:
        metrics.put("broker_connected", 0)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)


async def _listen(client: aiomqtt.Client) -> None:
    """Take messages, of which none come: nothing is subscribed. Raises MqttError when the connection ends."""
    async for _ in client.messages:
        continue


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
