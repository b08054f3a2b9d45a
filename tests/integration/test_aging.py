"""Readings are compressed and let go; what was made of them stays and answers as before, also when late ones come."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from gateway import clock
from gateway.db import pool
from gateway.ingest import pipeline
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.lifecycle import aging
from gateway.registry import timeline
from gateway.replenish import cycles, features
from gateway.settings import Settings
from gateway.worker.chores import Chores
from tests.faults import fleet as units
from tests.faults.fleet import batch
from tests.faults.machinery import wait_for
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
KEPT = Settings(keep_readings_d=100)
DAYS = 200  # that a unit tells of, a reading every six hours, a message a day
SINCE = clock.wall().replace(hour=0, minute=0, second=0, microsecond=0) - DAYS * DAY
COUNTS = "select count(*), count(distinct (session, seq)) from reading"
HOURLY = "select * from reading_hourly order by unit_id, slot_id, channel_id, hour"
COMPRESSED = "select count(*) from timescaledb_information.chunks where is_compressed"


@pytest.fixture
def conn(each_dsn: str) -> Iterator[psycopg.Connection]:
    with pool.connect(each_dsn, pool.Role.GATEWAY) as connection:
        connection.autocommit = True  # as processes have it, each step is a transaction of its own
        yield connection
    clock.accelerate(None)


def take(conn: psycopg.Connection, *envelopes: Envelope) -> int:
    with conn.transaction():
        return pipeline.take(conn, Directory(), envelopes).stored


def day(number: int, serial: str = "1") -> Envelope:
    """Return what a unit that never rests tells of one day, received at the end of all of them."""
    said = [{"runtime": 24.0 * number + 6.0 * k, "pm25": float(number)} for k in range(4)]
    at = SINCE + number * DAY
    return batch(1 + 4 * number, said, serial=serial, at=at, step=21_600, received=SINCE + DAYS * DAY)


def let_go(conn: psycopg.Connection, now: datetime) -> int:
    with conn.transaction():
        return aging.let_go(conn, KEPT, now)


def compress_all(dsn: str) -> None:
    """Compress every chunk, as the store's policy does once they are old enough; plain PostgreSQL has none."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=wearwell,public") as admin:
        if admin.execute("select reading_is_hypertable()").fetchone() == (True,):
            chunks = admin.execute("select compress_chunk(c) from show_chunks('reading') c").fetchall()
            assert (len(chunks),) == admin.execute(COMPRESSED).fetchone()


def kept_since(conn: psycopg.Connection) -> datetime:
    row = conn.execute("select since from reading_kept").fetchone()
    assert row
    return row[0]


def hours_run(conn: psycopg.Connection) -> float:
    row = conn.execute("select sum(rise) from reading_hourly").fetchone()
    assert row
    return float(row[0])


def history(conn: psycopg.Connection, house: fleet.House, unit_id: int, now: datetime) -> Any:
    """Return all that the product tells of a unit's past."""
    seen = features.read(conn, house.slot, [unit_id], now, exact=True)
    return (
        seen.as_json(),
        timeline.days(conn, unit_id, BORN),
        timeline.cycles(conn, unit_id),
        conn.execute(HOURLY).fetchall(),
        fleet.scored(conn, unit_id, now)["eol_q50"],
    )


def test_a_units_history_answers_as_before(each_dsn: str, conn: psycopg.Connection) -> None:
    """Features, forecast, days, cycles and rollups are the same when readings are compressed, and when gone."""
    house = fleet.build(conn)
    unit_id = fleet.enrol(conn, house)
    fleet.run(conn, unit_id, 90)
    fleet.set_clock(BORN + 90 * DAY)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, BORN + 90 * DAY, "owner"), BORN + 90 * DAY)
    now = fleet.run(conn, unit_id, 30, since=BORN + 90 * DAY)
    before = history(conn, house, unit_id, now)
    compress_all(each_dsn)
    assert before == history(conn, house, unit_id, now)
    assert 0 < let_go(conn, BORN + 200 * DAY)
    assert kept_since(conn) <= BORN + 100 * DAY
    assert (0,) == conn.execute("select count(*) from reading where ts < %s", (kept_since(conn),)).fetchone()
    assert before == history(conn, house, unit_id, now)
    assert (90 * 8.0,) == conn.execute("select end_runtime_h from cycle where not upper_inf(period)").fetchone()


