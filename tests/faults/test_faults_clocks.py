"""Clocks that lie: readings are kept and flagged, sums stand, and nobody is prompted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from gateway import clock
from gateway.ingest import pipeline
from gateway.ingest.clocks import Flag
from gateway.ingest.directory import Directory
from gateway.replenish import prompts
from tests.faults.fleet import batch
from tests.faults.rig import Note
from tests.integration import replenish_fleet as fleet

pytestmark = pytest.mark.faults
RAN = 60  # days, of the hundred and four after which an owner is asked
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HIGH = """insert into counter_high (tenant_id, unit_id, slot_id, channel_id, value, ts)
    select tenant_id, unit_id, slot_id, channel_id, max(value), max(ts)
    from reading join channel using (tenant_id, channel_id)
    where name = 'runtime' group by tenant_id, unit_id, slot_id, channel_id"""  # as ingest would have left it
Worn = tuple[int, datetime, dict[str, Any]]


@pytest.fixture
def worn(conn: psycopg.Connection) -> Iterator[Worn]:
    """An owned unit in the middle of its part's life: unit, now, where its slot stands."""
    house = fleet.build(conn)
    unit_id = fleet.enrol(conn, house, "1")
    fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, RAN)
    conn.execute(HIGH)
    fleet.set_clock(now)
    before = fleet.scored(conn, unit_id, now)
    assert "ok" == before["stage"]
    yield unit_id, now, before
    clock.accelerate(None)


def take(conn: psycopg.Connection, at: datetime, received: datetime, hours: float, q: int = 1, **more: Any) -> None:
    """Take in one reading of the unit's counter."""
    pipeline.take(conn, Directory(), [batch(q, [{"runtime": hours}], session=50, at=at, received=received, **more)])


def flags(conn: psycopg.Connection) -> list[tuple[int, str]]:
    return conn.execute("select flags, clock from reading where session = 50 order by seq").fetchall()


def nobody_is_asked(conn: psycopg.Connection, worn: Worn, now: datetime) -> None:
    """The forecast stands about where it stood, and no owner hears anything."""
    unit_id, _, before = worn
    fleet.set_clock(now)
    after = fleet.scored(conn, unit_id, now)
    assert abs(after["eol_q50"] - before["eol_q50"]) < 3 * DAY, (before["eol_q50"], after["eol_q50"])
    assert [] == prompts.speak(conn, now)


WRONG = {
    "1970": (datetime(1970, 1, 1, tzinfo=UTC), 0),
    "2106": (datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC), Flag.FUTURE),
    "the year 2": (datetime(2, 1, 1, tzinfo=UTC), 0),
}


@pytest.mark.parametrize("year", WRONG)
def test_unit_s_clock_is_wrong(year: str, conn: psycopg.Connection, worn: Worn, note: Note) -> None:
    """It says 1970 or 2106: not believed, placed by receipt, flagged, and the part is as worn as it was."""
    _, now, _ = worn
    at, flag = WRONG[year]
    for q in range(1, 9):
        take(conn, at + q * HOUR, now + q * HOUR, 8 * RAN + q, q)
    assert [(flag, "n")] * 8 == flags(conn)
    nobody_is_asked(conn, worn, now + DAY)
    [(low, high)] = conn.execute("select min(ts), max(ts) from reading where session = 50").fetchall()
    assert now <= low < high <= now + DAY
    note(f"clock: a unit says {year}", placed_by="receipt", flagged=bool(flag), prompts=0)


def test_unit_keeps_summer_time(conn: psycopg.Connection, worn: Worn, note: Note) -> None:
    """It counts an hour twice: what seems to go back is flagged, and the sum over both is what its counter ran."""
    _, now, _ = worn
    before = conn.execute("select sum(rise) from reading_hourly join channel using (channel_id) where name = 'runtime'")
    [was] = before.fetchone() or (0.0,)
    for q in range(1, 25):
        local = q / 4 - (1 if q > 12 else 0)  # put back by an hour after three
        take(conn, now + local * HOUR, now + q / 4 * HOUR, 8 * RAN + q / 4, q)
    after = conn.execute("select sum(rise) from reading_hourly join channel using (channel_id) where name = 'runtime'")
    [ran] = after.fetchone() or (0.0,)
    assert 6 == pytest.approx(ran - was)
    assert 0 < sum(bool(flag & Flag.BACK) for flag, _ in flags(conn)) < 8
    nobody_is_asked(conn, worn, now + DAY)
    note("clock: a unit keeps summer time", ran_h=round(ran - was, 3), prompts=0)


STEPS = {"a day ahead": DAY, "a year ahead": 365 * DAY, "a day back": -DAY - HOUR, "a year back": -365 * DAY}


@pytest.mark.parametrize("step", STEPS)
def test_gateway_s_clock_is_stepped(step: str, conn: psycopg.Connection, worn: Worn, note: Note) -> None:
    """Its own clock jumps and comes back: synced units keep their times, and nobody is asked meanwhile or after."""
    _, now, _ = worn
    wrong = now + STEPS[step]
    fleet.set_clock(wrong)
    for q in range(1, 9):
        take(conn, now + q * HOUR, wrong + q * HOUR, 8 * RAN + q, q)
    told = flags(conn)
    fleet.set_clock(now + DAY)
    for q in range(9, 17):
        take(conn, now + DAY + q * HOUR, now + DAY + q * HOUR, 8 * RAN + q, q)
    nobody_is_asked(conn, worn, now + 2 * DAY)
    ahead = STEPS[step] < timedelta(0)  # then the unit seems to be ahead of us
    assert [(Flag.FUTURE | Flag.BACK, "n") if ahead else (Flag.LATE if STEPS[step] > 90 * DAY else 0, "s")] * 8 == told
    note(f"clock: the gateway's own is stepped {step}", flagged=bool(told[0][0]), prompts=0)
