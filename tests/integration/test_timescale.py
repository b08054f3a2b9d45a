"""The store on TimescaleDB: the same tables and the same numbers as on plain PostgreSQL, on a hypertable."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from gateway.db import pool
from gateway.ingest import pipeline
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from tests.faults import fleet
from tests.faults.fleet import NOW, batch

pytestmark = pytest.mark.timescale
READINGS = "select count(*), count(distinct (session, seq)), sum(value) from reading"
HOURLY = "select hour, n, low, high, mean, first, last, rise from reading_hourly order by hour"
DAYS = 30


@pytest.fixture
def conn(timescale_dsn: str) -> Iterator[psycopg.Connection]:
    with pool.connect(timescale_dsn, pool.Role.GATEWAY) as connection:
        yield connection


def take(conn: psycopg.Connection, *envelopes: Envelope) -> int:
    with conn.transaction():
        return pipeline.take(conn, Directory(), envelopes).stored


def month() -> list[Envelope]:
    """A reading every six hours for a month, one message a day, all of them received at its end."""
    days = [(1 + 4 * day, [{"runtime": 4.0 * day + k} for k in range(4)], timedelta(days=day)) for day in range(DAYS)]
    end = NOW + timedelta(days=DAYS)
    return [batch(seq, samples, at=NOW + day, step=21_600, received=end) for seq, samples, day in days]


def compress(dsn: str) -> int:
    """Compress every chunk, as a policy would once the late window is over; return how many there were."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        chunks = admin.execute("select compress_chunk(c) from show_chunks('wearwell.reading') c").fetchall()
        return len(chunks)


def test_readings_stand_in_a_hypertable(timescale_dsn: str) -> None:
    """The migration makes a hypertable where the server has the extension, and asks for no partitions of its own."""
    with psycopg.connect(timescale_dsn) as admin:
        assert [("reading",)] == admin.execute(
            "select hypertable_name from timescaledb_information.hypertables"
        ).fetchall()
        assert (0,) == admin.execute("select wearwell.reading_partitions(now(), now() + interval '1 year')").fetchone()


def test_a_month_twice_is_stored_once(conn: psycopg.Connection) -> None:
    """Redelivery over many chunks changes no row and no rollup."""
    fleet.enrol(conn)
    assert 4 * DAYS == take(conn, *month())
    once = conn.execute(HOURLY).fetchall()
    assert 0 == take(conn, *month())
    assert (4 * DAYS, 4 * DAYS, sum(range(4 * DAYS))) == conn.execute(READINGS).fetchone()
    assert once == conn.execute(HOURLY).fetchall()
    assert 4 * DAYS - 1 == sum(row[-1] for row in once)


def test_late_readings_find_their_place_in_compressed_chunks(timescale_dsn: str, conn: psycopg.Connection) -> None:
    """A day that comes after compression is stored once, and its hours are what they would have been in time."""
    fleet.enrol(conn)
    late, others = month()[10], [*month()[:10], *month()[11:]]
    take(conn, *others)
    conn.commit()
    assert compress(timescale_dsn) > 1
    assert 4 == take(conn, late)
    assert 0 == take(conn, late)
    assert (4 * DAYS, 4 * DAYS, sum(range(4 * DAYS))) == conn.execute(READINGS).fetchone()
    assert 4 * DAYS - 1 == sum(row[-1] for row in conn.execute(HOURLY).fetchall())


def test_a_tenant_sees_its_own_readings_only_compressed_or_not(timescale_dsn: str, conn: psycopg.Connection) -> None:
    """Row-level security and compression exclude each other there, so the web reads through the barrier view."""
    fleet.enrol(conn)
    take(conn, *month())
    conn.commit()
    compress(timescale_dsn)
    with pool.connect(timescale_dsn, pool.Role.APP) as app:
        assert (0,) == app.execute("select count(*) from reading_of_tenant").fetchone()
        pool.speak_for(app, 1)
        assert (4 * DAYS,) == app.execute("select count(*) from reading_of_tenant").fetchone()
        app.rollback()
        pool.speak_for(app, 2)
        assert (0,) == app.execute("select count(*) from reading_of_tenant").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("select count(*) from reading")
