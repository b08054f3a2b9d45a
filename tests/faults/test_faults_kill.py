"""Everything is killed, at seeded moments; the ledger stays clean: nothing lost, doubled, invented or altered."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest

from gateway.db import embedded, migrate, pool
from tests.faults import fleet, ledger
from tests.faults.machinery import Gateway, Mosquitto, wait_for
from tests.faults.victim import POINTS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
SERIALS = ("1", "2", "3")
DEVICES = [f"acme.{serial}" for serial in SERIALS]


@pytest.fixture
def ready(conn: psycopg.Connection) -> None:
    """Three enrolled units."""
    fleet.enrol(conn, SERIALS)
    conn.commit()


@pytest.fixture(params=[False, True], ids=["volatile", "persistent"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    own = Mosquitto(tmp_path, persistence=request.param)
    own.start()
    yield own
    own.kill()


OTHERS = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


class Publishing:
    """Publishes in the background while the test kills things; `through` is how far the first unit is receipted."""

    def __init__(self, path: Path, url: str) -> None:
        self.publisher = ledger.Publisher(path, url, DEVICES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.publisher.publish(1)
            self._stop.wait(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.publisher.__exit__()

    def moves_on(self, by: int = 5) -> None:
        """Wait until the first unit has so many more samples receipted."""
        unit = self.publisher.units[0]
        through = unit.through
        wait_for(lambda: unit.through > through + by, 60)

    def finish(self, seconds: float = 60) -> None:
        """Stop measuring and wait until every sample is receipted."""
        self._stop.set()
        self._thread.join()
        settled = self.publisher.settle(seconds)
        assert settled, {unit.device: (unit.through, len(unit.journal)) for unit in self.publisher.units}


def assert_clean(path: Path, dsn: str) -> ledger.Verdict:
    found = ledger.check(path, dsn)
    assert found.clean, found
    assert (0, 0) == (found.missing, found.gaps)
    assert found.stored > 0
    return found


@pytest.mark.parametrize("broker", [True], indirect=True)
def test_gateway_killed_at_seeded_points(ready: None, broker: Mosquitto, dsn: str, tmp_path: Path, seeds: int) -> None:
    """kill -9 after receiving, before commit, between commit and acknowledgement, and after it."""
    path = tmp_path / "run.jsonl"
    with Gateway(tmp_path, dsn, broker.url, window=40) as gateway:
        gateway.start()
        wait_for(gateway.connected)
        gateway.kill()
        with Publishing(path, broker.url) as publishing:
            for seed in range(seeds):
                chance = random.Random(seed)  # seeded, so that a run can be repeated
                gateway.start(point=POINTS[seed % len(POINTS)], nth=chance.randint(1, 4))
                wait_for(gateway.died, 60)
                assert -signal.SIGKILL == gateway.kill()
            gateway.start()
            publishing.finish()
            gateway.kill(signal.SIGTERM)
    assert_clean(path, dsn)


@pytest.mark.parametrize("broker", [True], indirect=True)
def test_two_gateways_share_the_work(ready: None, broker: Mosquitto, dsn: str, tmp_path: Path) -> None:
    """Two processes read the same messages, one is killed and comes back: still once each."""
    path = tmp_path / "run.jsonl"
    with Gateway(tmp_path, dsn, broker.url, "ingest-1") as one, Gateway(tmp_path, dsn, broker.url, "ingest-2") as two:
        for gateway in (one, two):
            gateway.start()
        for gateway in (one, two):
            wait_for(gateway.connected)
        with Publishing(path, broker.url) as publishing:
            publishing.moves_on(30)
            one.kill()
            publishing.moves_on(30)
            one.start()
            publishing.moves_on(60)
            publishing.finish()
    assert_clean(path, dsn)


def test_broker_killed(ready: None, broker: Mosquitto, dsn: str, tmp_path: Path) -> None:
    """The broker dies with what it had acknowledged: the units' journals and the gaps bring it back."""
    path = tmp_path / "run.jsonl"
    with Gateway(tmp_path, dsn, broker.url, window=40) as gateway:
        gateway.start()
        wait_for(gateway.connected)
        with Publishing(path, broker.url) as publishing:
            for number in (signal.SIGKILL, signal.SIGTERM):
                publishing.moves_on(30)
                broker.kill(number)
                broker.start()
            publishing.moves_on()
            publishing.finish()
        gateway.kill(signal.SIGTERM)
    assert_clean(path, dsn)


@pytest.fixture
def own_server() -> Iterator[tuple[Path, str]]:
    """A PostgreSQL server of this test's own, with the durability that it has by default: its folder and DSN."""
    folder = Path(tempfile.mkdtemp(prefix="wearwell-fault-"))
    dsn = embedded.start(folder)
    migrate.migrate(dsn)
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        fleet.enrol(conn, SERIALS)
    yield folder, dsn
    embedded.server(folder).cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def at_home(folder: Path) -> list[int]:
    """Return the processes of a server: those that work in its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve(strict=True) == (folder / "postgres").resolve():
                found.append(int(process.name))
    return found


def start_again(folder: Path) -> None:
    """Start a server whose postmaster was killed, once its orphaned backends have noticed and left."""
    wait_for(lambda: not at_home(folder))
    for left in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):  # its parent may not have buried it yet
        (folder / "postgres" / left).unlink(missing_ok=True)
    embedded.server(folder).ensure_postgres_running()


@pytest.mark.parametrize("broker", [True], indirect=True)
def test_postgres_killed(own_server: tuple[Path, str], broker: Mosquitto, tmp_path: Path) -> None:
    """Backends are terminated and killed, the server is killed and started again: in-doubt commits are safe."""
    folder, dsn = own_server
    path = tmp_path / "run.jsonl"
    with Gateway(tmp_path, dsn, broker.url, window=40) as gateway:
        gateway.start()
        wait_for(gateway.connected)
        with Publishing(path, broker.url) as publishing:
            publishing.moves_on(20)
            with psycopg.connect(dsn, autocommit=True) as admin:
                for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                    wait_for(lambda: admin.execute(OTHERS).fetchone())
                    for (backend,) in admin.execute(OTHERS).fetchall():
                        os.kill(backend, number)  # SIGKILL is a crash: the server ends every backend and recovers
                    publishing.moves_on()
            os.kill(postmaster(folder), signal.SIGKILL)
            start_again(folder)
            publishing.moves_on()
            publishing.finish()
        gateway.kill(signal.SIGTERM)
    assert_clean(path, dsn)
