"""Large batches: shared out over connections without losing a message or its order, and stored straight where new."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from gateway.ingest import lane, pipeline, receipts
from gateway.ingest.directory import Directory
from gateway.ingest.lane import Lane, settle_in
from tests.faults import fleet
from tests.faults.fleet import batch

SERIALS = [str(number) for number in range(8)]
MESSAGES = [batch(1 + q, serial=serial) for q in range(3) for serial in SERIALS]
COUNTED = "select count(*), count(distinct unit_id) from reading"


@pytest.fixture
def lanes(conn: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Lane]]:
    """Two lanes, among which even small batches are shared out."""
    monkeypatch.setattr(lane, "WORTH_IT", 2)
    fleet.enrol(conn, SERIALS)
    conn.commit()
    both = [Lane(dsn), Lane(dsn)]
    yield both
    for each in both:
        each.hang_up()


def test_a_shared_batch_is_stored_whole(conn: psycopg.Connection, lanes: list[Lane]) -> None:
    """Every message is stored once, every unit receipted up to its last, nothing seen as a gap."""
    with ThreadPoolExecutor(1) as executor:
        outcome = settle_in(lanes, MESSAGES, executor)
    assert (24, 0, 0) == (outcome.stored, outcome.duplicates, outcome.gaps_opened)
    assert {receipts.through(f"acme.{serial}", 7, 3) for serial in SERIALS} == set(outcome.messages)
    assert (24, 8) == conn.execute(COUNTED).fetchone()


def test_a_lane_that_fails_fails_the_batch_and_doubles_nothing(
    conn: psycopg.Connection, lanes: list[Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one lane cannot commit, the batch is not settled; tried again, the other's share is there already."""
    for broken in range(2):
        with ThreadPoolExecutor(1) as executor, monkeypatch.context() as patch:

            def refuse() -> psycopg.Connection:
                raise psycopg.OperationalError("away")

            patch.setattr(lanes[broken], "connection", refuse)
            with pytest.raises(psycopg.OperationalError):
                settle_in(lanes, MESSAGES, executor)
    with ThreadPoolExecutor(1) as executor:
        settle_in(lanes, MESSAGES, executor)
    assert (24, 8) == conn.execute(COUNTED).fetchone()


def test_two_lanes_may_need_the_same_new_month(lanes: list[Lane], conn: psycopg.Connection) -> None:
    """A partition that another transaction is making is waited for, not made again."""
    partitioned = "select from pg_partitioned_table where partrelid = 'wearwell.reading'::regclass"
    if conn.execute(partitioned).fetchone() is None:
        pytest.skip("TimescaleDB makes its chunks by itself")
    conn.rollback()
    first, second = (each.connection() for each in lanes)
    make = "select reading_partitions('2031-01-01', '2031-01-02')"
    with ThreadPoolExecutor(1) as executor:
        with first.transaction():
            assert (1,) == first.execute(make).fetchone()
            waiting = executor.submit(lambda: second.execute(make).fetchone())
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
        assert (0,) == waiting.result(20)


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
