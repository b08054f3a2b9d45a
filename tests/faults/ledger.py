"""The ledger: what was attempted, acknowledged and receipted, against what the store holds.

    python -m tests.faults.ledger publish --url mqtt://127.0.0.1:1883 --devices acme.1,acme.2 --file run.jsonl
    python -m tests.faults.ledger check --dsn postgresql://… --file run.jsonl

`publish` plays units that keep a journal: they send again what was not receipted and answer replays. `check` exits
with 1 and says what is lost, doubled, invented or altered.
"""

import argparse
import hashlib
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from gateway.db import pool

Mark = tuple[str, int, int]  # device, session, sequence number
RESEND = 2.0  # seconds without a receipt after which a unit sends again


def fingerprint(ts: float, values: dict[str, float]) -> str:
    """Return a hash of what one sample says: its time to the millisecond and its values."""
    told = json.dumps([round(ts * 1_000), sorted((name, float(value)) for name, value in values.items())])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class Book:
    """The ledger's file: one JSON line for each thing that happened, written before the next may happen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1)

    def note(self, what: str, mark: Mark, **more: Any) -> None:
        """Write one line."""
        line = json.dumps({"what": what, "device": mark[0], "session": mark[1], "seq": mark[2], **more})
        with self._lock:
            self._file.write(line + "\n")

    def close(self) -> None:
        self._file.close()


class LedgerUnit:
    """A unit with a journal of everything it ever measured."""

    def __init__(self, book: Book, url: str, device: str, *, session: int, username: str, password: str | None) -> None:
        self.book, self.device, self.session = book, device, session
        self.journal: dict[int, tuple[float, dict[str, float]]] = {}
        self.through = 0
        self.moved = time.monotonic()
        self._sent: dict[int, range] = {}
        self._early: set[int] = set()  # acknowledged before we had noted what it was
        self._lock = threading.Lock()
        self._runtime = 0.0
        self._random = random.Random(device)  # seeded, so that a run can be repeated
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=device, clean_session=False)
        if password is not None:
            self.client.username_pw_set(username, password)
        self.client.max_inflight_messages_set(50)
        self.client.on_connect = lambda client, *_: client.subscribe(f"ww/v1/{device}/dn/#", 1)
        self.client.on_message = self._hear
        self.client.on_publish = self._acknowledged
        self.client.reconnect_delay_set(1, 1)
        host, port = urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 1883
        self.client.connect_async(host, port, keepalive=10)
        self.client.loop_start()

    def measure(self, samples: int) -> None:
        """Measure so many times and send it as one batch."""
        first = len(self.journal) + 1
        for seq in range(first, first + samples):
            self._runtime = round(self._runtime + self._random.uniform(0, 0.02), 6)
            ts = round(time.time(), 3)
            values = {"runtime": self._runtime, "pm25": float(self._random.randint(0, 200))}
            self.journal[seq] = (ts, values)
            self.book.note("attempted", (self.device, self.session, seq), ts=ts, hash=fingerprint(ts, values))
        self.send(range(first, first + samples))

    def send(self, seqs: range) -> None:
        """Send samples from the journal as one batch."""
        base = self.journal[seqs[0]][0]
        told = {"v": 1, "s": self.session, "q": seqs[0], "t": base, "c": "synced"}
        told["r"] = [[round(self.journal[seq][0] - base, 3), self.journal[seq][1]] for seq in seqs]
        # Not under the lock: paho holds its own both while publishing and while it tells of an acknowledgement.
        mid = self.client.publish(f"ww/v1/{self.device}/tlm", json.dumps(told), qos=1).mid
        with self._lock:
            self._sent[mid] = seqs
            early = mid in self._early
        if early:
            self._acknowledged(None, None, mid)

    def settled(self) -> bool:
        """Say whether everything is receipted; send again what has waited for long."""
        if self.through >= len(self.journal):
            return True
        if time.monotonic() - self.moved > RESEND:
            self.moved = time.monotonic()
            for begin in range(self.through + 1, len(self.journal) + 1, 100):
                self.send(range(begin, min(begin + 100, len(self.journal) + 1)))
        return False

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _acknowledged(self, _: Any, __: Any, mid: int, *___: Any) -> None:
        with self._lock:
            seqs = self._sent.pop(mid, None)
            (self._early.add if seqs is None else self._early.discard)(mid)
        for seq in seqs or ():
            self.book.note("acknowledged", (self.device, self.session, seq))

    def _hear(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        told = json.loads(message.payload)
        if message.topic.endswith("/dn/receipt") and told.get("s") == self.session and "through" in told:
            if told["through"] > self.through:
                self.through, self.moved = told["through"], time.monotonic()
            self.book.note("receipted", (self.device, self.session, told["through"]))
        elif message.topic.endswith("/dn/cmd") and told.get("cmd") == "replay" and told["s"] == self.session:
            self.send(range(told["from"], told["to"] + 1))
            reply = {"v": 1, "id": told["id"], "status": "done"}
            mid = self.client.publish(f"ww/v1/{self.device}/up/reply", json.dumps(reply), qos=1).mid
            with self._lock:
                self._sent[mid] = range(0)


class Publisher:
    """Some units that measure and send until told to stop."""

    def __init__(
        self, path: Path, url: str, devices: Iterable[str], *, session: int = 1, password: str | None = None
    ) -> None:
        self.book = Book(path)
        self.units = [
            LedgerUnit(self.book, url, device, session=session, username=device, password=password)
            for device in devices
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for unit in self.units:
            unit.close()
        self.book.close()

    def publish(self, batches: int, samples: int = 3, pause: float = 0.0) -> None:
        """Let every unit measure and send so many batches."""
        for _ in range(batches):
            for unit in self.units:
                unit.measure(samples)
            time.sleep(pause)

    def settle(self, seconds: float) -> bool:
        """Wait until everything is receipted, sending again where it takes long; say whether it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(unit.settled() for unit in self.units):
                return True
            time.sleep(0.05)
        return False


