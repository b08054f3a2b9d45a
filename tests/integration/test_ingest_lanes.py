"""Large batches: shared out over connections without losing a message or its order, and stored straight where new."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from gateway import metrics
from gateway.ingest import pipeline, quarantine, receipts, service, shares, topics
from gateway.ingest.annex import Annex
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Handle, Released
from gateway.ingest.lane import Lane
from gateway.ingest.mail import Mail
from gateway.ingest.outcome import Outcome
from gateway.settings import Settings
from tests.faults import fleet
from tests.faults.fleet import batch
from tests.faults.machinery import wait_for

SERIALS = [str(number) for number in range(32)]
MESSAGES = [batch(1 + q, serial=serial) for q in range(3) for serial in SERIALS]
COUNTED = "select count(*), count(distinct unit_id) from reading"


@pytest.fixture
def lane(conn: psycopg.Connection, dsn: str) -> Iterator[Lane]:
    """A lane into a store that knows the units."""
    fleet.enrol(conn, SERIALS)
    conn.commit()
    own = Lane(dsn)
    yield own
    own.hang_up()


@pytest.fixture
def annex(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Annex]:
    """A process that gets its share even of small batches."""
    monkeypatch.setattr(shares, "WORTH_IT", 2)
    own = Annex.start(dsn)
    yield own
    own.close()
    for process in multiprocessing.active_children():
        process.join(20)
    assert [] == multiprocessing.active_children()  # it ends with the pipe


def test_a_shared_batch_is_stored_whole(conn: psycopg.Connection, lane: Lane, annex: Annex) -> None:
    """Every message is stored once, every unit receipted up to its last, nothing seen as a gap; both had some."""
    outcome = shares.settle(lane, annex, MESSAGES)
    assert (96, 0, 0) == (outcome.stored, outcome.duplicates, outcome.gaps_opened)
    assert {receipts.through(f"acme.{serial}", 7, 3) for serial in SERIALS} == set(outcome.messages)
    assert (96, 32) == conn.execute(COUNTED).fetchone()
    assert {2} == {conn.execute("select count(distinct xmin::text) from reading").fetchone()[0]}  # type: ignore[index]  # there is a row


def test_an_annex_without_a_share_has_nothing_to_do(lane: Lane, annex: Annex) -> None:
    """Where all messages are one unit's, the other process gets none of them, and is done at once."""
    for serial in SERIALS[:8]:  # some of them are this process's alone
        assert 4 == shares.settle(lane, annex, [batch(1 + q, serial=serial) for q in range(4)]).stored


def test_what_is_odd_is_refused_alike_in_both(conn: psycopg.Connection, lane: Lane, annex: Annex) -> None:
    """Released, sent again or malformed: a message means there what it means here."""
    odd = [each._replace(payload=b"{", again=True) for each in MESSAGES[:32]]
    outcome = shares.settle(lane, annex, [*odd, *(batch(1, [{"pm25": 1e9}], serial=serial) for serial in SERIALS)])
    assert {"bad_json": 32, "unbelievable": 32} == outcome.refused
    assert outcome.refused == quarantine.counted(conn)


