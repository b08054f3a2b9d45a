"""An upgrade while units publish: ingest waits for a schema it needs, and a migration never holds it up for long."""

import threading
from pathlib import Path

import psycopg
import pytest

from gateway.db import migrate, pool
from tests.faults import fleet
from tests.faults.machinery import Mosquitto, wait_for
from tests.faults.publishing import SERIALS
from tests.faults.rig import Note, Rig
from tests.faults.server import Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
EXPAND = migrate.Migration("9999_expand", "alter table reading add column probe int; create index on unit (region)")
WAITS = """select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0) from pg_stat_activity
    where wait_event_type = 'Lock' and query not ilike '%alter table%'"""


def test_migration_under_load(own: Rig, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration wants a table that an analyst holds: it gives up and tries again, and ingest passes meanwhile."""
    stands = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: [*stands, EXPAND])
    done: list[str] = []
    waits = [0.0]
    with own.serving(), own.publishing() as publishing, psycopg.connect(server.dsn, autocommit=True) as admin:
        publishing.moves_on(10)
        migrating = threading.Thread(target=lambda: done.extend(migrate.migrate(server.dsn)))
        with psycopg.connect(server.dsn) as analyst:
            analyst.execute("select count(*) from wearwell.reading")
            migrating.start()
            publishing.hold(6, lambda: waits.append(float((admin.execute(WAITS).fetchone() or [0])[0])))
            assert [] == done
            publishing.moves_on(10)  # between two tries
        migrating.join(60)
        took = publishing.recovered()
        publishing.finish()
    assert ["9999_expand"] == done
    assert max(waits) < 2 * migrate.LOCK_MS / 1_000
    own.note(
        "migration under load, a table held 6 s",
        own.clean(),
        longest_wait_s=round(max(waits), 2),
        recovered_s=round(took, 1),
    )


def test_new_ingest_waits_for_its_migration(
    broker: Mosquitto, tmp_path: Path, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version runs before the database is migrated: it acknowledges nothing, and goes on by itself then."""
    first = migrate.migrations()[:1]
    with monkeypatch.context() as old:
        old.setattr(migrate, "migrations", lambda: first)
        server = Server()
    try:
        rig = Rig(tmp_path, server.dsn, broker, note)
        with rig.serving() as gateway, rig.publishing() as publishing:
            wait_for(lambda: len(gateway.said("the database is away; holding what was received")) > 2, 60)
            assert {0} == {unit.through for unit in publishing.publisher.units}
            migrate.migrate(server.dsn)
            with pool.connect(server.dsn, pool.Role.GATEWAY) as conn:
                fleet.enrol(conn, SERIALS)
            took = publishing.recovered()
            publishing.finish()
        note("ingest of a new version, before its migration", rig.clean(), recovered_s=round(took, 1))
    finally:
        server.close()
