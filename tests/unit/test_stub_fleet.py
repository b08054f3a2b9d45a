"""The fleet's files, clock, commands and command line, without a network."""

import asyncio
import io
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from firmware_stubs import __main__ as program
from firmware_stubs import commands, members, pace, radio, wire
from firmware_stubs.consumable import SlotSpec
from firmware_stubs.fleet import Fleet
from firmware_stubs.members import Member
from firmware_stubs.radio import FIRST_PAUSE_S, LONGEST_PAUSE_S, Broker, Radio, pause_s
from firmware_stubs.unit import Unit

BROKER = Broker("mqtt://127.0.0.1:1")


def a_fleet(speed: float = 86_400, history_d: float = 30.0) -> Fleet:
    return Fleet(BROKER, [Member("acme.A1", "x"), Member("acme.A2", "y")], pace.from_now(speed), history_d=history_d)


def test_members_are_read() -> None:
    """Each row is a unit; slots say life, dust and part; columns it does not need are passed over."""
    text = (
        "device,secret,gtin,serial,slots\n"
        "acme.A1,s1,04012345000016,A1,hepa life_h=300 load_ref=10 part=WW-1; carbon life_h=900\n"
        "acme.A2,s2,04012345000016,A2,\n"
    )
    one, two = members.read(io.StringIO(text))
    assert Member("acme.A1", "s1", (SlotSpec("hepa", 300, 10, "WW-1", True), SlotSpec("carbon", 900))) == one
    assert members.DEFAULT_SLOTS == two.slots


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("device\nacme.A1\n", "lacks secret"),
        ("device,secret\nacme.A1,\n", "line 2"),
        ("device,secret,slots\nacme.A1,x,life_h=3\n", "before the code"),
        ("device,secret,slots\nacme.A1,x,hepa life=3\n", "'life' is none of"),
        ("device,secret,slots\nacme.A1,x,hepa life_h=long\n", "line 2.*long"),
    ],
)
def test_members_that_cannot_be_read(text: str, fault: str) -> None:
    """A file that cannot work is refused with the line and the word."""
    with pytest.raises(ValueError, match=fault):
        members.read(io.StringIO(text))


def test_secret_is_in_no_repr() -> None:
    """A member shows its name and not its secret."""
    assert "hunter2" not in repr(Member("acme.A1", "hunter2"))


def test_pace_runs_as_fast_as_it_says() -> None:
    """World time starts at its origin and gains its speed in seconds each second."""
    since = datetime.now(UTC) - timedelta(seconds=10)
    world = pace.read(f"2026-11-23T00:00:00+00:00,{since.isoformat()},3600")
    assert datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp() == pytest.approx(world.now(), abs=3600 * 2)


@pytest.mark.parametrize("text", ["", "2026-11-23,2026-11-23,1", "2026-11-23T00:00+00:00,2026-11-23T00:00+00:00,0"])
def test_pace_that_cannot_be_read(text: str) -> None:
    """A pace without zones, without three fields or without speed is refused."""
    with pytest.raises(ValueError, match=r".+"):
        pace.read(text)


def test_back_off_grows_and_jitters() -> None:
    """Pauses double up to a limit, are never zero and never the same for two units."""
    rng = np.random.default_rng(1)
    pauses = np.array([[pause_s(attempt, rng) for _ in range(200)] for attempt in range(40)])
    assert pauses.min() >= 0.2 * FIRST_PAUSE_S
    assert pauses.max() <= LONGEST_PAUSE_S
    assert pauses[3].mean() == pytest.approx(8 * 0.6, rel=0.15)
    assert 200 == len(set(pauses[39]))


def test_broker_addresses() -> None:
    """The URL gives host, port and whether to speak TLS."""
    assert ("localhost", 1883, None) == Broker("mqtt://localhost").address()
    host, port, context = Broker("mqtts://broker.example.com").address()
    assert ("broker.example.com", 8883) == (host, port)
    assert context is not None
    assert context.check_hostname
    with pytest.raises(ValueError, match="mqtt://host"):
        Broker("http://localhost").address()


