"""The record of a slot, read from tables: by arrival time, from inputs as they were known."""

from datetime import timedelta

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from gateway.bench import evaluate, read
from gateway.bench.contender import recipe
from gateway.errors import NotFound
from gateway.registry import channels
from gateway.registry.models import Slot
from gateway.replenish import cycles
from tests import bench_field
from tests.bench_field import Worn, at
from tests.integration import replenish_fleet

UNTIL = at(320.0)
DAYS = [120.0, 200.0, 280.0]
FIELD = bench_field.field(homes=12, days=400.0)
FALLING = bench_field.TOML.replace("= 200", "= 0\nindicator_falls = true\nindicator_baseline = 300")


@pytest.fixture
def slot(conn: psycopg.Connection) -> Slot:
    return bench_field.store(conn, FIELD)


def test_the_record_is_what_the_tables_say(conn: psycopg.Connection, slot: Slot) -> None:
    """Read back, the field is the field: ends, censored cycles and what was known by any day."""
    record = read.record(conn, slot, at(500.0))
    truth = bench_field.record_of(FIELD)
    assert (truth.ended.sum(), truth.censored.sum()) == (record.ended.sum(), record.censored.sum())
    assert np.sort(truth.end_d[truth.ended]) - (record.epoch - bench_field.BORN) / timedelta(days=1) == pytest.approx(
        np.sort(record.end_d[record.ended]), abs=1e-4
    )
    shift = record.day(at(200.0))
    assert [len(each) for each in truth.known_by(200.0)] == [len(each) for each in record.known_by(shift)]


def scores(conn: psycopg.Connection, slot: Slot) -> object:
    record = read.record(conn, slot, UNTIL)
    found = evaluate.evaluate(record, recipe("hit"), [record.day(at(day)) for day in DAYS])
    return (found.scores, found.outcome, found.pit.tolist(), found.tally)


def test_what_arrives_later_changes_no_score(conn: psycopg.Connection, slot: Slot) -> None:
    """Late readings for old hours, cycles told of afterwards, forecasts made since: the score as of a day stays."""
    before = scores(conn, slot)
    unit = conn.execute("select unit_id, tenant_id from unit order by unit_id limit 1").fetchone()
    assert unit
    what = channels.of_tenant(conn, unit[1])
    for channel, value in (("runtime", 5_000.0), ("pressure_drop", 900.0), ("load", 50.0)):
        for hour in range(200):
            conn.execute(
                """insert into reading_hourly values (%s, %s, 0, %s, %s, 1, %s, %s, %s, %s, %s, %s, 20)""",
                (unit[1], unit[0], what[channel].channel_id, at(100.0) + timedelta(hours=hour), *[value] * 5,
                 at(100.0) + timedelta(hours=hour)),
            )  # fmt: skip
    conn.execute(
        "update cycle set label = %s where recorded_at > %s",
        (Jsonb({"run_h": 1.0, "censored": False, "witnessed": True}), UNTIL),
    )
    conn.execute("update forecast set inputs = %s where made_at > %s", (Jsonb({"run_h": 1e6, "left_pct": 0}), UNTIL))
    running = conn.execute(
        "select cycle_id, unit_id from cycle where upper_inf(period) and lower(period) < %s limit 1", (UNTIL,)
    ).fetchone()
    assert running
    label = Jsonb({"censored": False, "witnessed": True})
    conn.execute(
        """update cycle set period = tstzrange(lower(period), %s), removed_reason = 'worn', recorded_at = %s, label = %s
           where cycle_id = %s""",
        (
            UNTIL - timedelta(days=1),
            UNTIL + timedelta(days=9),
            label,
            running[0],
        ),
    )
    assert before == scores(conn, slot)


def test_the_check_above_would_see_a_change(conn: psycopg.Connection, slot: Slot) -> None:
    """Had one of those labels arrived in time, the score would be another one."""
    before = scores(conn, slot)
    conn.execute("update cycle set label = jsonb_set(label, '{load_h}', '50') where recorded_at < %s", (UNTIL,))
    assert before != scores(conn, slot)


