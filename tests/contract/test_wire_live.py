"""Simulated units on a real Mosquitto: what a subscriber sees there, and what a gateway's answers do."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import jsonschema
import pytest

from firmware_stubs import faults, pace, radio, wire
from firmware_stubs.fleet import Fleet
from firmware_stubs.members import Member, slots
from firmware_stubs.radio import Broker
from firmware_stubs.wire import Message

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "protocol" / "schema.json").read_text())
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SECRETS = {"acme.A1": "one", "acme.A2": "two", "gateway": "three"}
MEMBERS = [Member(d, SECRETS[d], slots("hepa life_h=450 load_ref=12 part=WW-HEPA-2")) for d in ("acme.A1", "acme.A2")]
SPEED = 86_400.0  # a day of the world each second

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto on the PATH: install it to try the stubs live")


def password_line(user: str, secret: str) -> str:
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker of this test's own, with the access rules that docs/protocol.md shows."""

    def __init__(self, folder: Path) -> None:
        patterns = "".join(f"{line}\n" for line in PROTOCOL.splitlines() if line.startswith("pattern "))
        (folder / "passwords").write_text("".join(password_line(*pair) for pair in SECRETS.items()))
        (folder / "acl").write_text(f"{patterns}user gateway\ntopic ww/v1/#\n")
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            f"{'user root' if os.geteuid() == 0 else ''}\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {folder}/passwords\nacl_file {folder}/acl\nmax_queued_messages 100000\n"
            f"persistence true\npersistence_location {folder}/\nlog_type error\n"
        )
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([str(MOSQUITTO), "-c", str(self.config)], stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("mosquitto did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with tempfile.TemporaryDirectory(prefix="wearwell-wire-") as folder:
        mosquitto = Mosquitto(Path(folder))
        yield mosquitto
        mosquitto.stop()


class Listener:
    """A gateway of the simplest kind: it checks each message against the schema and, where told to, gives receipts."""

    def __init__(self, client: aiomqtt.Client, *, receipts: bool) -> None:
        self.client = client
        self.receipts = receipts
        self.heard: dict[tuple[str, str], list[Message]] = defaultdict(list)
        self.stored: dict[tuple[str, int], set[int]] = defaultdict(set)

    async def listen(self) -> None:
        async for message in self.client.messages:
            _, _, device, leaf = str(message.topic).split("/", 3)
            content = wire.decode(bytes(message.payload))
            shape = {"$ref": f"#/$defs/{leaf.removeprefix('up/')}", "$defs": SCHEMA["$defs"]}
            jsonschema.Draft202012Validator(shape).validate(content)
            self.heard[device, leaf].append(content)
            if leaf == "tlm":
                stored = self.stored[device, content["s"]]
                stored.update(sample.sequence for sample in wire.samples(content))
                safe = next(n for n in range(1, max(stored) + 2) if n not in stored) - 1
                if self.receipts and safe:
                    await self.say(device, "dn/receipt", {"v": 1, "s": content["s"], "through": safe})
            elif leaf == "evt" and self.receipts:
                await self.say(device, "dn/receipt", {"v": 1, "event": content["id"]})

    async def say(self, device: str, leaf: str, message: Message) -> None:
        await self.client.publish(wire.topic(device, leaf), wire.encode(message), qos=1)

    async def until(self, true: Callable[[], object], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  # what is waited for happens in many places
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(broker: Mosquitto, *, receipts: bool = True) -> AsyncIterator[Listener]:
    """Listen as the gateway; a message that is not valid fails the test."""
    async with aiomqtt.Client("127.0.0.1", broker.port, username="gateway", password=SECRETS["gateway"]) as client:
        for leaf in ("state", "tlm", "evt", "up/#"):
            await client.subscribe(f"ww/v1/+/{leaf}", qos=1)
        listener = Listener(client, receipts=receipts)
        task = asyncio.create_task(listener.listen())
        yield listener
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fleet(broker: Mosquitto, members: list[Member] = MEMBERS, **given: object) -> Fleet:
    return Fleet(
        Broker(broker.url),
        members,
        pace.from_now(SPEED),
        **{"history_d": 3.0, "flush_s": 0.1, **given},  # type: ignore[arg-type]  # options of the fleet, by name
    )


@pytest.mark.parametrize("cbor", [False, True], ids=["json", "cbor"])
async def test_two_units_publish_valid_batches(broker: Mosquitto, cbor: bool) -> None:
    """Births, batches and events of two units are valid, complete and in order; receipts empty their journals."""
    async with listening(broker) as gateway, fleet(broker, cbor=cbor) as units:
        await gateway.until(lambda: len(gateway.stored) == 2 and min(map(len, gateway.stored.values())) > 80)
        event = await units.fit_part("acme.A1", "hepa", "WW-HEPA-3")
        await gateway.until(lambda: gateway.heard["acme.A1", "evt"])
        await gateway.until(lambda: gateway.heard["acme.A1", "state"][-1]["slots"] == {"hepa": {"part": "WW-HEPA-3"}})
        await gateway.until(lambda: not units.radios["acme.A1"].unit.events)
        await units.stop()
        assert event == gateway.heard["acme.A1", "evt"][0]["id"]
        await gateway.until(lambda: all(gateway.heard[m.device, "state"][-1]["state"] == "sleeping" for m in MEMBERS))
    states = {d: [birth["state"] for birth in gateway.heard[d, "state"]] for d in ("acme.A1", "acme.A2")}
    assert {"acme.A1": ["online", "online", "sleeping"], "acme.A2": ["online", "sleeping"]} == states
    for device in states:
        journal = units.radios[device].unit.journal
        numbers = gateway.stored[device, 1]
        assert set(range(1, max(numbers) + 1)) == numbers
        assert journal.receipted >= 72
        assert len(journal) <= 48


async def test_without_receipts_nothing_leaves_the_journal(broker: Mosquitto) -> None:
    """The broker's acknowledgement alone lets a unit forget nothing."""
    async with listening(broker, receipts=False) as gateway, fleet(broker) as units:
        await gateway.until(lambda: len(gateway.stored["acme.A1", 1]) > 80)
    journal = units.radios["acme.A1"].unit.journal
    assert 0 == journal.receipted
    assert gateway.stored["acme.A1", 1] <= {sample.sequence for sample in journal}


async def test_what_gets_no_receipt_is_sent_again(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no receipt comes for long, everything goes out again from the oldest sample on, the same."""
    monkeypatch.setattr(radio, "RECEIPT_S", 0.3)
    async with listening(broker, receipts=False) as gateway, fleet(broker, MEMBERS[:1]) as units:
        await gateway.until(lambda: sum(batch["q"] == 1 for batch in gateway.heard["acme.A1", "tlm"]) > 1)
        await units.stop()
    first = [wire.samples(batch)[0] for batch in gateway.heard["acme.A1", "tlm"] if batch["q"] == 1]
    assert [first[0]] * len(first) == first


async def test_replay_fills_what_got_lost(broker: Mosquitto) -> None:
    """What got lost is a gap until the gateway asks; then it comes from the journal, and the receipt moves on."""
    lossy = fleet(broker, MEMBERS[:1], history_d=0.0, fault=lambda rng: faults.Gap(rng, 0.3))
    async with listening(broker) as gateway, lossy as units:
        stored = gateway.stored["acme.A1", 1]
        await gateway.until(lambda: stored and max(stored) > len(stored))
        hole = next(n for n in range(1, max(stored)) if n not in stored)
        end = next(n for n in range(hole, max(stored) + 1) if n in stored) - 1
        command = {"v": 1, "id": "r-1", "cmd": "replay", "s": 1, "from": hole, "to": end}
        await gateway.say("acme.A1", "dn/cmd", command)
        await gateway.until(lambda: gateway.heard["acme.A1", "up/reply"])
        assert set(range(1, end + 1)) <= stored
        await gateway.until(lambda: units.radios["acme.A1"].unit.journal.receipted >= end)
    assert {"v": 1, "id": "r-1", "status": "done"} == gateway.heard["acme.A1", "up/reply"][0]


async def test_units_come_back_to_a_broker_that_comes_back(broker: Mosquitto) -> None:
    """A broker that is away is waited for, and what was recorded meanwhile is delivered."""
    async with fleet(broker) as units:
        async with listening(broker) as gateway:
            await gateway.until(lambda: len(gateway.stored) == 2)
        broker.stop()
        await gateway.until(lambda: units.progress().online == 0)
        assert units.progress().trouble
        broker.start()
        async with listening(broker) as gateway:
            recorded = units.unit("acme.A1").journal
            await gateway.until(lambda: len(gateway.stored) == 2 and recorded.receipted > 72)
            numbers = gateway.stored["acme.A1", 1]
            assert set(range(min(numbers), max(numbers) + 1)) == numbers


async def test_unit_that_vanishes_is_lost(broker: Mosquitto) -> None:
    """The broker tells the will, with the session of the connection that broke."""
    async with listening(broker) as gateway, fleet(broker, MEMBERS[:1], session=9) as units:
        await gateway.until(lambda: gateway.stored["acme.A1", 9])
        [unit] = [task for task in asyncio.all_tasks() if task.get_name() == "unit acme.A1"]
        client = units.radios["acme.A1"].client
        assert client is not None
        client._client.socket().shutdown(socket.SHUT_RDWR)
        await gateway.until(lambda: any(m["state"] == "lost" for m in gateway.heard["acme.A1", "state"]))
        assert not unit.done()
    assert {"v": 1, "s": 9, "state": "lost"} in gateway.heard["acme.A1", "state"]


async def test_reboot_begins_a_session_and_keeps_the_journal(broker: Mosquitto) -> None:
    """After a reboot the next session starts at 1, under a birth of its own, and the old session's rest still comes."""
    async with listening(broker) as gateway, fleet(broker, MEMBERS[:1]) as units:
        await gateway.until(lambda: gateway.stored["acme.A1", 1])
        units.unit("acme.A1").reboot()
        await gateway.until(lambda: gateway.stored["acme.A1", 2])
        await gateway.until(lambda: {s.session for s in units.radios["acme.A1"].unit.journal} <= {2})
    assert [1, 2] == [m["s"] for m in gateway.heard["acme.A1", "state"] if m["state"] == "online"]
    assert 1 == min(gateway.stored["acme.A1", 2])


async def test_wrong_secret_waits_and_says_so(broker: Mosquitto) -> None:
    """A unit whose credential is not known says so, and its neighbour does not notice."""
    async with listening(broker) as gateway, fleet(broker, [Member("acme.A1", "wrong"), MEMBERS[1]]) as units:
        await gateway.until(lambda: gateway.stored["acme.A2", 1] and units.progress().trouble)
        assert not gateway.stored["acme.A1", 1]
        assert 1 == units.progress().online
        assert "acme.A1: " in str(units.progress().trouble)
        assert "wrong" not in str(units.progress().trouble)


async def test_command_line_runs_a_fleet(broker: Mosquitto, tmp_path: Path) -> None:
    """`python -m firmware_stubs` runs units, takes a command, tells its progress as JSON, and stops on SIGTERM."""
    credentials = tmp_path / "fleet.csv"
    credentials.write_text("device,secret,slots\nacme.A1,one,hepa life_h=450 load_ref=12\nacme.A2,two,\n")
    given = ["--url", broker.url, "--credentials", str(credentials), "--speed", str(SPEED), "--session", "5"]
    given += ["--json", "--commands", "--every", "0.2", "--flush", "0.1"]
    async with listening(broker) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firmware_stubs", *given),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdin
        process.stdin.write(b"fit acme.A2 hepa WW-HEPA-2\n")
        await gateway.until(lambda: gateway.heard["acme.A2", "evt"] and len(gateway.stored["acme.A1", 5]) > 48)
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert 0 == process.returncode
    lines = [json.loads(line) for line in out.splitlines()]
    assert "5-1" == next(line["event"] for line in lines if line.get("done") == "fit")
    assert (2, 0) == (lines[-1]["units"], lines[-1]["online"])
    assert lines[-1]["recorded"] >= lines[-1]["receipted"] > 0
