"""Fixtures that every test may ask for: a real database, a tenant, a broker."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import conninfo

from gateway.db import embedded, migrate, pool
from tests.faults.log import SESSION_S, Cluster, Log

pytest_plugins = ("tests.shop",)

hypothesis.settings.register_profile("any machine", deadline=None)  # no test depends on speed
hypothesis.settings.load_profile("any machine")

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """A PostgreSQL server: the one WEARWELL_TEST_DSN names, else an embedded one for this process."""
    if given := os.environ.get("WEARWELL_TEST_DSN"):
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="wearwell-test-"))
    server = embedded.server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as conn:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            conn.execute(f"alter system set {setting} = off")
        conn.execute("select pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def migrated(server: str, name: str) -> str:
    """Create a database of that name on a server, migrate it, and return its DSN."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"create database {name}")
    created = conninfo.make_conninfo(server, dbname=name)
    migrate.migrate(created)
    return created


def dropped(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def template_db(server_dsn: str) -> str:
    """A migrated database that each test's own is copied from."""
    name = f"ww_template_{uuid.uuid4().hex[:8]}"
    migrated(server_dsn, name)
    return name


@pytest.fixture
def dsn(server_dsn: str, template_db: str) -> Iterator[str]:
    """A migrated, empty database of this test's own, as its superuser's DSN."""
    name = f"ww_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        for last in (False,) * 9 + (True,):
            try:
                conn.execute(f"create database {name} template {template_db}")
                break
            except psycopg.errors.ObjectInUse:  # TimescaleDB's scheduler looks into every database now and then
                if last:
                    raise
                time.sleep(0.5)
    yield conninfo.make_conninfo(server_dsn, dbname=name)
    dropped(server_dsn, name)


@pytest.fixture
def timescale_dsn() -> Iterator[str]:
    """A migrated, empty database on TimescaleDB; skips, saying so, where none is named."""
    server = os.environ.get("WEARWELL_TEST_TIMESCALE_DSN")
    if not server:
        pytest.skip("WEARWELL_TEST_TIMESCALE_DSN names no PostgreSQL with TimescaleDB")
    name = f"ww_{uuid.uuid4().hex[:12]}"
    yield migrated(server, name)
    dropped(server, name)


@pytest.fixture(params=["dsn", pytest.param("timescale_dsn", marks=pytest.mark.timescale)])
def each_dsn(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database on the tests' own PostgreSQL, then one on TimescaleDB."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a broker in an account of its own may look into, as it must where we are root.

    It is none of pytest's own: each run of pytest that begins closes their common parent to everybody else, and a
    broker that another run had started could not read its files again.
    """
    folder = Path(tempfile.mkdtemp(prefix="wearwell-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """A Kafka-protocol broker: the one WEARWELL_TEST_KAFKA names, else one of this process's own."""
    with Cluster() as own:
        yield own


@pytest.fixture
def log(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Topics and a group of this test's own, whose members are given up after a few seconds of silence."""
    monkeypatch.setattr("gateway.ingest.kafka.clients.SESSION", SESSION_S)
    monkeypatch.setattr("gateway.ingest.kafka.clients.HEARTBEAT", SESSION_S / 6)
    own = Log(kafka)
    yield own
    own.close()


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection in the gateway's role: every tenant, no DDL."""
    with pool.connect(dsn, pool.Role.GATEWAY) as connection:
        yield connection