def test_a_fitting_told_of_a_time_whose_readings_are_gone_knows_its_counter(conn: psycopg.Connection) -> None:
    """What the counter stood at when a part was changed is in the rollups."""
    house = fleet.build(conn)
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 90)
    fleet.set_clock(now)
    assert 0 < let_go(conn, BORN + 400 * DAY)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, BORN + 10 * DAY, "owner"), now)
    assert (80.0,) == conn.execute("select start_runtime_h from cycle where upper_inf(period)").fetchone()


def test_a_counter_that_is_doubted_says_nothing_at_a_fitting(conn: psycopg.Connection) -> None:
    """Hours hold readings of a time that is still to come; where the readings are there, they are asked instead."""
    house = fleet.build(conn)
    unit_id = fleet.enrol(conn, house)
    fleet.run(conn, unit_id, 10)
    conn.execute(
        """insert into reading (tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, received_at, clock,
             flags) select tenant_id, unit_id, slot_id, channel_id, %(ts)s, 900, 1, 1, %(ts)s, 's', 4 from reading
           join channel using (tenant_id, channel_id) where name = 'runtime' limit 1""",
        {"ts": BORN + 12 * DAY},
    )
    conn.execute(
        """insert into reading_hourly (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last,
             last_ts, rise)
           select tenant_id, unit_id, slot_id, channel_id, %(ts)s, 1, 900, 900, 900, 900, 900, %(ts)s, 820
           from reading join channel using (tenant_id, channel_id) where name = 'runtime' limit 1""",
        {"ts": BORN + 12 * DAY},
    )
    now = BORN + 13 * DAY
    fleet.set_clock(now)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, now, "owner"), now)
    assert (80.0,) == conn.execute("select start_runtime_h from cycle where upper_inf(period)").fetchone()


def test_late_readings_find_their_place_in_what_is_compressed(each_dsn: str, conn: psycopg.Connection) -> None:
    """Months of many units that come after compression are stored once, and their hours are as if in time."""
    serials = [str(number) for number in range(1, 21)]
    units.enrol(conn, serials)
    late = [day(number, serial) for serial in serials for number in range(3, DAYS, 7)]
    take(conn, *(day(number, serial) for serial in serials for number in range(DAYS) if number % 7 != 3))
    compress_all(each_dsn)
    assert 8 * len(late) == take(conn, *reversed(late))
    assert 0 == take(conn, *late)
    found = conn.execute("select n, rise from reading_hourly h join channel using (channel_id) where name = 'runtime'")
    rows = found.fetchall()
    assert {1} == {n for n, *_ in rows}
    assert len(serials) * (24.0 * (DAYS - 1) + 18.0) == sum(rise for *_, rise in rows)


def test_readings_later_than_they_are_kept_count_and_go(conn: psycopg.Connection) -> None:
    """They are stored once and rolled up; an hour that has counted more than comes stays; a counter's hours add up."""
    units.enrol(conn)
    first, last = day(3), day(5)
    take(conn, *(day(number) for number in range(DAYS) if number not in {3, 5}))
    assert 0 < let_go(conn, SINCE + 150 * DAY)
    assert kept_since(conn) > SINCE + 6 * DAY
    run = hours_run(conn)
    assert 8 == take(conn, first)
    assert 0 == take(conn, first)
    assert 0 < let_go(conn, SINCE + 150 * DAY)
    stood = conn.execute(HOURLY).fetchall()
    assert 0 == take(conn, first)
    # One more reading, of an hour whose own are gone: it counted one, and cannot know that this is another.
    assert 1 == take(conn, batch(1, [{"pm25": 99.0}], session=8, at=SINCE + 3 * DAY, received=SINCE + DAYS * DAY))
    assert stood == conn.execute(HOURLY).fetchall()
    assert 8 == take(conn, last)
    assert run == hours_run(conn)
    assert len(stood) + 8 == len(conn.execute(HOURLY).fetchall())


