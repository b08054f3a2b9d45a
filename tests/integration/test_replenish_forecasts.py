"""From rows to forecasts: what is counted, what is said, what is kept."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from structlog.testing import capture_logs

from gateway import clock
from gateway.db import pool
from gateway.registry import units as enrolled
from gateway.registry.models import Slot
from gateway.replenish import cycles, delivery, features, learn, releases, score, versions, way
from predictors.fused import Fused
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


def read(conn: psycopg.Connection, house: House, unit_id: int, at: datetime) -> dict[str, float | None]:
    cycles.ensure_open(conn, [unit_id])
    return features.read(conn, house.slot, [unit_id], at).as_json()[0]


def test_a_factory_part_has_run_what_its_unit_has(conn: psycopg.Connection, house: House) -> None:
    """Fifty days of eight hours are four hundred hours, at the pace of eight a day, at the load it is rated for."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 50)
    seen = read(conn, house, unit_id, now)
    assert (400, 400, 50, 1.0) == (seen["run_h"], seen["load_h"], seen["age_d"], seen["load_per_h"])
    assert seen["h_per_day"] == pytest.approx(8, rel=0.05)


def test_what_a_unit_had_run_before_its_first_word_counts(conn: psycopg.Connection, house: House) -> None:
    """A counter that begins at 300 h says that the factory part has run 300 h."""
    unit_id = fleet.enrol(conn, house)
    fleet.report(conn, unit_id, "runtime", [(BORN + timedelta(hours=h), 300.0 + h) for h in range(10)])
    assert read(conn, house, unit_id, BORN + DAY)["run_h"] == 309


def test_load_is_counted_over_running_time(conn: psycopg.Connection, house: House) -> None:
    """Twice the reference load is twice the exposure; the recent load is told apart."""
    unit_id = fleet.enrol(conn, house)
    middle = fleet.run(conn, unit_id, 40)
    now = fleet.run(conn, unit_id, 40, load=4.0, since=middle)
    seen = read(conn, house, unit_id, now)
    assert (640, 960, 2.0) == (seen["run_h"], pytest.approx(seen["load_h"]), pytest.approx(seen["load_per_h"]))


def test_a_counter_that_went_back_adds_and_loses_nothing(conn: psycopg.Connection, house: House) -> None:
    """A new mainboard counts from zero: the hours so far stay, and the new ones come on top."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 10)
    fleet.report(conn, unit_id, "runtime", [(now + timedelta(hours=h), float(h)) for h in range(5)])
    assert read(conn, house, unit_id, now + DAY)["run_h"] == 84


def test_hours_from_the_future_are_not_looked_at(conn: psycopg.Connection, house: House) -> None:
    """A unit whose clock runs ahead is believed when that time has come."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 10)
    fleet.report(conn, unit_id, "runtime", [(now + 100 * DAY, 5_000.0)])
    assert read(conn, house, unit_id, now)["run_h"] == 80


def test_one_bad_report_is_not_believed(conn: psycopg.Connection, house: House) -> None:
    """A unit that says 0 % once, between 60 % and 60 %, has 60 % left."""
    unit_id = fleet.enrol(conn, house)
    slot_id = house.slot.slot_id
    said = [60.0, 60.0, 0.0]
    values = [(BORN + timedelta(hours=h), value) for h, value in enumerate(said)]
    fleet.report(conn, unit_id, "left_pct", values, slot_id=slot_id)
    assert read(conn, house, unit_id, BORN + DAY)["left_pct"] == 60