def test_closing_a_cycle_says_when_that_became_known(conn: psycopg.Connection) -> None:
    """A part changed on day 30 and told of on day 50 was, until day 50, running for all we knew."""
    house = replenish_fleet.build(conn)
    unit_id = replenish_fleet.enrol(conn, house)
    replenish_fleet.run(conn, unit_id, 50)
    told = replenish_fleet.BORN + timedelta(days=50)
    fitting = cycles.Fitting(unit_id, house.slot.slot_id, replenish_fleet.BORN + timedelta(days=30), "owner")
    cycles.fitted(conn, fitting, told)
    assert [(told,)] == conn.execute("select recorded_at from cycle where not upper_inf(period)").fetchall()
    assert [np.inf, np.inf] == read.record(conn, house.slot, told - timedelta(days=1)).cycles.recorded_d.tolist()[
        :1
    ] * 2
    assert [50.0] == read.record(conn, house.slot, told).cycles.recorded_d.tolist()[:1]


def test_a_part_that_stays_after_its_end_teaches_no_longer_life(conn: psycopg.Connection) -> None:
    """It showed its end at 480 h and ran on for twenty days: what is learned from it is 480 h."""
    house = replenish_fleet.build(conn)
    unit_id, slot_id = replenish_fleet.enrol(conn, house), house.slot.slot_id
    now = replenish_fleet.run(conn, unit_id, 60)
    said = [(now - timedelta(hours=h), 1.0) for h in (3, 2, 1)]
    replenish_fleet.report(conn, unit_id, "left_pct", said, slot_id=slot_id)
    replenish_fleet.scored(conn, unit_id, now)
    later = replenish_fleet.run(conn, unit_id, 20, since=now)
    cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, later, "device"), later)
    label = conn.execute("select label from cycle where label is not null").fetchone()
    assert label
    assert (480, 60, False) == (label[0]["run_h"], label[0]["age_d"], label[0]["censored"])
    assert [60.0] == read.record(conn, house.slot, later).end_d[:1].tolist()


def test_a_slot_is_named_by_gtin_and_code(conn: psycopg.Connection, slot: Slot) -> None:
    """Its code alone will do where there is one; otherwise the message names what there is."""
    assert slot == read.slot(conn, "hepa") == read.slot(conn, "4006381333931/hepa")
    with pytest.raises(NotFound, match="04006381333931/hepa"):
        read.slot(conn, "hepe")


def test_forecasts_of_one_cycle_are_thinned_evenly(conn: psycopg.Connection) -> None:
    """A cycle that was forecast a thousand times does not fill the memory; its first and last stay."""
    many = tuple((day / 10, {"run_h": day, "indicator": 1.0}) for day in range(1, 1_000))
    slot = bench_field.store(conn, [Worn(0, 0.0, None, None, None, many)])
    record = read.record(conn, slot, at(400.0))
    assert len(record.snapshots) <= read.OF_A_CYCLE + 2
    assert (0.1, 99.9) == (pytest.approx(record.snapshots.made_d[0]), pytest.approx(record.snapshots.made_d[-1]))


@pytest.mark.parametrize(
    ("toml", "shows"),
    [
        (bench_field.TOML, {"indicator": 200.0}),
        (bench_field.TOML, {"left_pct": 5.0}),
        (bench_field.TOML, {"left_h": 0.0}),
        (FALLING, {"indicator": -1.0}),
    ],
)  # fmt: skip
def test_the_forecast_that_shows_the_end_is_kept(conn: psycopg.Connection, toml: str, shows: dict[str, float]) -> None:
    """However many are left out: the day of the end is the day on which it was first shown, by whatever shows it."""
    calm = {"run_h": 1.0, "indicator": 150.0, "left_pct": 50.0, "left_h": 9.0}
    many = tuple((day / 10, calm | shows if day >= 701 else calm) for day in range(1, 1_000))
    slot = bench_field.store(conn, [Worn(0, 0.0, None, None, None, many)], toml)
    assert [70.1] == pytest.approx(read.record(conn, slot, at(400.0)).end_d.tolist())
