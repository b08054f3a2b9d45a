"""The gateway on a host of its own, behind a real cable: unplugged without a word, then losing packets."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults import fleet
from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.namespace import HERE, Namespace
from tests.faults.publishing import SERIALS
from tests.faults.rig import Note, Rig

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace() as own:
        yield own


@pytest.fixture
def rig(host: Namespace, conn: psycopg.Connection, dsn: str, tmp_path: Path, note: Note) -> Iterator[Rig]:
    """The broker listens on this machine's end of the cable as well."""
    fleet.enrol(conn, SERIALS)
    conn.commit()
    broker = Mosquitto(tmp_path, also=HERE)
    broker.start()
    yield Rig(tmp_path, dsn, broker, note)
    broker.kill()


def test_cable_unplugged(rig: Rig, host: Namespace) -> None:
    """Packets vanish and nobody says so: noticed by the keepalive, and all is well once the cable is back."""
    url = f"mqtt://{HERE}:{rig.broker.port}"
    with (
        rig.serving(url=url, before=host.before, WEARWELL_TEST_KEEPALIVE="5") as gateway,
        rig.publishing() as publishing,
    ):
        publishing.moves_on(10)
        host.unplug()
        began = time.monotonic()
        wait_for(lambda: gateway.said("the connection to the broker is lost"), 120)
        noticed = time.monotonic() - began
        host.plug()
        took = publishing.recovered()
        publishing.finish()
    rig.note("network namespace: cable unplugged", rig.clean(), noticed_s=round(noticed, 1), recovered_s=round(took, 1))


def test_cable_that_loses_packets(rig: Rig, host: Namespace) -> None:
    """One packet in ten lost, either way: slower, and otherwise the same."""
    if not host.lose(10):
        pytest.skip("nftables is not here, or this kernel cannot lose packets")
    url = f"mqtt://{HERE}:{rig.broker.port}"
    with rig.serving(url=url, before=host.before), rig.publishing() as publishing:
        publishing.moves_on(10)
        publishing.hold(10)
        took = publishing.recovered()
        publishing.finish()
        lost = host.lost()
    assert lost > 10
    rig.note("network namespace: 10 % of packets lost", rig.clean(), packets_lost=lost, recovered_s=round(took, 1))