def test_kept_sums_are_the_sums(conn: psycopg.Connection, house: House) -> None:
    """What is kept of long ago and what is summed since are together what summing every hour gives."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 60, load=3.0)
    fleet.scored(conn, unit_id, now)
    assert [(True,)] == conn.execute("select through < %s from wear_clock", (now - 28 * DAY,)).fetchall()
    now = fleet.run(conn, unit_id, 1, load=1.0, since=now) - timedelta(hours=1)
    kept = features.read(conn, house.slot, [unit_id], now)
    exact = features.read(conn, house.slot, [unit_id], now, exact=True)
    assert ([], [unit_id]) == (kept.unkept, exact.unkept)
    assert exact.as_json() == kept.as_json()
    assert 61 * 8 == exact.batch.run_h[0]


def test_what_comes_very_late_counts_within_a_day(conn: psycopg.Connection, house: House) -> None:
    """Sums are kept for a day: readings that arrive for months ago change them with the next."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 60)
    fleet.scored(conn, unit_id, now)
    conn.execute("update reading_hourly set rise = rise + 1 where hour = %s", (BORN + timedelta(hours=5),))
    rises = [features.read(conn, house.slot, [unit_id], now + d * DAY).as_json()[0]["run_h"] for d in (0, 2)]
    assert [480, 481] == rises


def test_a_new_part_counts_from_its_fitting(conn: psycopg.Connection, house: House) -> None:
    """Hours before the fitting belong to the old part, to the minute that the counter tells; the pace is the unit's."""
    unit_id = fleet.enrol(conn, house)
    middle = fleet.run(conn, unit_id, 30)
    at = BORN + timedelta(days=29, hours=4, minutes=30)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, at, "device"), middle)
    seen = read(conn, house, unit_id, middle)
    assert (4, pytest.approx(8, rel=0.1)) == (seen["run_h"], seen["h_per_day"])


def test_an_indicator_crosses_levels_at_exposures(conn: psycopg.Connection, house: House) -> None:
    """A pressure drop of 45 of 200 Pa has crossed the levels below it, each at the exposure of its first time."""
    slot = fleet.slot_of(conn, "04006381333955")
    unit_id = fleet.enrol(conn, house, "D1", "04006381333955")
    hours = [BORN + timedelta(hours=h) for h in range(46)]
    fleet.report(conn, unit_id, "runtime", [(at, float(h)) for h, at in enumerate(hours)])
    fleet.report(conn, unit_id, "pressure_drop", [(at, float(h)) for h, at in enumerate(hours)])
    cycles.ensure_open(conn, [unit_id])
    seen = features.read(conn, slot, [unit_id], BORN + 3 * DAY)
    assert seen.batch.hits is not None
    levels = np.array(way.declared(slot).levels)
    crossed = levels <= 44
    assert np.isfinite(seen.batch.hits[0]).tolist() == crossed.tolist()
    assert seen.batch.hits[0][crossed] == pytest.approx(levels[crossed], abs=2)
    assert fleet.scored(conn, unit_id, BORN + 3 * DAY)["predictor"] == "hit"


def test_a_forecast_narrows_and_says_why(conn: psycopg.Connection, house: House) -> None:
    """Dates come in order, percent left falls with use, and the reasons are words with numbers."""
    unit_id = fleet.enrol(conn, house)
    first = fleet.scored(conn, unit_id, BORN + timedelta(hours=1))
    now = fleet.run(conn, unit_id, 60)
    then = fleet.scored(conn, unit_id, now)
    assert ("estimated", "measured") == (first["basis"], then["basis"])
    assert now < then["eol_q10"] < then["eol_q50"] < then["eol_q90"]
    assert then["order_at"] < then["eol_q50"]
    assert then["pct_left"] < first["pct_left"]
    assert then["reasons"]["sentence"].startswith("It has run 480 of about 1,000 rated hours.")
    assert {"used", "pace"} <= {part["code"] for part in then["reasons"]["parts"]}


def test_a_unit_without_a_radio_is_forecast_by_the_calendar(conn: psycopg.Connection, house: House) -> None:
    """It gets a date, says that it is estimated and why, and is never called stale."""
    unit_id = fleet.enrol(conn, house, "Q1", "04006381333948", radio=False)
    state = fleet.scored(conn, unit_id, BORN + 20 * DAY)
    assert ("estimated", False, "calendar") == (state["basis"], state["stale"], state["predictor"])
    assert "goes by the calendar" in state["reasons"]["sentence"]
    assert state["eol_q50"] > BORN + 20 * DAY
    assert fleet.scored(conn, unit_id, BORN + 90 * DAY)["stage"] in ("due", "overdue")


