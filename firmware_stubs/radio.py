"""One unit's connection: MQTT 5 (or 3.1.1), a persistent session, its own credential, and patience."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import numpy as np
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware_stubs import wire
from firmware_stubs.faults import Fault
from firmware_stubs.unit import Unit
from firmware_stubs.wire import Message, WireError

SESSION_S = 7 * 86_400  # how long the broker keeps what it has for a unit that is away
WINDOW = 2_000  # samples sent ahead of their receipt
RECEIPT_S = 30.0  # of the wall clock: then everything without a receipt goes out again; doubled each time, to
RECEIPT_MAX_S = 600.0
STEADY_S = 30.0  # a connection that held this long forgets the failures before it
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 120.0


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and which authority vouches for it."""

    url: str
    ca_file: Path | None = None
    version: str = "5"  # of MQTT; with 3.1.1 the encoding is told by the first byte alone

    def address(self) -> tuple[str, int, ssl.SSLContext | None]:
        """Return host, port and, for mqtts, how to check its certificate. Raises ValueError."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("the broker's URL must look like mqtt://host:1883 or mqtts://host:8883")
        secure = parts.scheme == "mqtts"
        context = ssl.create_default_context(cafile=self.ca_file) if secure else None
        return parts.hostname, parts.port or (8883 if secure else 1883), context


def pause_s(attempt: int, rng: np.random.Generator) -> float:
    """Return how long to wait before connection attempt `attempt` (0 first): doubling, with full jitter, never zero."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt, 30))
    return float(rng.uniform(0.2, 1.0)) * longest


class Patience:
    """How long what was sent may lack a receipt before it goes out again: doubled each time, until a receipt comes."""

    def __init__(self, now: float) -> None:
        """Begin at `now`, in seconds."""
        self._lasts, self._since, self._receipted = RECEIPT_S, now, 0

    def over(self, now: float, *, waiting: bool, receipted: int) -> bool:
        """Say whether it is over; `waiting`: something lacks its receipt, `receipted`: how much had one so far."""
        if receipted != self._receipted or not waiting:
            self._lasts, self._since, self._receipted = RECEIPT_S, now, receipted
        elif now - self._since > self._lasts:
            self._lasts, self._since = min(2 * self._lasts, RECEIPT_MAX_S), now
            return True
        return False


class Radio:
    """A unit on the air: what it has goes out, what it hears goes in, and trouble is waited out."""

    def __init__(
        self,
        unit: Unit,
        secret: str,
        broker: Broker,
        now: Callable[[], float],
        *,
        rng: np.random.Generator,
        flush_s: float = 1.0,
        cbor: bool = False,
        fault: Fault | None = None,
    ) -> None:
        """Carry `unit`; `now` is the world's time in Unix seconds, `flush_s` wall-clock seconds between batches."""
        self.unit = unit
        self.online = False
        self.sent = 0  # samples, those sent again included
        self.trouble: str | None = None
        self.client: aiomqtt.Client | None = None  # while it is connected
        self._secret = secret
        self._broker = broker
        self._now = now
        self._rng = rng
        self._flush_s = flush_s
        self._cbor = cbor
        self._fault = fault
        self._heard = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Say good night and end `run`."""
        self._stop.set()
        self._heard.set()

    async def run(self, first_pause: float = 0.0) -> None:
        """Keep the unit connected until `stop`."""
        await self._wait(self._stop, first_pause)
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self._stop.is_set():
            since = loop.time()
            try:
                async with self._client() as client:
                    await self._converse(client)
                continue  # it has rebooted, or we are to stop
            except* (aiomqtt.MqttError, OSError) as troubles:
                self.trouble = str(troubles.exceptions[0])
            self.online, self.client = False, None
            attempt = 0 if loop.time() - since > STEADY_S else attempt + 1
            await self._wait(self._stop, pause_s(attempt, self._rng))
        self.online, self.client = False, None

    def _client(self) -> aiomqtt.Client:
        host, port, context = self._broker.address()
        five = self._broker.version == "5"
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        properties.SessionExpiryInterval = SESSION_S
        will = wire.encode(wire.state(self.unit.session, "lost"), cbor=self._cbor)
        return aiomqtt.Client(
            host,
            port,
            username=self.unit.device,
            password=self._secret,
            identifier=self.unit.device,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else False,
            clean_start=False if five else MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties if five else None,
            will=aiomqtt.Will(wire.topic(self.unit.device, "state"), will, qos=1, retain=True),
            tls_context=context,
            timeout=60,
        )

    async def _converse(self, client: aiomqtt.Client) -> None:
        await client.subscribe(wire.topic(self.unit.device, "dn/#"), qos=1)
        birth = self.unit.birth()
        await self._say(client, "state", birth, retain=True)
        self.online, self.trouble, self.client = True, None, client
        self.unit.reconnected()
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(client), name=f"listen {self.unit.device}")
            await self._talk(client, birth)
            listening.cancel()
        if self._stop.is_set():
            await self._say(client, "state", wire.state(self.unit.session, "sleeping"), retain=True)

    async def _talk(self, client: aiomqtt.Client, told: Message) -> None:
        """Publish what the unit has, until it reboots; send again what gets no receipt for long."""
        loop = asyncio.get_running_loop()
        session, journal = self.unit.session, self.unit.journal
        samples, events = Patience(loop.time()), Patience(loop.time())
        while not self._stop.is_set() and self.unit.session == session:
            self.unit.advance(self._now())
            if self.unit.session == session and (birth := self.unit.birth()) != told:  # another part is in a slot
                told = birth
                await self._say(client, "state", birth, retain=True)
            await self._flush(client)
            if samples.over(loop.time(), waiting=journal.outstanding > 0, receipted=journal.receipted):
                self.unit.reconnected()
            if events.over(loop.time(), waiting=bool(self.unit.events), receipted=self.unit.events_receipted):
                self.unit.repeat_events()
            self._heard.clear()
            await self._wait(self._heard if journal.unsent else self._stop, self._flush_s)

    async def _flush(self, client: aiomqtt.Client) -> None:
        for event in self.unit.outgoing_events():
            await self._say(client, "evt", event)
        while (batch := self.unit.outgoing(window=WINDOW)) and not self._stop.is_set():
            for out in self._fault(batch) if self._fault else [batch]:
                await self._say(client, "tlm", out)

    async def _listen(self, client: aiomqtt.Client) -> None:
        start = len(wire.topic(self.unit.device, ""))
        async for received in client.messages:
            content_type = getattr(received.properties, "ContentType", None)
            with contextlib.suppress(WireError):
                message = wire.decode(bytes(received.payload), content_type)
                for leaf, answer in self.unit.hear(str(received.topic)[start:], message):
                    await self._say(client, leaf, answer)
            self._heard.set()

    async def _say(self, client: aiomqtt.Client, leaf: str, message: Message, *, retain: bool = False) -> None:
        properties = None
        if self._broker.version == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.ContentType = wire.CBOR if self._cbor else wire.JSON
        payload = wire.encode(message, cbor=self._cbor)
        self.sent += len(message.get("r", ()))
        await client.publish(
            wire.topic(self.unit.device, leaf), payload, qos=1, retain=retain, properties=properties, timeout=60
        )

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
