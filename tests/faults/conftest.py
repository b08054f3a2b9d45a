"""What the fault tests share: their flags, three enrolled units, a broker, a server, and the report."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.db import pool
from tests.faults import fleet, ledger
from tests.faults.machinery import Mosquitto
from tests.faults.publishing import SERIALS
from tests.faults.rig import Note, Rig
from tests.faults.server import Server

REPORT = Path(__file__).parents[2] / "test-output" / "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=4, help="how often the gateway is killed")
    parser.addoption("--long", action="store_true", help="faults at full length and size, as `make faults` runs them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long", False):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes long: pytest --long, or make faults"))


@pytest.fixture
def seeds(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seeds", 4))


@pytest.fixture
def long(pytestconfig: pytest.Config) -> bool:
    """Whether there is time for the full length."""
    return bool(pytestconfig.getoption("--long", False))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Keep what a fault came to for the table that `make faults` prints."""
    REPORT.mkdir(parents=True, exist_ok=True)
    name = "".join(sign if sign.isalnum() else "-" for sign in request.node.name)
    (REPORT / f"{name}.json").unlink(missing_ok=True)

    def write(fault: str, found: ledger.Verdict | None = None, **seen: object) -> None:
        told = {"fault": fault, "ledger": found.told() if found else None, "seen": seen}
        (REPORT / f"{name}.json").write_text(json.dumps(told, default=str) + "\n")

    return write


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that keeps sessions as long as it lives: writing each change down would make it the slowest of all."""
    own = Mosquitto(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture
def rig(conn: psycopg.Connection, dsn: str, broker: Mosquitto, tmp_path: Path, note: Note) -> Rig:
    """Three enrolled units, in a database on the tests' common server."""
    fleet.enrol(conn, SERIALS)
    conn.commit()
    return Rig(tmp_path, dsn, broker, note)


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL server that a test may kill."""
    own = Server()
    yield own
    own.close()


@pytest.fixture
def own(server: Server, broker: Mosquitto, tmp_path: Path, note: Note) -> Rig:
    """Three enrolled units, on the server that a test may kill."""
    with pool.connect(server.dsn, pool.Role.GATEWAY) as conn:
        fleet.enrol(conn, SERIALS)
    return Rig(tmp_path, server.dsn, broker, note)