def test_a_silent_unit_is_stale_and_then_an_estimate(conn: psycopg.Connection, house: House) -> None:
    """After a week without a word it is stale, after a month its forecast is an estimate and begins by saying so."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 20)
    assert (False, "measured") == _told(fleet.scored(conn, unit_id, now + 2 * DAY))
    assert (True, "measured") == _told(fleet.scored(conn, unit_id, now + 10 * DAY))
    state = fleet.scored(conn, unit_id, now + 40 * DAY)
    assert (True, "estimated") == _told(state)
    assert state["reasons"]["sentence"].startswith("The unit has not been heard from for 6 weeks.")


def _told(state: dict[str, object]) -> tuple[object, object]:
    return state["stale"], state["basis"]


def test_a_forecast_that_says_nothing_new_is_not_kept(conn: psycopg.Connection, house: House) -> None:
    """Scoring again leaves one row and one message to the unit; where the slot stands is always fresh."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 30)
    fleet.scored(conn, unit_id, now)
    state = fleet.scored(conn, unit_id, now + timedelta(minutes=10))
    assert (1, 1) == (_count(conn, "forecast"), _count(conn, "outbox"))
    assert state["updated_at"] == now + timedelta(minutes=10)
    fleet.scored(conn, unit_id, now + 5 * DAY)
    assert _count(conn, "forecast") == 2


def _count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(f"select count(*) from {table}").fetchone()
    assert row
    return int(row[0])


def test_a_slot_that_cannot_be_scored_keeps_no_other_from_it(conn: psycopg.Connection, house: House) -> None:
    """A declaration that cannot be, an indicator that ends below zero, is logged; other slots get their forecast."""
    broken = fleet.enrol(conn, house, "D1", "04006381333955")
    sound = fleet.enrol(conn, house, "A1")
    conn.execute("update slot set indicator_eol = -5 where indicator_eol is not null")
    score.score_units(conn, [broken, sound], BORN)
    assert [(sound,)] == conn.execute("select unit_id from forecast").fetchall()


def test_a_unit_whose_numbers_cannot_be_keeps_no_other_of_its_slot_from_being_scored(
    conn: psycopg.Connection, house: House
) -> None:
    """A load that a double holds and no sum does: the units beside it in the batch are scored, and it is named."""
    ids = [fleet.enrol(conn, house, f"A{i}") for i in range(5)]
    now = max(fleet.run(conn, unit_id, 10, load=1.7e308 if unit_id == ids[2] else 2.0) for unit_id in ids)
    with capture_logs() as said:
        score.score_units(conn, ids, now)
    scored = {unit_id for (unit_id,) in conn.execute("select unit_id from forecast")}
    assert {*ids} - {ids[2]} == scored
    assert [[ids[2]]] == [line["unit_ids"] for line in said if line["event"] == "units not scored"]


@pytest.mark.parametrize("days", [float("nan"), 1e12])
def test_a_date_that_cannot_be_keeps_no_other_slot_from_being_scored(
    conn: psycopg.Connection, house: House, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    """Whatever a predictor returns, the units beside it are scored, and none comes back at once."""
    jug = fleet.enrol(conn, house, "J1", "04006381333948", radio=False)
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 10)
    sound = delivery.days

    def mad(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], at: datetime) -> dict[int, float]:
        return dict.fromkeys(unit_ids, days) if slot == house.slot else sound(conn, slot, unit_ids, at)

    monkeypatch.setattr(delivery, "days", mad)
    score.score_waiting(conn, now)
    assert [(jug,)] == conn.execute("select unit_id from slot_state").fetchall()
    assert 0 == score.score_waiting(conn, now)


