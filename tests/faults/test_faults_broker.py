"""The broker is killed, forgets, and runs out of disk: what it had acknowledged and lost comes back as filled gaps."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults import disk, fleet
from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.publishing import SERIALS, Publishing
from tests.faults.rig import Note, Rig

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
SIGNALS = {"killed": signal.SIGKILL, "stopped": signal.SIGTERM}


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["volatile", "persistent"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    own = Mosquitto(tmp_path, persistence=request.param)
    own.start()
    yield own
    own.kill()


def _acknowledged(publishing: Publishing, more: int) -> None:
    """Wait until the broker has acknowledged so many more samples of every unit."""
    ahead = {unit: unit.acknowledged + more for unit in publishing.publisher.units}
    wait_for(lambda: all(unit.acknowledged > count for unit, count in ahead.items()), 60)


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.long)])
def test_broker_ends_with_a_full_queue(rig: Rig, how: str, request: pytest.FixtureRequest) -> None:
    """It ends with messages that it had acknowledged and the gateway had not taken; the units' journals make good."""
    keeps = "persistent" in request.node.name
    with rig.serving() as gateway, rig.publishing() as publishing:
        publishing.moves_on(10)
        gateway.kill()
        _acknowledged(publishing, 60)  # in the broker, and nowhere else
        rig.broker.kill(SIGNALS[how])
        rig.broker.start()
        _acknowledged(publishing, 1)  # units are back before the gateway: what they send again first helps nobody
        gateway.start()
        took = publishing.recovered()
        publishing.finish()
        sessions = [line["session_present"] for line in gateway.said("connected to the broker")]
    found = rig.clean()
    if not keeps:
        assert [False, False] == sessions[:2], "a session that is gone is subscribed anew"
        assert found.gaps_filled > 0, "what the broker lost is a gap, and is filled"
    kind = "keeps its queue" if keeps else "keeps nothing"
    rig.note(f"broker {how} (kill {-SIGNALS[how]}), {kind}", found, recovered_s=round(took, 1))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Path, Mosquitto]]:
    """A broker on a disk of its own that has room for very little."""
    with disk.small(1) as folder:
        own = Mosquitto(tmp_path, persistence=True, store=folder)
        own.start()
        yield folder, own
        own.kill()


def test_broker_disk_full(
    full: tuple[Path, Mosquitto], conn: psycopg.Connection, dsn: str, tmp_path: Path, note: Note
) -> None:
    """It acknowledges everything, keeps nothing, and is killed: the gaps say what was lost, the journals fill them."""
    folder, broker = full
    fleet.enrol(conn, SERIALS)
    conn.commit()
    rig = Rig(tmp_path, dsn, broker, note)
    with rig.serving() as gateway, rig.publishing() as publishing:
        publishing.moves_on(10)
        ballast = disk.fill(folder)
        gateway.kill()
        ahead = {unit: unit.acknowledged + 60 for unit in publishing.publisher.units}
        wait_for(lambda: all(unit.acknowledged > count for unit, count in ahead.items()), 60)
        broker.kill()
        ballast.unlink()
        broker.forget()
        broker.start()
        gateway.start()
        took = publishing.recovered()
        publishing.finish()
    found = rig.clean()
    assert found.gaps_filled > 0
    rig.note("broker: disk full, then killed", found, recovered_s=round(took, 1))