def test_a_share_that_fails_fails_the_batch_and_doubles_nothing(
    conn: psycopg.Connection, lane: Lane, annex: Annex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one cannot commit, the batch is not settled; tried again, the other's share is there already."""
    with monkeypatch.context() as patch:
        patch.setattr(lane, "connection", lambda: (_ for _ in ()).throw(psycopg.OperationalError("away")))
        with pytest.raises(psycopg.OperationalError, match="away"):
            shares.settle(lane, annex, MESSAGES)
    kept = conn.execute(COUNTED).fetchone()
    assert kept is not None
    assert 0 < kept[0] < 96
    assert 96 - kept[0] == shares.settle(lane, annex, MESSAGES).stored
    conn.rollback()
    assert (96, 32) == conn.execute(COUNTED).fetchone()


def test_a_message_means_there_what_it_means_here() -> None:
    """What the broker and the log said of a message goes along; only its handle stays."""
    said = {"content_type": "application/cbor", "retained": True, "again": True, "key": "k"}
    odd = MESSAGES[0]._replace(**said, released=Released("x", [1]), tried=True)
    here, there = multiprocessing.Pipe()
    Annex(here, multiprocessing.current_process()).begin(Mail.of([odd._replace(handle=Handle(1, 2))]))
    assert [odd] == list(there.recv())


@pytest.fixture
def held_up(dsn: str, lane: Lane, annex: Annex) -> Iterator[tuple[psycopg.Connection, Future[Outcome]]]:
    """A batch that the lane has committed while the annex waits for a unit that somebody else has locked."""
    there = [serial for serial in SERIALS if topics.spread(batch(1, serial=serial).topic) % 2]
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    stored = "select count(*) from wearwell.reading"
    with (
        psycopg.connect(dsn) as other,
        psycopg.connect(dsn, autocommit=True) as look,
        ThreadPoolExecutor(1) as aside,
    ):
        other.execute("select from wearwell.unit where serial = %s for update", (there[0],))
        running = aside.submit(shares.settle, lane, annex, MESSAGES)
        wait_for(lambda: look.execute(waiting).fetchone() == (1,))
        wait_for(lambda: look.execute(stored).fetchone() == (96 - 3 * len(there),))
        yield look, running
        other.rollback()


BREAK_OFF = """select pg_terminate_backend(pid) from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()"""


def test_what_the_annex_could_not_store_is_not_settled(
    annex: Annex, held_up: tuple[psycopg.Connection, Future[Outcome]]
) -> None:
    """Its connection broken off, the batch fails although this process committed its share; the annex stays."""
    look, running = held_up
    look.execute(BREAK_OFF)
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        running.result(20)
    assert annex.serves()


def test_an_annex_killed_at_its_share_fails_the_batch(
    annex: Annex, held_up: tuple[psycopg.Connection, Future[Outcome]]
) -> None:
    """Its share is not taken for stored, and it gets none any more."""
    look, running = held_up
    [process] = multiprocessing.active_children()
    process.kill()
    with pytest.raises(psycopg.OperationalError, match="has gone"):
        running.result(20)
    assert not annex.serves()
    look.execute(BREAK_OFF)


def test_an_annex_that_stands_still_is_ended(
    conn: psycopg.Connection, lane: Lane, annex: Annex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold its units' locks for ever: the batch fails, and tried again it is stored here."""
    monkeypatch.setattr(shares, "PATIENCE", 0.5)
    [process] = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(psycopg.OperationalError, match="has gone"):
        shares.settle(lane, annex, MESSAGES)
    outcome = shares.settle(lane, annex, MESSAGES)
    assert 96 == outcome.stored + outcome.duplicates
    assert (96, 32) == conn.execute(COUNTED).fetchone()


def test_an_annex_that_stands_still_does_not_keep_ingest_from_ending(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes it waits a while, then ends it."""
    monkeypatch.setattr("gateway.ingest.annex.GOODBYE", 0.5)
    own = Annex.start(dsn)
    [process] = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGSTOP)
    own.close()
    process.join(20)
    assert not process.is_alive()


def test_an_annex_does_not_outlive_who_forked_it(dsn: str) -> None:
    """Not even standing still, when nobody says goodbye: its units would stay locked."""
    code = (
        "import multiprocessing, os, signal, sys; from gateway.ingest.annex import Annex;"
        " from gateway.ingest.mail import Mail; annex = Annex.start(sys.argv[1]); annex.begin(Mail()); annex.end();"
        " [own] = multiprocessing.active_children(); os.kill(own.pid, signal.SIGSTOP); print(own.pid, flush=True);"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, dsn], capture_output=True, text=True, check=False)
    wait_for(lambda: not alive(int(ended.stdout)))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_share_that_failed_leaves_nothing_in_a_circle(dsn: str, lane: Lane, annex: Annex) -> None:
    """What is raised holds its batch no longer than it is held itself."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("alter table wearwell.reading rename to elsewhere")
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises(psycopg.errors.UndefinedTable):
                    shares.settle(lane, annex, MESSAGES)
            assert gc.collect() < len(MESSAGES)
        finally:
            gc.enable()
            owner.execute("alter table wearwell.elsewhere rename to reading")


def test_errors_of_the_database_come_back_from_the_annex(dsn: str, lane: Lane, annex: Annex) -> None:
    """What the database says there is said here, and once it takes messages again, so does the annex."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("alter table wearwell.reading rename to elsewhere")
        annex.begin(Mail.of(MESSAGES))
        with pytest.raises(psycopg.errors.UndefinedTable):
            annex.end()
        owner.execute("alter table wearwell.elsewhere rename to reading")
    assert 96 == shares.settle(lane, annex, MESSAGES).stored


def test_where_the_annex_has_gone_the_lane_does_everything(conn: psycopg.Connection, lane: Lane, annex: Annex) -> None:
    """Killed between two batches, it is missed at a look, and gets no share of the next."""
    [process] = multiprocessing.active_children()
    assert annex.serves()
    process.kill()
    process.join()
    assert not annex.serves()
    assert 96 == shares.settle(lane, annex, MESSAGES).stored
    assert (96, 32) == conn.execute(COUNTED).fetchone()


def test_an_annex_that_has_gone_is_seen_from_outside(annex: Annex, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest looks between its batches, so that an alert need not wait for a large one."""
    monkeypatch.setattr(service, "ASK_EVERY", 0.0)
    ingest = service.Ingest(Settings(mqtt_url="mqtt://127.0.0.1:9"), lane.dsn, annex)
    ingest.do_chores()
    assert 1 == metrics.value("annex_serves")
    [process] = multiprocessing.active_children()
    process.kill()
    process.join()
    ingest.do_chores()
    assert 0 == metrics.value("annex_serves")
    ingest.lane.hang_up()


def test_two_lanes_may_need_the_same_new_month(lane: Lane, dsn: str, conn: psycopg.Connection) -> None:
    """A partition that another transaction is making is waited for, not made again."""
    partitioned = "select from pg_partitioned_table where partrelid = 'wearwell.reading'::regclass"
    if conn.execute(partitioned).fetchone() is None:
        pytest.skip("TimescaleDB makes its chunks by itself")
    conn.rollback()
    other = Lane(dsn)
    first, second = lane.connection(), other.connection()
    make = "select reading_partitions('2031-01-01', '2031-01-02')"
    with ThreadPoolExecutor(1) as executor:
        with first.transaction():
            assert (1,) == first.execute(make).fetchone()
            waiting = executor.submit(lambda: second.execute(make).fetchone())
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
        assert (0,) == waiting.result(20)
    other.hang_up()


def test_readings_that_stand_already_are_not_stored_again(conn: psycopg.Connection) -> None:
    """Where sequence numbers say new and the table knows better, the table is right, and the rest is stored."""
    fleet.enrol(conn)
    with conn.transaction():
        assert 1 == pipeline.take(conn, Directory(), [batch(1)]).stored
    with conn.transaction():
        conn.execute("set local role none")
        conn.execute("delete from unit_session")
        conn.execute("set local role wearwell_gateway")
        outcome = pipeline.take(conn, Directory(), [batch(1, [{"runtime": 1.0}, {"runtime": 1.5}])])
    assert (1, 1) == (outcome.stored, outcome.duplicates)
    assert (2, 1) == conn.execute(COUNTED).fetchone()
    assert (2, 1.5, 0.5) == conn.execute("select n, last, rise from reading_hourly").fetchone()