def test_slots_that_stay_old_are_not_all_that_is_asked_for(conn: psycopg.Connection, house: House) -> None:
    """One that cannot be scored stays the oldest; of the aged ones it is as likely to be asked for as any."""
    units = [fleet.enrol(conn, house, serial) for serial in ("A1", "A2")]
    score.score_waiting(conn, BORN)
    conn.execute("update slot_state set updated_at = updated_at - interval '1 day' where unit_id = %s", (units[0],))
    asked: set[int] = set()
    for _ in range(100):
        score.want_aged(conn, BORN + 3 * DAY, limit=1)
        asked |= {row[0] for row in conn.execute("delete from rescore returning unit_id")}
    assert set(units) == asked


def test_news_is_scored_once_and_time_is_news(conn: psycopg.Connection, house: House) -> None:
    """An enrolled unit waits for its forecast, then no more, and again after a day without anybody looking."""
    unit_id = fleet.enrol(conn, house)
    assert score.score_waiting(conn, BORN) == 1
    assert score.score_waiting(conn, BORN) == 0
    assert score.want_aged(conn, BORN + timedelta(hours=12)) == 0
    assert score.want_aged(conn, BORN + timedelta(hours=36)) == 1
    assert score.score_waiting(conn, BORN + timedelta(hours=36)) == 1
    assert fleet.standing(conn, unit_id)["updated_at"] == BORN + timedelta(hours=36)


