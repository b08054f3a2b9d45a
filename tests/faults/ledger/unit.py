"""A unit with a journal, as docs/protocol.md asks for one, that notes everything it does in the ledger."""

import json
import random
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.faults.ledger.book import Book

RESEND = 2.0  # seconds without a receipt after which a unit sends again; doubled each time
LONGEST_RESEND = 30.0
WINDOW = 2_000  # samples under way without a receipt
AT_ONCE = 100  # samples in one message, where they waited
BORN = 1_577_836_800.0  # 2020-01-01: the counter began there, and never counts faster than the clock


@dataclass(frozen=True, slots=True)
class Login:
    """A unit's name, and its secret where the broker asks for one."""

    device: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """Where units reach the broker: mqtt:// or mqtts://, with the authority that vouches for it."""

    url: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.url)
        return url.hostname or "127.0.0.1", url.port or (8883 if url.scheme == "mqtts" else 1883)

    def tls(self) -> ssl.SSLContext | None:
        """Return what makes the connection secure, or None; raises OSError for files that cannot be used."""
        if urlsplit(self.url).scheme != "mqtts":
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


class LedgerUnit:
    """One unit: it measures, sends, sends again what is not receipted, and answers replays.

    What is receipted leaves the journal, so that a long run needs no more memory than what is under way.
    """

    def __init__(self, book: Book, door: Door, login: Login, *, session: int, resend: float = RESEND) -> None:
        self.book, self.device, self.session = book, login.device, session
        self.count = self.sent = self.through = self.acknowledged = self.repeated = 0
        self.refusals: dict[str, str] = {}
        self.trouble: str | None = "no answer yet"
        self._resend = self._patience = resend
        self._moved = time.monotonic()
        self._journal: dict[int, tuple[int, dict[str, float]]] = {}
        self._under_way: dict[int, tuple[int, int]] = {}
        self._early: set[int] = set()  # acknowledged before we had noted what it was
        self._lock = threading.Lock()
        self._random = random.Random(login.device)  # seeded, so that a run can be repeated
        self._measured = time.time()
        self._runtime = (self._measured - BORN) / 3_600
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=login.device, clean_session=False)
        if login.secret is not None:
            self.client.username_pw_set(login.device, login.secret)
        if context := door.tls():
            self.client.tls_set_context(context)
        self.client.max_inflight_messages_set(50)
        self.client.on_connect, self.client.on_disconnect = self._connected, self._lost
        self.client.on_subscribe = self._subscribed
        self.client.on_message, self.client.on_publish = self._hear, self._acknowledged
        self.client.reconnect_delay_set(1, 2)
        self.client.connect_async(*door.address, keepalive=10)
        self.client.loop_start()

    def measure(self, samples: int) -> None:
        """Measure so many times and send it as one batch, or later where too much is under way."""
        now = time.time()
        told, step = [], (now - self._measured) / samples
        for place in range(1, samples + 1):
            self._runtime = round(self._runtime + self._random.random() * step / 3_600, 9)
            values = {"runtime": self._runtime, "pm25": float(self._random.randint(0, 200))}
            told.append((round((self._measured + place * step) * 1_000), values))
        self._measured = now
        first = self.count + 1
        self.book.attempted(self.device, self.session, first, told)
        with self._lock:
            self._journal.update(enumerate(told, first))
            self.count += samples
        self.pump(samples)

    def pump(self, most: int = AT_ONCE) -> None:
        """Send what waits in the journal, as far as the window allows."""
        while True:
            with self._lock:
                first, last = self.sent + 1, min(self.count, self.sent + max(most, AT_ONCE), self.through + WINDOW)
                self.sent = max(last, self.sent)
            if last < first:
                return
            self.send(first, last)

    def send(self, first: int, last: int) -> bool:
        """Send these samples as one message; say False where the journal has none of them any more."""
        with self._lock:
            held = {seq: self._journal[seq] for seq in range(first, last + 1) if seq in self._journal}
        if not held:
            return False
        first, base = min(held), held[min(held)][0]
        told = {"v": 1, "s": self.session, "q": first, "t": base / 1_000, "c": "synced"}
        told["r"] = [[(ms - base) / 1_000, values] for ms, values in held.values()]
        self._publish("tlm", told, (first, max(held)))
        return True

    def settled(self) -> bool:
        """Say whether everything is receipted; send again what has waited for long."""
        if self.through >= self.count:
            return True
        if self.trouble is None and time.monotonic() - self._moved > self._patience:
            self._moved, self._patience = time.monotonic(), min(2 * self._patience, LONGEST_RESEND)
            with self._lock:
                self.repeated += self.sent - self.through
                self.sent = self.through
            self.pump()
        return False

    def close(self) -> None:
        """Leave the broker, which keeps the session."""
        self.client.disconnect()
        self.client.loop_stop()

    def _publish(self, leaf: str, told: dict[str, Any], span: tuple[int, int] | None) -> None:
        # Not under the lock: paho holds its own both while publishing and while it tells of an acknowledgement.
        mid = self.client.publish(f"ww/v1/{self.device}/{leaf}", json.dumps(told), qos=1).mid
        if span is None:
            return
        with self._lock:
            self._under_way[mid] = span
            early = mid in self._early
        if early:
            self._acknowledged(None, None, mid)

    def _connected(self, client: mqtt.Client, _: Any, __: Any, reason: Any, *___: Any) -> None:
        self.trouble = str(reason) if reason.is_failure else None
        if self.trouble is None:
            client.subscribe(f"ww/v1/{self.device}/dn/#", 1)

    def _lost(self, _: Any, __: Any, ___: Any, reason: Any, *____: Any) -> None:
        self.trouble = self.trouble or f"the connection is lost: {reason}"

    def _subscribed(self, _: Any, __: Any, ___: Any, reasons: list[Any], *____: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self.trouble = f"the broker refuses it ww/v1/{self.device}/dn/#, where receipts come"

    def _acknowledged(self, _: Any, __: Any, mid: int, *___: Any) -> None:
        with self._lock:
            span = self._under_way.pop(mid, None)
            (self._early.add if span is None else self._early.discard)(mid)
            self.acknowledged = max(self.acknowledged, span[1] if span else 0)
        if span:
            self.book.acknowledged(self.device, self.session, *span)

    def _hear(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        told = json.loads(message.payload)
        if message.topic.endswith("/dn/receipt"):
            if "error" in told:
                self.refusals[told["error"]] = told.get("detail", "")
                self.book.refused(self.device, told["error"], told.get("detail", ""))
            elif told.get("s") == self.session and "through" in told:
                self._receipted(told["through"])
        elif message.topic.endswith("/dn/cmd") and told.get("cmd") == "replay":
            self._replay(told)

    def _receipted(self, through: int) -> None:
        self.book.receipted(self.device, self.session, through)
        if through <= self.through:
            return
        with self._lock:
            for seq in range(self.through + 1, through + 1):
                self._journal.pop(seq, None)
            self.through, self.sent = through, max(self.sent, through)
        self._moved, self._patience = time.monotonic(), self._resend
        if self.sent < self.count:
            self.pump()

    def _replay(self, told: dict[str, Any]) -> None:
        """Send a gap's samples again; what the journal has no more, as after a new start, is said to be lost."""
        found = False
        if told["s"] == self.session:
            for first in range(told["from"], told["to"] + 1, AT_ONCE):
                found |= self.send(first, min(told["to"], first + AT_ONCE - 1))
        answer = {"status": "done"} if found else {"status": "failed", "detail": "lost"}
        self._publish("up/reply", {"v": 1, "id": told["id"], **answer}, None)