def test_what_the_settings_keep_is_kept(conn: psycopg.Connection) -> None:
    """Nothing younger goes, for ever is for ever, and nothing may go while units may still tell it."""
    units.enrol(conn)
    take(conn, *(day(number) for number in range(DAYS)))
    before = conn.execute(COUNTS).fetchone()
    with conn.transaction():
        assert 0 == aging.let_go(conn, Settings(keep_readings_d=0), SINCE + 9_000 * DAY)
    let_go(conn, SINCE + 100 * DAY)
    assert before == conn.execute(COUNTS).fetchone()
    let_go(conn, SINCE + 150 * DAY)
    young = "select count(*) from reading where ts >= %s"
    assert (8 * (DAYS - 50),) == conn.execute(young, (SINCE + 50 * DAY,)).fetchone()
    with pytest.raises(ValidationError, match="units may tell readings 90 days late"):
        Settings(keep_readings_d=30)


@pytest.mark.timescale
def test_the_policy_is_the_settings(timescale_dsn: str) -> None:
    """The store compresses by a policy of its own: one, with the days that the settings say, none for 0."""
    policy = (
        "select config ->> 'compress_after' from timescaledb_information.jobs where proc_name = 'policy_compression'"
    )
    with pool.connect(timescale_dsn, pool.Role.GATEWAY) as conn:
        units.enrol(conn)
        take(conn, *(day(number) for number in range(DAYS)))
        for days, said in ((0, []), (90, [("90 days",)]), (90, [("90 days",)]), (120, [("120 days",)])):
            assert aging.compress(conn, Settings(compress_readings_d=days))
            assert said == conn.execute(policy).fetchall()
    with psycopg.connect(timescale_dsn, autocommit=True) as admin:
        job = admin.execute("select job_id from timescaledb_information.jobs where proc_name = 'policy_compression'")
        with suppress(psycopg.DataError):  # the store's own scheduler is at it already
            admin.execute(f"call run_job({job.fetchone()[0]})")  # type: ignore[index]  # there is a row
        compressed, young = "range_end < now() - interval '120 days'", "range_end > now() - interval '120 days'"
        chunks = "select count(*) filter (where is_compressed), count(*) from timescaledb_information.chunks where "
        wait_for(lambda: admin.execute(f"{chunks}{compressed} and not is_compressed").fetchone() == (0, 0), 60.0)
        assert admin.execute(chunks + compressed).fetchone()[0] > 9  # type: ignore[index]  # there is a row
        assert 0 == admin.execute(chunks + young).fetchone()[0]  # type: ignore[index]  # there is a row


def test_plain_postgresql_compresses_nothing_and_says_so(conn: psycopg.Connection) -> None:
    """There the setting does nothing."""
    hypertable = conn.execute("select reading_is_hypertable()").fetchone()
    assert hypertable == (aging.compress(conn, Settings()),)


def test_the_worker_sees_to_it(each_dsn: str, conn: psycopg.Connection) -> None:
    """Once an hour it sets the store's policy and lets go of what had its time."""
    units.enrol(conn)
    take(conn, *(day(number) for number in range(DAYS)))
    with pool.open_pool(each_dsn, pool.Role.GATEWAY, size=1) as of_worker:
        chores = Chores(KEPT, of_worker, fleet.desk(conn))
        [chore] = [chore for chore in chores.chores() if chore.name == "aging"]
        assert not chore.work()
    assert kept_since(conn) > SINCE + 60 * DAY
    assert (0,) == conn.execute("select count(*) from reading where ts < %s", (kept_since(conn),)).fetchone()


def test_ingest_is_not_kept_waiting(each_dsn: str, conn: psycopg.Connection) -> None:
    """Letting go needs the whole table for a moment; where it is in use it gives up, and nothing has changed."""
    units.enrol(conn)
    take(conn, *(day(number) for number in range(DAYS)))
    with pool.connect(each_dsn, pool.Role.GATEWAY) as other:
        other.execute("select count(*) from reading")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            let_go(conn, SINCE + 150 * DAY)
    assert (8 * DAYS, 4 * DAYS) == conn.execute(COUNTS).fetchone()
    assert 0 < let_go(conn, SINCE + 150 * DAY)