def test_only_units_with_news_are_scored_and_the_fleet_stands_as_if_all_were(
    conn: psycopg.Connection, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unit of three ran on: one is read and forecast, and scoring everybody then says nothing else of it."""
    quiet, busy, other = (fleet.enrol(conn, house, serial) for serial in ("A1", "A2", "A3"))
    now = [fleet.run(conn, unit_id, 20) for unit_id in (quiet, busy, other)][-1]
    score.score_units(conn, [quiet, busy, other], now)
    conn.execute("delete from rescore")
    now = fleet.run(conn, busy, 5, since=now)
    enrolled.want_score(conn, house.tenant_id, [busy], now)
    seen: list[int] = []
    read_all = features.read

    def counted(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], at: datetime) -> features.Seen:
        seen.extend(unit_ids)
        return read_all(conn, slot, unit_ids, at)

    monkeypatch.setattr(features, "read", counted)
    untouched = [fleet.standing(conn, unit_id) for unit_id in (quiet, other)]
    assert 1 == score.score_waiting(conn, now)
    assert [busy] == seen
    assert untouched == [fleet.standing(conn, unit_id) for unit_id in (quiet, other)]
    alone = fleet.standing(conn, busy)
    score.score_units(conn, [quiet, busy, other], now)
    assert alone == fleet.standing(conn, busy)


def test_a_unit_that_somebody_holds_keeps_its_place(conn: psycopg.Connection, dsn: str, house: House) -> None:
    """Scoring waits for nobody: what is being changed is scored afterwards."""
    unit_id = fleet.enrol(conn, house)
    conn.commit()
    with pool.connect(dsn, pool.Role.GATEWAY) as other:
        cycles.hold(other, unit_id)
        assert score.score_waiting(conn, BORN) == 0
        conn.commit()
    assert score.score_waiting(conn, BORN) == 1


def test_the_gateway_learns_and_leaves_the_release_to_staff(conn: psycopg.Connection, house: House) -> None:
    """Finished cycles change the model; once staff have released one, what is learned later waits as a challenger."""
    slot_id = house.slot.slot_id
    now = [_worn_out(conn, house, f"L{i}", 100) for i in range(6)][-1]
    assert learn.ripe(conn) == [slot_id]
    first = learn.learn(conn, slot_id, now)
    chosen = learn.in_force(conn, house.slot)
    assert (first, 6, ["gateway"]) == (
        chosen.version and chosen.version.model_version_id,
        chosen.version and chosen.version.labels,
        [release.actor for release in releases.log(conn, slot_id)],
    )
    assert learn.ripe(conn) == []
    releases.record(conn, house.slot, "release", first, "weibull", actor="staff:1", note="ours", now=now)
    now = _worn_out(conn, house, "L9", 120)
    assert learn.ripe(conn) == [slot_id]
    assert learn.learn(conn, slot_id, now) != first
    again = learn.in_force(conn, house.slot)
    assert first == (again.version and again.version.model_version_id)


def _worn_out(conn: psycopg.Connection, house: House, serial: str, days: int) -> datetime:
    """Let a unit run until it reports that its part is at its end, and a new one is fitted; return when."""
    unit_id, slot_id = fleet.enrol(conn, house, serial), house.slot.slot_id
    now = fleet.run(conn, unit_id, days)
    fleet.report(conn, unit_id, "left_pct", [(now - timedelta(hours=h), 1.0) for h in (3, 2, 1)], slot_id=slot_id)
    fleet.scored(conn, unit_id, now)
    cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, now, "device"), now)
    return now


def _clogged(conn: psycopg.Connection, house: House, serial: str, life_h: int) -> datetime:
    """Let a duct's bag clog until its pressure drop is at the end, and a new one be fitted; return when."""
    unit_id, slot = fleet.enrol(conn, house, serial, "04006381333955"), fleet.slot_of(conn, "04006381333955")
    hours = [BORN + timedelta(hours=h) for h in range(life_h + 5)]
    fleet.report(conn, unit_id, "runtime", [(at, float(h)) for h, at in enumerate(hours)])
    fleet.report(conn, unit_id, "pressure_drop", [(at, 200.0 * (h / life_h) ** 2) for h, at in enumerate(hours)])
    fleet.scored(conn, unit_id, hours[-1])
    cycles.fitted(conn, cycles.Fitting(unit_id, slot.slot_id, hours[-1], "device"), hours[-1])
    return hours[-1]


def test_the_way_of_a_finished_part_is_kept_and_trees_learn_from_it(conn: psycopg.Connection, house: House) -> None:
    """Labels tell what the indicator read every 12.5 h; from a dozen of them on the forecast is of levels and trees."""
    lives = [200 + 15 * i for i in range(13)]
    now = [_clogged(conn, house, f"T{i}", life) for i, life in enumerate(lives)][-1]
    slot = replace(fleet.slot_of(conn, "04006381333955"), predictor="fused")
    conn.execute("update slot set predictor = 'fused' where slot_id = %s", (slot.slot_id,))
    (told,) = conn.execute("select label from cycle where slot_id = %s and label is not null limit 1", (slot.slot_id,))
    at = np.array(told[0]["looks"])[:, 0]
    assert pytest.approx(12.5, abs=1.0) == np.diff(at)
    learn.learn(conn, slot.slot_id, now)
    model = learn.in_force(conn, slot).model
    assert isinstance(model, Fused)
    assert model.learner is not None
    unit_id = fleet.enrol(conn, house, "T99", "04006381333955")
    hours = [BORN + timedelta(hours=h) for h in range(151)]
    fleet.report(conn, unit_id, "runtime", [(at, float(h)) for h, at in enumerate(hours)])
    fleet.report(conn, unit_id, "pressure_drop", [(at, 200.0 * (h / 300) ** 2) for h, at in enumerate(hours)])
    cycles.ensure_open(conn, [unit_id])
    seen = features.read(conn, slot, [unit_id], hours[-1])
    assert seen.batch.reads is not None
    assert pytest.approx([150.0, 0.247, 0.225, 0.182, 0.084], abs=0.01) == seen.batch.reads[0].tolist()
    left = model.forecast(seen.batch, (0.1, 0.5, 0.9)).eol_d[0] * 24.0
    assert 100 < left[0] < 150 < left[2] < 260


def test_parts_whose_end_nothing_shows_teach_no_life(conn: psycopg.Connection, house: House) -> None:
    """Owners who change parts when told teach neither a shorter life nor a longer one."""
    for i in range(6):
        unit_id = fleet.enrol(conn, house, f"U{i}")
        now = fleet.run(conn, unit_id, 90)
        cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, now, "owner"), now)
    assert learn.ripe(conn) == []


