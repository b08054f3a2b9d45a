"""Thousands of units that come back at the same moment, as docs/protocol.md asks them to: with back-off and jitter."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from tests.faults import wire
from tests.faults.ledger import Book

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 120.0
RESEND = 30.0  # seconds without a receipt


class StormUnit:
    """A unit that stays connected, and sends what is not receipted on every new connection."""

    def __init__(self, book: Book, device: str, port: int, attempts: "Counter[int]") -> None:
        self.book, self.device, self.port, self.attempts = book, device, port, attempts
        self.journal: list[dict[str, float]] = []
        self.sent_at: list[int] = []
        self.through = 0
        self._random = random.Random(device)
        self._writer: asyncio.StreamWriter | None = None

    @property
    def settled(self) -> bool:
        return self.through >= len(self.journal)

    def measure(self) -> None:
        """Take one sample, and send it where there is a connection."""
        ms = round(time.time() * 1_000)
        self.journal.append({"runtime": float(len(self.journal)), "pm25": 1.0})
        self.sent_at.append(ms)
        self.book.attempted(self.device, 1, len(self.journal), [(ms, self.journal[-1])])
        self._send()

    async def live(self) -> None:
        """Connect, stay, and come back whenever the connection is lost."""
        pause = FIRST_PAUSE
        while True:
            self.attempts[int(time.monotonic() * 10)] += 1
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    await self._listen(reader)
                    pause = FIRST_PAUSE
                finally:
                    self._writer.close()
                    self._writer = None
            await asyncio.sleep(pause * self._random.uniform(0.2, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        assert self._writer
        self._writer.write(wire.connect(self.device))
        async with asyncio.timeout(60):
            assert wire.CONNACK == (await wire.read(reader)).kind
        self._writer.write(wire.subscribe(f"ww/v1/{self.device}/dn/#"))
        self._send()
        with suppress(asyncio.IncompleteReadError, OSError):  # it was connected: the next pause is a short one
            while True:
                packet = await wire.read(reader)
                if packet.kind == wire.PUBACK:
                    self.book.acknowledged(self.device, 1, self.through + 1, int.from_bytes(packet.body[:2]))
                elif packet.kind == wire.PUBLISH:
                    topic, payload, mid = wire.message(packet)
                    self._writer.write(wire.puback(mid))
                    self._hear(topic, json.loads(payload))

    def _hear(self, topic: str, told: dict[str, int]) -> None:
        if topic.endswith("/dn/receipt") and "through" in told:
            self.through = max(self.through, told["through"])
            self.book.receipted(self.device, 1, told["through"])
        elif topic.endswith("/dn/cmd"):
            self._send()

    def _send(self) -> None:
        if self._writer is None or self.settled:
            return
        base = self.sent_at[self.through]
        told = {"v": 1, "s": 1, "q": self.through + 1, "t": base / 1_000, "c": "synced"}
        samples = zip(self.sent_at[self.through :], self.journal[self.through :], strict=True)
        told["r"] = [[(ms - base) / 1_000, values] for ms, values in samples]
        # The message's id is the last sample in it, so that its acknowledgement says what it was for.
        self._writer.write(wire.publish(f"ww/v1/{self.device}/tlm", json.dumps(told).encode(), len(self.journal)))


class Storm:
    """The whole fleet, in one event loop."""

    def __init__(self, book: Book, devices: Iterable[str], port: int) -> None:
        self.attempts: Counter[int] = Counter()  # connections begun, by tenth of a second
        self.units = [StormUnit(book, device, port, self.attempts) for device in devices]
        self._tasks = [asyncio.create_task(unit.live()) for unit in self.units]

    def measure(self) -> None:
        """Let every unit take one sample."""
        for unit in self.units:
            unit.measure()

    async def settled(self, seconds: float) -> float:
        """Wait until everything is receipted, telling units to send again now and then; return how long it took."""
        began = resent = time.monotonic()
        while waiting := [unit for unit in self.units if not unit.settled]:
            assert time.monotonic() - began < seconds, f"{len(waiting)} of {len(self.units)} units wait for a receipt"
            if time.monotonic() - resent > RESEND:
                resent = time.monotonic()
                for unit in waiting:
                    unit._send()
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def close(self) -> None:
        """End every unit."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