@dataclass
class Verdict:
    """What the comparison found; all but the last three must be empty or nought."""

    lost: list[Mark] = field(default_factory=list)  # receipted, not stored
    doubled: list[Mark] = field(default_factory=list)
    invented: list[Mark] = field(default_factory=list)  # stored, never attempted
    altered: list[Mark] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)  # units whose hourly sums are not their own counter's
    unreported: list[Mark] = field(default_factory=list)  # acknowledged by the broker, not stored, in no open gap
    missing: int = 0  # attempted, not stored: still in a journal
    gaps: int = 0
    stored: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.invented or self.altered or self.miscounted or self.unreported)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Return the ledger's lines; a last line that was cut off by a kill is left out."""
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def check(path: Path, dsn: str) -> Verdict:
    """Compare the ledger with the store."""
    attempted: dict[Mark, str] = {}
    acknowledged: set[Mark] = set()
    through: Counter[tuple[str, int]] = Counter()
    for line in read(path):
        mark = (line["device"], line["session"], line["seq"])
        if line["what"] == "attempted":
            attempted[mark] = line["hash"]
        elif line["what"] == "acknowledged":
            acknowledged.add(mark)
        else:
            through[mark[:2]] = max(through[mark[:2]], line["seq"])
    found = Verdict()
    devices = sorted({device for device, _, _ in attempted})
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        stored = _stored(conn, devices, found)
        gaps = _gaps(conn, devices)
        found.miscounted = _miscounted(conn, devices)
    found.gaps = sum(map(len, gaps.values()))
    found.stored = len(stored)
    found.missing = len(attempted.keys() - stored.keys())
    found.invented = sorted(stored.keys() - attempted.keys())
    found.altered = sorted(mark for mark, told in stored.items() if attempted.get(mark, told) != told)
    found.lost = sorted(
        (device, session, seq)
        for device, session, seq in attempted.keys() - stored.keys()
        if seq <= through[device, session]
    )
    highest: Counter[tuple[str, int]] = Counter()
    for device, session, seq in stored:
        highest[device, session] = max(highest[device, session], seq)
    found.unreported = sorted(
        mark
        for mark in acknowledged - stored.keys()
        if mark[2] < highest[mark[:2]] and not any(low <= mark[2] <= high for low, high in gaps.get(mark[:2], ()))
    )
    return found


def _stored(conn: psycopg.Connection, devices: list[str], found: Verdict) -> dict[Mark, str]:
    """Return the fingerprint of every stored sample; a channel that a sample has twice is noted as doubled."""
    samples: dict[Mark, tuple[datetime, dict[str, float]]] = {}
    for device, session, seq, at, channel, value in conn.execute(
        """select u.device, r.session, r.seq, r.device_ts, c.name, r.value
           from reading r join unit u using (unit_id) join channel c using (channel_id) where u.device = any(%s)""",
        (devices,),
    ):
        mark = (device, session, seq)
        values = samples.setdefault(mark, (at, {}))[1]
        if channel in values:
            found.doubled.append(mark)
        values[channel] = value
    return {mark: fingerprint(at.timestamp(), values) for mark, (at, values) in samples.items()}


def _gaps(conn: psycopg.Connection, devices: list[str]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    gaps: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for device, session, low, high in conn.execute(
        """select u.device, g.session, lower(g.seqs), upper(g.seqs) - 1 from gap g join unit u using (unit_id)
           where u.device = any(%s) and g.closed_at is null""",
        (devices,),
    ):
        gaps.setdefault((device, session), []).append((low, high))
    return gaps


def _miscounted(conn: psycopg.Connection, devices: list[str]) -> list[str]:
    """Return the units whose hourly rollups do not sum to what their own counter ran through."""
    rows = conn.execute(
        """with own as (select unit_id, max(value) - min(value) as ran, count(*) as n
               from reading join channel using (channel_id) where name = 'runtime' group by unit_id),
           hourly as (select unit_id, sum(rise) as ran, sum(n) as n
               from reading_hourly join channel using (channel_id) where name = 'runtime' group by unit_id)
           select device from unit join own using (unit_id) left join hourly using (unit_id)
           where device = any(%s) and (hourly.n is distinct from own.n or abs(hourly.ran - own.ran) > 1e-6)""",
        (devices,),
    )
    return [row[0] for row in rows]


def main(arguments: list[str]) -> int:
    """Publish or check; answer 0 when all is well."""
    parser = argparse.ArgumentParser(prog="tests.faults.ledger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser("publish")
    publish.add_argument("--url", required=True)
    publish.add_argument("--devices", required=True, help="comma separated; each must be enrolled")
    publish.add_argument("--password", help="the devices' secret, where the broker asks for one")
    publish.add_argument("--batches", type=int, default=100)
    publish.add_argument("--samples", type=int, default=3)
    publish.add_argument("--pause", type=float, default=0.05, help="seconds between batches")
    publish.add_argument("--patience", type=float, default=60, help="seconds to wait for the last receipt")
    checking = commands.add_parser("check")
    checking.add_argument("--dsn", required=True)
    for command in (publish, checking):
        command.add_argument("--file", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.command == "check":
        verdict = check(given.file, given.dsn)
        sys.stdout.write(json.dumps(asdict(verdict) | {"clean": verdict.clean}) + "\n")
        return 0 if verdict.clean else 1
    session = int(datetime.now(UTC).timestamp())
    with Publisher(given.file, given.url, given.devices.split(","), session=session, password=given.password) as units:
        units.publish(given.batches, given.samples, given.pause)
        return 0 if units.settle(given.patience) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