def test_a_fleet_enrolled_in_mid_life_does_not_teach_its_units_ages(conn: psycopg.Connection, house: House) -> None:
    """Five thousand hours on the counter at its first word are the unit's: its next part teaches, not its first."""
    for i in range(6):
        unit_id, slot_id = fleet.enrol(conn, house, f"O{i}"), house.slot.slot_id
        fleet.report(conn, unit_id, "runtime", [(BORN, 5000.0)])
        now = BORN
        for days in (50, 100):
            now = fleet.run(conn, unit_id, days, since=now + DAY)
            told = [(now - timedelta(hours=h), 1.0) for h in (3, 2, 1)]
            fleet.report(conn, unit_id, "left_pct", told, slot_id=slot_id)
            fleet.scored(conn, unit_id, now)
            cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, now, "device"), now)
    labels = [row[0] for row in conn.execute("select label from cycle where label is not null order by cycle_id")]
    assert [False, True] * 6 == [label["witnessed"] for label in labels]
    assert max(label["run_h"] for label in labels if label["witnessed"]) < 1000
    assert learn.ripe(conn) == [house.slot.slot_id]
    version = learn.learn(conn, house.slot.slot_id, now)
    assert version is not None
    assert 6 == versions.get(conn, version).fitted_on["ends"]


@pytest.mark.parametrize(("days", "counted", "teaches"), [(300, 5000.0, False), (300, 40.0, True), (3, 5000.0, True)])
def test_a_part_told_as_fitted_long_before_the_first_word_teaches_no_life(
    conn: psycopg.Connection, house: House, days: int, counted: float, teaches: bool
) -> None:
    """What the days unheard of may have held is missing from its hours; less than a tenth of its life may be."""
    unit_id, slot_id = fleet.enrol(conn, house, "O1"), house.slot.slot_id
    fleet.report(conn, unit_id, "runtime", [(BORN, counted)])
    cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, BORN - days * DAY, "owner"), BORN)
    now = fleet.run(conn, unit_id, 50, since=BORN + DAY)
    told = [(now - timedelta(hours=h), 1.0) for h in (3, 2, 1)]
    fleet.report(conn, unit_id, "left_pct", told, slot_id=slot_id)
    assert [teaches] == features.read(conn, house.slot, [unit_id], now).heard.tolist()
    fleet.scored(conn, unit_id, now)
    cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, now, "device"), now)
    label = conn.execute("select label from cycle where label is not null").fetchone()
    assert label
    assert (teaches, 400.0) == (label[0]["witnessed"], label[0]["run_h"])


def test_a_part_that_nothing_watches_comes_to_its_end(conn: psycopg.Connection, house: House) -> None:
    """Run past its rated hours, with nobody looking at it, it is overdue: that it still runs says nothing."""
    unit_id = fleet.enrol(conn, house)
    now, stages = BORN, []
    for _ in range(5):
        now = fleet.run(conn, unit_id, 27, since=now)
        stages.append(fleet.scored(conn, unit_id, now)["stage"])
    assert ["ok", "ok", "soon", "due", "overdue"] == stages


def test_an_indicator_past_its_end_is_overdue(conn: psycopg.Connection, house: House) -> None:
    """A pressure drop above the declared end is the end, whatever the hours say."""
    unit_id = fleet.enrol(conn, house, "D1", "04006381333955")
    hours = [BORN + timedelta(hours=h) for h in range(10)]
    fleet.report(conn, unit_id, "runtime", [(at, float(h)) for h, at in enumerate(hours)])
    fleet.report(conn, unit_id, "pressure_drop", [(at, 210.0) for at in hours])
    state = fleet.scored(conn, unit_id, BORN + DAY)
    assert ("overdue", 0) == (state["stage"], state["pct_left"])
