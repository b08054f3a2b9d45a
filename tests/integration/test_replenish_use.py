"""Use day by day: what is kept, what a gap means, and what a change of use does to a forecast."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest

from gateway import clock
from gateway.replenish import cycles, days, features, habits
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


def seen(conn: psycopg.Connection, house: House, unit_id: int, at: datetime) -> features.Seen:
    cycles.ensure_open(conn, [unit_id])
    return features.read(conn, house.slot, [unit_id], at)


def known(conn: psycopg.Connection, house: House, unit_id: int, at: datetime, *, exact: bool = False) -> days.Days:
    found, _ = days.read(conn, house.slot, seen(conn, house, unit_id, at).asked, exact=exact)
    return found[unit_id]


def test_whole_days_are_exposure(conn: psycopg.Connection, house: House) -> None:
    """Eight hours a day at twice the reference load are sixteen; the first day, seen in part, is left out."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 30, load=4.0)
    found = known(conn, house, unit_id, now)
    assert [16.0] * 29 == found.days.tolist()
    assert (now - DAY).date() == found.through


def test_what_ran_in_a_gap_is_spread_over_it(conn: psycopg.Connection, house: House) -> None:
    """Ten days without a word in which the counter rose by forty hours are ten days of about four."""
    unit_id = fleet.enrol(conn, house)
    gone = fleet.run(conn, unit_id, 20)
    back = gone + 10 * DAY
    fleet.report(conn, unit_id, "runtime", [(back + timedelta(hours=h), 160.0 + 40.0 + h) for h in (1, 2, 3)])
    found = known(conn, house, unit_id, back + DAY)
    assert [8.0] * 19 == found.days[:19].tolist()
    assert pytest.approx([4.0] * 10) == found.days[19:29].tolist()
    assert (30, back.date()) == (found.days.size, found.through)


def test_days_are_kept_and_are_those_that_are_summed(conn: psycopg.Connection, house: House) -> None:
    """Scoring keeps days; the next day only the last week is summed again, and the sum is the same."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 60, load=3.0)
    fleet.scored(conn, unit_id, now)
    assert [(59,)] == conn.execute("select cardinality(days) from use_days").fetchall()
    now = fleet.run(conn, unit_id, 1, load=1.0, since=now)
    assert seen(conn, house, unit_id, now - timedelta(hours=1)).unkept_days == []
    kept, exact = (known(conn, house, unit_id, now, exact=exact) for exact in (False, True))
    assert (kept.through, kept.days.tolist()) == (exact.through, exact.days.tolist())
    late = BORN + timedelta(days=10, hours=5), BORN + timedelta(days=58, hours=5)
    conn.execute("update reading_hourly set rise = rise + 1 where hour = any(%s)", (list(late),))
    assert 1.5 == known(conn, house, unit_id, now).days.sum() - kept.days.sum()


def test_days_to_come_are_not_looked_at(conn: psycopg.Connection, house: House) -> None:
    """A forecast as of a month ago knows nothing of the days since, kept or not."""
    unit_id = fleet.enrol(conn, house)
    then = fleet.run(conn, unit_id, 60)
    before = seen(conn, house, unit_id, then).as_json()
    now = fleet.run(conn, unit_id, 30, hours_a_day=2, since=then)
    fleet.scored(conn, unit_id, now)
    assert before == seen(conn, house, unit_id, then).as_json()


def test_another_load_is_another_count(conn: psycopg.Connection, house: House) -> None:
    """When the maker declares another reference, kept days are summed anew."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 30)
    fleet.scored(conn, unit_id, now)
    conn.execute("update slot set load_ref = 4 where slot_id = %s", (house.slot.slot_id,))
    changed = House(house.tenant_id, fleet.slot_of(conn, fleet.GTIN))
    assert [4.0] * 29 == known(conn, changed, unit_id, now).days.tolist()


def test_a_change_of_use_is_followed_and_told(conn: psycopg.Connection, house: House) -> None:
    """Ten weeks after a household began to use an eighth of what it did, the date goes by that, and says so."""
    busy, calm = fleet.enrol(conn, house, "B1"), fleet.enrol(conn, house, "C1")
    middle = fleet.run(conn, busy, 60)
    fleet.run(conn, busy, 70, hours_a_day=4, since=middle)
    fleet.run(conn, calm, 60)
    now = fleet.run(conn, calm, 70, hours_a_day=1, since=middle)
    ends = {unit: fleet.scored(conn, unit, now) for unit in (busy, calm)}
    parts = {part["code"]: part for part in ends[calm]["reasons"]["parts"]}  # type: ignore[index]  # a column as the database holds it
    assert parts["calmer"]["text"].startswith("For 2 months it has been used only 0.")
    assert pytest.approx(70.0, abs=7.0) == parts["calmer"]["value"]
    left = {unit: (end["eol_q50"] - now) / DAY for unit, end in ends.items()}  # type: ignore[operator]  # a column as the database holds it
    assert left[calm] > 2.0 * left[busy]


def test_a_slot_learns_how_its_units_are_used(conn: psycopg.Connection, house: House) -> None:
    """Twenty units' days teach their slot's use; nobody asks again for a week."""
    slot_id = house.slot.slot_id
    assert habits.stale(conn, BORN) == []
    for i in range(habits.LEAST_UNITS):
        unit_id = fleet.enrol(conn, house, f"H{i}")
        now = fleet.run(conn, unit_id, 60, hours_a_day=2 + i % 3)
        fleet.scored(conn, unit_id, now)
    assert habits.stale(conn, now) == [slot_id]
    assert habits.learn(conn, slot_id, now) == habits.LEAST_UNITS
    assert habits.stale(conn, now + DAY) == []
    assert habits.stale(conn, now + 8 * DAY) == [slot_id]
    cohort = habits.of(conn, house.slot)
    assert cohort is not None
    assert pytest.approx(3.0, rel=0.15) == np.exp(cohort.level) / 7.0
    conn.execute("update use_cohort set learned = '{}'")
    again = habits.of(conn, house.slot)
    assert again is not None
    assert again.units == 0
