"""Drift alarms: silent where nothing has changed, as often as stated; loud where something has."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.bench import drift, hazards
from gateway.bench.record import Record
from tests import bench_field

FIELD = bench_field.field(homes=40, days=500.0, every_d=10.0)
MANY = bench_field.field(homes=160, days=500.0, every_d=10.0)
CUT = 500.0 - drift.RECENT_D


def found(record: Record) -> dict[str, drift.Finding]:
    return {each.code: each for each in drift.look(record)}


def lately(record: Record, change: Callable[[dict[str, Any]], dict[str, Any]], cut: float = CUT) -> Record:
    """Change what snapshots say since the cut."""
    made = record.snapshots.made_d
    inputs = [change(dict(row)) if made[i] >= cut else row for i, row in enumerate(record.snapshots.inputs)]
    return replace(record, snapshots=replace(record.snapshots, inputs=tuple(inputs)))


def test_a_field_that_does_not_change_is_calm() -> None:
    """Every test speaks, none alarms, and each says what it compared."""
    looks = found(bench_field.record_of(FIELD))
    assert set(drift.CODES) == set(looks)
    assert [] == [code for code, each in looks.items() if each.alarm]
    assert all("before" in each.says for each in looks.values())


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("exposure_rate", lambda row: row | {"h_per_day": row["h_per_day"] * 1.3}),
        ("support", lambda row: row | {"load_per_h": row["load_per_h"] * 30.0}),
        ("indicator", lambda row: row | {"hits": [None if hit is None else hit * 0.4 for hit in row["hits"]]}),
    ],
)
def test_a_change_is_found_by_its_test(code: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Use up by a third; air that nobody has seen; a sensor that reads high, so that levels are crossed early."""
    assert found(lately(bench_field.record_of(MANY), change))[code].alarm


def test_parts_that_are_replaced_sooner_are_found() -> None:
    """From the cut on a worse part is sold: cycles that begin from then on end at half their age."""
    record = bench_field.record_of(bench_field.field(homes=60, days=800.0, every_d=20.0), 800.0)
    cut = 450.0
    removed = record.cycles.removed_d
    began = record.cycles.began_d
    sooner = np.where(began >= cut, began + (removed - began) * 0.5, removed)
    changed = replace(record, cycles=replace(record.cycles, removed_d=sooner))
    assert drift.interval(changed, cut).p_value < 0.002
    assert drift.interval(record, cut).p_value > 0.002


def test_a_young_fleet_is_not_one_that_ends_sooner() -> None:
    """All units begin together: before the cut only the short lives have ended, and that is no change."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        life = rng.uniform(50, 150, 80)
        leaves = np.minimum(life, 130.0)
        at_cut = np.where(leaves < 90.0, np.inf, 90.0)
        _, p = hazards.compare(hazards.cut(np.arange(80), leaves, life <= 130.0, at_cut))
        alarms += p < 0.05
    assert alarms <= 6


def test_false_alarms_come_as_often_as_stated() -> None:
    """Spells of many units, several each, under one law on both sides: p below 5 % in about 5 % of looks."""
    hits = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(40), 4)
        pace = np.repeat(rng.lognormal(0, 0.3, 40), 4)  # cycles of one unit resemble each other
        life = pace * rng.weibull(3.0, 160) * 100
        began = np.concatenate([np.cumsum(life[unit == u]) - life[unit == u] for u in range(40)])
        until, cut = 330.0, 250.0
        gone = np.minimum(began + life, until)
        seen = began < until
        leaves, ended = (gone - began)[seen], (began + life <= until)[seen]
        at_cut = np.where(gone < cut, np.inf, np.minimum(cut - began, (gone - began) * 0.999))[seen]
        _, p = hazards.compare(hazards.cut(unit[seen], leaves, ended, at_cut))
        hits += p < 0.05
    assert 0.02 <= hits / 400 <= 0.085


def test_the_largest_of_all_are_lately_s_by_chance_alone() -> None:
    """The exact probability is what drawing says."""
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(20_000, 30))
    beyond = (draws[:, :10] > draws[:, 10:].max(axis=1)[:, None]).sum(axis=1)
    for j in (1, 2, 3):
        assert drift.chance_beyond(j, 10, 20) == pytest.approx((beyond >= j).mean(), abs=0.01)


def test_few_units_say_nothing() -> None:
    """Seven homes raise no alarm, whatever they do."""
    record = lately(
        bench_field.record_of(bench_field.field(homes=7, days=500.0, every_d=10.0)),
        lambda row: row | {"h_per_day": row["h_per_day"] * 3.0},
    )
    looks = found(record)
    assert not any(each.alarm for each in looks.values())
    assert "too few units" in looks["exposure_rate"].says


def test_too_few_units_are_counted_on_either_side() -> None:
    """Many lately and few before are too few: both are told."""
    record = bench_field.record_of(bench_field.field(homes=20, days=200.0, every_d=10.0), 200.0)
    before = {int(unit) for unit in record.cycles.unit_id[record.cycles.removed_d < 90.0]}
    assert 0 < len(before) < drift.LEAST
    said = drift.interval(record, 90.0)
    assert said.n >= drift.LEAST
    assert f"too few units to say: {said.n} lately and {len(before)} before" in said.says
    assert "0 lately and 20 before" in drift.support(record, 200.0).says


def test_a_changed_calibration_is_found() -> None:
    """Ends that come at two thirds of what was forecast, from the cut on."""
    record = bench_field.record_of(FIELD)
    cut = 400.0
    calm = drift.pit(record, cut)
    late = record.end_d >= cut
    label = [
        {**row, "left_pct": 0} if late[record.snapshots.cycle[i]] and _past(record, i) else row
        for i, row in enumerate(record.snapshots.inputs)
    ]
    changed = replace(record, snapshots=replace(record.snapshots, inputs=tuple(label)))
    assert drift.pit(changed, cut).p_value < calm.p_value / 10


def _past(record: Record, i: int) -> bool:
    cycle = record.snapshots.cycle[i]
    life = record.end_d[cycle] - record.cycles.began_d[cycle]
    return bool(record.snapshots.made_d[i] >= max(record.cycles.began_d[cycle] + 0.66 * life, 400.0))


def test_looks_at_fields_that_do_not_change_seldom_alarm() -> None:
    """Thirty fields whose use and load go up and down by chance: stated is one look in a hundred with an alarm."""
    alarms, low = 0, dict.fromkeys(drift.CODES, 0)
    for seed in range(30):
        rng = np.random.default_rng(seed)

        def noise(row: dict[str, Any], rng: np.random.Generator = rng) -> dict[str, Any]:
            return row | {name: row[name] * rng.lognormal(0, 0.2) for name in ("h_per_day", "load_per_h")}

        field = bench_field.field(homes=30, days=400.0, every_d=15.0, seed=seed)
        looks = drift.look(lately(bench_field.record_of(field, 400.0), noise, -np.inf))
        alarms += any(each.alarm for each in looks)
        for each in looks:
            low[each.code] += each.p_value < 0.05
    assert alarms <= 2
    assert max(low.values()) <= 5
