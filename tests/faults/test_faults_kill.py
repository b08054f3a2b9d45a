"""Everything is killed, at seeded moments; the ledger stays clean: nothing lost, doubled, invented or altered."""

import random
import signal
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Note
from tests.faults.machinery import Gateway, Mosquitto, wait_for
from tests.faults.publishing import Publishing, assert_clean
from tests.faults.server import Server
from tests.faults.victim import POINTS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]


def test_gateway_killed_at_seeded_points(
    ready: None, broker: Mosquitto, dsn: str, tmp_path: Path, seeds: int, note: Note
) -> None:
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
            took = publishing.recovered()
            publishing.finish()
            gateway.kill(signal.SIGTERM)
    note("gateway killed mid-batch", assert_clean(path, dsn), kills=seeds, recovered_s=round(took, 1))


def test_two_gateways_share_the_work(ready: None, broker: Mosquitto, dsn: str, tmp_path: Path, note: Note) -> None:
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
    note("two gateways read the same topics, one killed", assert_clean(path, dsn))


def test_postgres_killed(own_server: Server, broker: Mosquitto, tmp_path: Path, note: Note) -> None:
    """Backends are terminated and killed, the server is killed and started again: in-doubt commits are safe."""
    path = tmp_path / "run.jsonl"
    with Gateway(tmp_path, own_server.dsn, broker.url, window=40) as gateway:
        gateway.start()
        wait_for(gateway.connected)
        with Publishing(path, broker.url) as publishing:
            publishing.moves_on(20)
            # SIGKILL of a backend is a crash: the server ends all of them and recovers.
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                own_server.kill_backends(number)
                publishing.moves_on()
            own_server.kill()
            own_server.start()
            took = publishing.recovered()
            publishing.finish()
        gateway.kill(signal.SIGTERM)
    found = assert_clean(path, own_server.dsn)
    note("PostgreSQL: backends terminated and killed, server killed", found, recovered_s=round(took, 1))


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


def test_postgres_killed_in_the_middle_of_a_batch(
    own_server: Server, broker: Mosquitto, tmp_path: Path, note: Note
) -> None:
    """A backend that has copied and half inserted a batch is killed there: nothing of it stays, all of it comes again."""
    path = tmp_path / "run.jsonl"
    asleep = "select pid from pg_stat_activity where wait_event = 'PgSleep'"
    with Gateway(tmp_path, own_server.dsn, broker.url, window=40) as gateway:
        with psycopg.connect(own_server.dsn) as admin:
            admin.execute(HOLD)
        gateway.start()
        wait_for(gateway.connected)
        with Publishing(path, broker.url) as publishing, psycopg.connect(own_server.dsn, autocommit=True) as admin:
            wait_for(lambda: admin.execute(asleep).fetchone(), 60)
            publishing.hold(1)
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
            wait_for(lambda: admin.execute(asleep).fetchone(), 60)  # it came again, and stands where it stood
            admin.execute("delete from wearwell.hold")
            own_server.kill_backends(signal.SIGKILL)
            took = publishing.recovered()
            publishing.finish()
        gateway.kill(signal.SIGTERM)
    found = assert_clean(path, own_server.dsn)
    note("PostgreSQL: backend killed between COPY and COMMIT", found, recovered_s=round(took, 1))