class Deaf:
    """A gateway that receipts every sample at once and, of each event, only what comes again."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.told: list[str] = []
        self.satisfied = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, **_: object) -> None:
        message = wire.decode(payload, wire.JSON)
        if topic.endswith("/evt"):
            self.told.append(message["id"])
            if self.told.count(message["id"]) > 1:
                self.unit.hear("dn/receipt", {"v": 1, "event": message["id"]})
                self.satisfied.set()
        elif topic.endswith("/tlm"):
            through = message["q"] + len(message["r"]) - 1
            self.unit.hear("dn/receipt", {"v": 1, "s": message["s"], "through": through})


async def test_lost_event_is_told_again_while_samples_get_their_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event has a patience of its own: receipts of samples, however many, say nothing about it."""
    monkeypatch.setattr(radio, "RECEIPT_S", 0.3)
    unit = Unit("acme.A1", born=0.0)
    hours = itertools.count(1)
    on_air = Radio(unit, "x", BROKER, lambda: next(hours) * 3600.0, rng=np.random.default_rng(1), flush_s=0.02)
    deaf = Deaf(unit)
    event = unit.fit_part("hepa", "WW-HEPA-2")
    talking = asyncio.create_task(on_air._talk(cast("Any", deaf), unit.birth()))
    async with asyncio.timeout(10):
        await deaf.satisfied.wait()
    on_air.stop()
    await talking
    assert [event, event] == deaf.told
    assert unit.journal.receipted > 10


async def test_fitting_a_part() -> None:
    """The demo fits the delivered part on the simulated unit, which tells so by its button."""
    fleet = a_fleet()
    unit = fleet.unit("acme.A1")
    assert unit.wear("hepa") > 0
    event = await fleet.fit_part("acme.A1", "hepa", "WW-HEPA-2")
    assert unit.wear("hepa") < 0.01
    assert ("part_fitted", "WW-HEPA-2", "button") == tuple(unit.events[event][name] for name in ("type", "part", "by"))
    assert 1 == fleet.progress().parts_fitted


async def test_history_lies_before_the_origin() -> None:
    """A fleet with a history has it in its journals before it connects."""
    fleet = a_fleet(speed=1, history_d=10)
    times = [sample.at for sample in fleet.unit("acme.A1").journal]
    assert 239 <= len(times) <= 241
    assert times[-1] <= fleet.pace.now()
    assert times[0] == pytest.approx(fleet.pace.origin.timestamp() - 10 * 86_400, abs=7200)


async def test_commands() -> None:
    """Lines of standard input fit, press and reboot, and say what came of it."""
    fleet = a_fleet()
    fitted = await commands.obey(fleet, "fit acme.A1 hepa WW-HEPA-2\n")
    assert {"done": "fit", "device": "acme.A1", "slot": "hepa", "event": "1-1"} == fitted
    assert {"done": "press", "device": "acme.A1", "event": "1-2"} == await commands.obey(fleet, "press acme.A1 filter")
    assert {"done": "reboot", "device": "acme.A1", "session": 2} == await commands.obey(fleet, "reboot acme.A1")
    assert await commands.obey(fleet, "stop") is None


@pytest.mark.parametrize("line", ["", "fit", "fit acme.A9 hepa X", "fit acme.A1 bag X", "reboot acme.A9", "dance"])
async def test_commands_it_cannot_do(line: str) -> None:
    """A line that cannot be done says why and changes nothing."""
    fleet = a_fleet()
    outcome = await commands.obey(fleet, line)
    assert outcome is not None
    assert "error" in outcome
    assert 0 == fleet.progress().parts_fitted


async def test_lines_arrive() -> None:
    """The listener hands on the lines of its source."""
    lines = commands.listen(io.StringIO("stop\nstop again\n"))
    assert ["stop\n", "stop again\n"] == [await lines.get(), await lines.get()]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["--credentials", "absent.csv"], "absent.csv"),
        (["--url", "localhost:1883"], "mqtt://host"),
        (["--speed", "0"], "speed"),
        (["--faults", "1"], "faults"),
    ],
)
def test_command_line_that_cannot_work(
    given: list[str], fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line ends with one line that says what is wrong."""
    credentials = tmp_path / "fleet.csv"
    credentials.write_text("device,secret\nacme.A1,x\n")
    assert 2 == program.main(["--credentials", str(credentials), *given])
    said = capsys.readouterr().err
    assert fault in said
    assert 1 == said.count("\n")


def test_fleet_remembers(tmp_path: Path) -> None:
    """A fleet that is started again goes on with the units it had; one that it does not know begins anew."""
    fleet, again = a_fleet(), a_fleet()
    fleet.unit("acme.A1")
    fleet.save(tmp_path)
    (tmp_path / "acme.A2.json").unlink()
    assert 1 == again.load(tmp_path)
    kept = again.radios["acme.A1"].unit
    assert fleet.radios["acme.A1"].unit.runtime_h == kept.runtime_h > 0
    assert (2, 1) == (kept.session, again.radios["acme.A2"].unit.session)
    assert ["acme.A1.json"] == [path.name for path in tmp_path.iterdir()]
