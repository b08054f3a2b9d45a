"""PostgreSQL is killed, cut off, frozen, slow, full: nothing is acknowledged meanwhile, and all of it comes after."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.db import pool
from tests.faults import disk, fleet
from tests.faults.machinery import Gateway, Mosquitto, wait_for
from tests.faults.publishing import SERIALS, Publishing
from tests.faults.rig import Note, Rig
from tests.faults.server import Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
WINDOW = 40
HOLDS = 2 * WINDOW  # messages, see gateway/ingest/service.py
FLAT_KIB = 40_960  # what a gateway may grow by while it holds a full buffer of small messages
AWAY = "the database is away; holding what was received"


def grown(gateway: Gateway, publishing: Publishing, seconds: float) -> int:
    """Publish for a while and return by how much memory the gateway grew meanwhile, in KiB."""
    before = gateway.memory()
    seen = [before]
    publishing.hold(seconds, lambda: seen.append(gateway.memory()))
    assert max(seen) - before < FLAT_KIB, (before, max(seen))
    return max(seen) - before


def test_postgres_killed(own: Rig, server: Server, long: bool) -> None:
    """Backends are terminated and killed, the server is killed and started again: in-doubt commits are safe."""
    with own.serving(), own.publishing() as publishing:
        publishing.moves_on(20)
        # SIGKILL of a backend is a crash: the server ends all of them and recovers.
        for number in (*[signal.SIGTERM] * (8 if long else 2), signal.SIGKILL):
            server.kill_backends(number)
            publishing.moves_on()
        server.kill()
        server.start()
        took = publishing.recovered()
        publishing.finish()
    own.note("PostgreSQL: backends terminated and killed, server killed", own.clean(), recovered_s=round(took, 1))


# While a row stands in `hold`, a statement stops in the middle of what it inserts, until its backend is ended.
HOLD = """
create table wearwell.hold ();
create function wearwell.stand_still() returns trigger language plpgsql security definer as $$
begin
  if new.seq % 50 = 0 and exists (select from wearwell.hold) then perform pg_sleep(600); end if;
  return new;
end $$;
create trigger stand_still before insert on wearwell.reading for each row execute function wearwell.stand_still();
insert into wearwell.hold default values;
"""
ASLEEP = "select pid from pg_stat_activity where wait_event = 'PgSleep'"


def test_postgres_killed_in_the_middle_of_a_batch(own: Rig, server: Server) -> None:
    """A backend that has half inserted a batch is ended there: nothing of it stays, all of it comes again."""
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(HOLD)
        with own.serving(), own.publishing() as publishing:
            wait_for(lambda: admin.execute(ASLEEP).fetchone(), 60)
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
            wait_for(lambda: not admin.execute(ASLEEP).fetchone(), 60)
            wait_for(lambda: admin.execute(ASLEEP).fetchone(), 60)  # it came again, and stands where it stood
            admin.execute("delete from wearwell.hold")
            server.kill_backends(signal.SIGKILL)
            took = publishing.recovered()
            publishing.finish()
    own.note("PostgreSQL: a backend ended in the middle of a batch", own.clean(), recovered_s=round(took, 1))


def test_postgres_frozen(own: Rig, server: Server, long: bool) -> None:
    """It hangs without a word, as under a stopped virtual machine: the buffer is bounded, the memory flat."""
    seconds = 30 if long else 5
    with own.serving() as gateway, own.publishing() as publishing:
        publishing.moves_on(20)
        server.freeze()
        try:
            through = sum(unit.through for unit in publishing.publisher.units)
            memory = grown(gateway, publishing, seconds)
            receipted = sum(unit.through for unit in publishing.publisher.units) - through
        finally:
            server.thaw()
        took = publishing.recovered()
        publishing.finish()
    assert receipted <= 3 * 3 * HOLDS  # what was committed before: nothing is receipted while nothing can be stored
    own.note(f"PostgreSQL frozen {seconds} s", own.clean(), recovered_s=round(took, 1), grown_kib=memory)


SLOW = """
create function wearwell.be_slow() returns trigger language plpgsql as $$
begin perform pg_sleep(0.01); return new; end $$;
create trigger be_slow before insert on wearwell.reading for each row execute function wearwell.be_slow();
"""


@pytest.mark.long
def test_slow_consumer(own: Rig, server: Server) -> None:
    """A store slower than the fleet: the gateway holds what its buffer holds, the broker keeps the rest."""
    with psycopg.connect(server.dsn, autocommit=True) as admin, own.serving() as gateway:
        admin.execute(SLOW)
        with own.publishing() as publishing:
            memory = grown(gateway, publishing, 30)
            admin.execute("drop trigger be_slow on wearwell.reading")
            took = publishing.recovered()
            publishing.finish()
    own.note("slow consumer: 10 ms a reading", own.clean(), recovered_s=round(took, 1), grown_kib=memory)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with disk.small(300) as folder:
        yield folder


def test_postgres_disk_full(small_disk: Path, broker: Mosquitto, tmp_path: Path, note: Note) -> None:
    """With no room left nothing is acknowledged; with room again all goes on unattended."""
    server = Server(small_disk)
    try:
        with pool.connect(server.dsn, pool.Role.GATEWAY) as conn:
            fleet.enrol(conn, SERIALS)
        rig = Rig(tmp_path, server.dsn, broker, note)
        with rig.serving() as gateway, rig.publishing(samples=20) as publishing:
            publishing.moves_on(20)
            ballast = disk.fill(small_disk)
            wait_for(lambda: gateway.said(AWAY), 120)
            through = [unit.through for unit in publishing.publisher.units]
            memory = grown(gateway, publishing, 5)
            fell = not server.processes()
            stood = [unit.through for unit in publishing.publisher.units]
            ballast.unlink()
            server.start()  # where it fell, as its service manager would
            took = publishing.recovered()
            publishing.finish()
        errors = {line["error"].splitlines()[0] for line in gateway.said(AWAY)}
        assert any("No space left" in error for error in errors), errors
        held = gateway.held()
        assert held <= HOLDS
        rig.note(
            "PostgreSQL: disk full", rig.clean(), recovered_s=round(took, 1), grown_kib=memory, held=held,
            server_fell=fell, receipted_meanwhile=sum(stood) - sum(through),
        )  # fmt: skip
    finally:
        server.close()
