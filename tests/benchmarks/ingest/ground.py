"""What a benchmark stands on: a broker of its own, a database of its own, and enrolled units."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import conninfo

from gateway.db import embedded, migrate
from tests.benchmarks.ingest.load import device
from tests.faults import fleet
from tests.faults.machinery import Mosquitto


class Ground(NamedTuple):
    """A folder, a broker's port, and an empty, migrated database: its owner's DSN, and that of a service's login."""

    folder: Path
    port: int
    dsn: str
    service_dsn: str


@contextlib.contextmanager
def ground(server: str | None) -> Iterator[Ground]:
    """Start a broker and, where no server is given, PostgreSQL as it is embedded; drop and stop them at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wearwell-bench-"))
    folder.chmod(0o711)
    broker = Mosquitto(folder)
    conf = broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text() + "max_inflight_messages 65535\nset_tcp_nodelay true\n")
    name = f"ww_bench_{uuid.uuid4().hex[:8]}"
    running = None if server else embedded.server(folder)
    admin = server or str(running.get_uri())
    try:
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"create database {name}")
        broker.start()
        dsn = conninfo.make_conninfo(admin, dbname=name)
        migrate.migrate(dsn)
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"create role {name} login noinherit password '{name}' in role wearwell_app, wearwell_gateway")
        yield Ground(folder, broker.port, dsn, conninfo.make_conninfo(dsn, user=name, password=name))
    finally:
        broker.kill()
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)")
            conn.execute(f"drop role if exists {name}")
        if running is not None:
            running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def enrol(dsn: str, units: int) -> None:
    """Enrol so many units, without credentials of their own: the benchmark's broker asks for none."""
    with psycopg.connect(dsn, options="-c search_path=wearwell,public") as conn:
        tenant = fleet.declare(conn)
        conn.execute(
            """insert into unit (tenant_id, model_id, serial, device, hw_rev, region, created_at)
               select %s, (select model_id from product_model where gtin = %s), number,
                   'bench.' || lpad(number::text, 6, '0'), '', 'DE', now()
               from generate_series(0, %s) number on conflict do nothing""",
            (tenant, fleet.GTIN, units - 1),
        )
        enrolled = conn.execute("select count(*) from unit where device = %s", (device(units - 1),)).fetchone()
        assert enrolled == (1,)


def readings(dsn: str) -> int:
    """Return how many readings are stored."""
    with psycopg.connect(dsn, options="-c search_path=wearwell,public") as conn:
        row = conn.execute("select count(*) from reading").fetchone()
        return int(row[0]) if row else 0


def checkpoint(dsn: str) -> None:
    """Let the server write down what it holds, so that nobody pays for what another left behind."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("checkpoint")
