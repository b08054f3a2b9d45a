"""Covariates and families that a maker declares: measured per part, learned from the fleet, used in forecasts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import log

import numpy as np
import psycopg
import pytest
from structlog.testing import capture_logs

from gateway import clock
from gateway.bench import choose, evaluate, read, release
from gateway.bench import fit as fits
from gateway.errors import Conflict
from gateway.registry import declaration
from gateway.registry.models import Slot
from gateway.replenish import cycles, features, learn, releases, siblings, versions, way
from tests import bench_field
from tests.bench_field import Worn
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, GTIN, House

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CONDITIONS = 'load_ref = 2\ncovariates = ["tds", "temperature", "running"]\n'
SIBLING = """
[[models]]
gtin = "4006381333948"
name = "Smaller purifier"
[[models.slots]]
code = "hepa"
name = "Filter"
family = "hepa"
life_h = 700
life_d = 60
load_channel = "load"
load_ref = 2
indicator_channel = "pressure_drop"
indicator_eol = 200
"""
THIRD = SIBLING.replace("4006381333948", "4006381333955")


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    house = fleet.build(conn)
    declaration.declare(conn, declaration.read(fleet.TOML.replace("load_ref = 2\n", CONDITIONS)))
    yield replace(house, slot=fleet.slot_of(conn, GTIN))
    clock.accelerate(None)


def conditions(conn: psycopg.Connection, house: House, unit_id: int, days: float) -> dict[str, dict[str, float]]:
    cycles.ensure_open(conn, [unit_id])
    row = features.read(conn, house.slot, [unit_id], BORN + days * DAY).as_json()[0]
    return {name: row[name] for name in ("covariates", "covariates_recent")}


def test_conditions_are_means_over_running_hours(conn: psycopg.Connection, house: House) -> None:
    """Water twice as hard since day 40: a life's mean lies between, the last month's does not; rest is not counted."""
    unit_id = fleet.enrol(conn, house)
    fleet.run(conn, unit_id, 80)
    ran = [BORN + day * DAY + hour * HOUR for day in range(80) for hour in range(1, 9)]
    rest = [BORN + day * DAY + 12 * HOUR for day in range(80)]
    hard = [(at, 200.0 if at < BORN + 40 * DAY else 400.0) for at in ran]
    fleet.report(conn, unit_id, "tds", sorted([*hard, *[(at, 9_000.0) for at in rest]]))
    fleet.report(conn, unit_id, "temperature", [(at, -5.0) for at in ran])
    seen = conditions(conn, house, unit_id, 80)
    assert pytest.approx(log(200 * 400) / 2, abs=0.01) == seen["covariates"]["tds"]
    assert pytest.approx(log(400), abs=1e-5) == seen["covariates_recent"]["tds"]
    assert pytest.approx(-0.5) == seen["covariates"]["temperature"]
    assert seen["covariates"]["running"] is None


def test_a_new_part_begins_its_own_conditions(conn: psycopg.Connection, house: House) -> None:
    """What the part before went through is not the new one's past."""
    unit_id = fleet.enrol(conn, house)
    middle = fleet.run(conn, unit_id, 40)
    cycles.ensure_open(conn, [unit_id])
    fleet.report(conn, unit_id, "tds", [(BORN + day * DAY + HOUR, 100.0) for day in range(40)])
    conn.execute(
        "update cycle set period = tstzrange(%s, null), source = 'device' where unit_id = %s", (middle, unit_id)
    )
    fleet.run(conn, unit_id, 10, since=middle)
    fleet.report(conn, unit_id, "tds", [(middle + day * DAY + 2 * HOUR, 300.0) for day in range(10)])
    assert pytest.approx(log(300)) == conditions(conn, house, unit_id, 50)["covariates"]["tds"]


def hard_water(worn: list[Worn], *, power: float) -> list[Worn]:
    """Return the field in homes whose water differs: life goes with hardness to the power of -`power`."""
    rng = np.random.default_rng(5)
    hardness = {unit: float(rng.uniform(-1.0, 1.0)) for unit in {one.unit for one in worn}}

    def told(one: Worn, inputs: dict[str, object]) -> dict[str, object]:
        z = {"tds": 5.0 + hardness[one.unit]}
        shrunk = np.exp(-power * hardness[one.unit])
        hits = [None if hit is None else hit * shrunk for hit in inputs["hits"]]  # type: ignore[attr-defined]  # inputs as JSON holds them
        load = {name: float(inputs[name]) * shrunk for name in ("load_h", "load_per_h")}  # type: ignore[arg-type]  # inputs as JSON holds them
        return {**inputs, **load, "hits": hits, "covariates": z, "covariates_recent": z}

    return [
        replace(
            one,
            label=one.label and one.label | told(one, one.label),
            looks=tuple((made, told(one, inputs)) for made, inputs in one.looks),
        )
        for one in worn
    ]


def test_an_exponent_is_learned_from_the_fleet_and_told(conn: psycopg.Connection) -> None:
    """Life falls with the hardness of the water to the power of 0.8: fitted, kept, read again, told as a share."""
    toml = bench_field.TOML.replace("load_ref = 2\n", 'load_ref = 2\ncovariates = ["tds"]\n')
    slot = bench_field.store(conn, hard_water(bench_field.field(homes=30), power=0.8), toml)
    record = read.record(conn, slot, bench_field.at(500.0))
    version = fits.fit(conn, record, "hit", note="", now=bench_field.at(500.0))
    model = versions.model(conn, version.model_version_id)
    assert model.clock is not None
    assert pytest.approx(0.8, abs=0.1) == model.clock.beta[0]
    said = model.forecast(record.batch)
    assert said.drivers["clock_share tds"].max() > 0.2 > -0.2 > said.drivers["clock_share tds"].min()
    without = replace(record, slot=replace(slot, covariates=[]))
    blind = np.abs(errors(without, "hit")).mean()
    assert np.abs(errors(record, "hit")).mean() < 0.7 * blind


def errors(record: read.Record, predictor: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the errors in days on the later half of the units, by a model that the earlier half taught."""
    units = np.unique(record.cycles.unit_id)
    later = np.isin(record.cycles.unit_id, units[units.size // 2 :])
    told = [dict(label) for label, late in zip(record.cycles.labels, later, strict=True) if label and not late]
    history = learn.history(record.slot, told, [], hours_only=False)
    model = fits.named(predictor)(way.declared(record.slot)).fit(history)
    cycle = record.snapshots.cycle
    judged = later[cycle] & record.ended[cycle] & (record.snapshots.made_d < record.end_d[cycle])
    left = model.forecast(record.batch.take(judged)).eol_d[:, 1]
    return np.asarray(record.snapshots.made_d[judged] + left - record.end_d[cycle][judged])


def test_a_version_for_other_covariates_is_not_asked(conn: psycopg.Connection) -> None:
    """The maker declares a covariate after a release: the version is not asked, what stood before is."""
    slot = bench_field.store(conn, bench_field.field(homes=12))
    learn.learn(conn, slot.slot_id, bench_field.at(500.0))
    assert learn.in_force(conn, slot).version is not None
    declaration.declare(
        conn, declaration.read(bench_field.TOML.replace("load_ref = 2\n", 'load_ref = 2\ncovariates = ["tds"]\n'))
    )
    with capture_logs() as logs:
        chosen = learn.in_force(conn, read.slot(conn, "hepa"))
    assert (None, ("tds",)) == (chosen.version, chosen.model.declaration.covariates)
    assert ["version was made for another declaration"] == [line["event"] for line in logs]


@pytest.mark.parametrize("change", [("50, 100, 150", "60, 110, 160"), ("eol = 200", "eol = 190")])
def test_a_version_for_as_many_other_levels_is_not_asked(conn: psycopg.Connection, change: tuple[str, str]) -> None:
    """Levels that lie elsewhere, or another end, are other questions; declared back again, it answers."""
    toml = bench_field.TOML + "levels = [50, 100, 150]\n"
    slot = bench_field.store(conn, bench_field.field(homes=12), toml)
    version = learn.learn(conn, slot.slot_id, bench_field.at(500.0))
    assert version is not None
    declaration.declare(conn, declaration.read(toml.replace(*change)))
    moved = read.slot(conn, "hepa")
    assert learn.in_force(conn, moved).version is None
    with pytest.raises(Conflict, match=r"another end, other levels or covariates.*the declaration stays in force"):
        release.release(conn, version, actor="staff:1", note="all the same", now=bench_field.at(501.0))
    declaration.declare(conn, declaration.read(toml))
    stands = learn.in_force(conn, read.slot(conn, "hepa")).version
    assert version == (stands and stands.model_version_id)


def test_a_version_for_other_covariates_can_still_be_compared_and_explained(conn: psycopg.Connection) -> None:
    """What was fitted before a covariate was declared is asked by what it knows; it is no champion any more."""
    slot = bench_field.store(conn, bench_field.field(homes=12))
    learn.learn(conn, slot.slot_id, bench_field.at(300.0))
    [released] = releases.log(conn, slot.slot_id)
    anew = bench_field.TOML.replace("load_ref = 2\n", 'load_ref = 2\ncovariates = ["tds"]\n')
    declaration.declare(conn, declaration.read(anew + "levels = [50, 100, 150]\n"))
    record = read.record(conn, read.slot(conn, "hepa"), bench_field.at(500.0))
    old = choose.choose(conn, record, str(released.model_version_id))
    found = evaluate.evaluate(record, old, [record.day(bench_field.at(400.0))])
    assert found.scores
    assert release.in_force(conn, record.slot) is None
    assert choose.choose(conn, record, "champion").version_id is None


def test_a_covariate_is_not_counted_in_another_way_under_its_name(conn: psycopg.Connection) -> None:
    """Models that learned from tens of a unit would read logarithms as tens."""
    inlet = '[[channels]]\nname = "inlet"\nunit = "degC"\n{}\n[[models]]\n'
    toml = bench_field.TOML.replace("load_ref = 2\n", 'load_ref = 2\ncovariates = ["inlet"]\n')
    declaration.declare(conn, declaration.read(toml.replace("[[models]]\n", inlet.format("high = 90"))))
    with pytest.raises(declaration.BadDeclaration, match="fitted with it as 'tens'"):
        declaration.declare(conn, declaration.read(toml.replace("[[models]]\n", inlet.format("low = 0"))))
    declaration.declare(conn, declaration.read(toml.replace("[[models]]\n", inlet.format("low = -9"))))


def test_a_part_left_in_after_its_end_ran_under_the_conditions_until_then(
    conn: psycopg.Connection, house: House
) -> None:
    """What the water was like afterwards did not wear it out."""
    unit_id = fleet.enrol(conn, house)
    end = fleet.run(conn, unit_id, 30)
    hours = [BORN + day * DAY + HOUR for day in range(60)]
    fleet.report(conn, unit_id, "left_pct", [(BORN + 29 * DAY + 2 * HOUR, 0.0)], slot_id=house.slot.slot_id)
    fleet.report(conn, unit_id, "tds", [(at, 100.0) for at in hours[:30]])
    fleet.scored(conn, unit_id, end)
    now = fleet.run(conn, unit_id, 30, since=end)
    fleet.report(conn, unit_id, "tds", [(at, 900.0) for at in hours[30:]])
    fleet.set_clock(now)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, now, "owner"), now)
    [(told,)] = conn.execute("select label from cycle where label is not null").fetchall()
    assert not told["censored"]
    assert pytest.approx(log(100.0)) == told["covariates"]["tds"]


@pytest.fixture
def families(conn: psycopg.Connection) -> list[Slot]:
    """Three product models of one family, rated at 700 hours, whose parts last 1000; two have learned, one is new."""
    toml = (
        bench_field.TOML.replace("life_h = 1000", "life_h = 700").replace(
            'name = "Filter"\n', 'name = "Filter"\nfamily = "hepa"\n'
        )
        + SIBLING
        + THIRD
    )
    worn = bench_field.field(homes=12)
    old = [bench_field.store(conn, worn, toml), bench_field.fill(conn, "04006381333955", worn, prefix="T")]
    for slot in old:
        learn.learn(conn, slot.slot_id, bench_field.at(500.0))
    young = [replace(one, looks=one.looks[:2]) for one in worn if one.removed_d is None]
    return [*old, bench_field.fill(conn, "04006381333948", young[:3], prefix="S")]


def test_a_new_product_model_starts_from_its_family(conn: psycopg.Connection, families: list[Slot]) -> None:
    """Its siblings outlive their rating, so its first parts are believed to; the version names who lent it that."""
    slot = families[2]
    record = read.record(conn, slot, bench_field.at(501.0))
    version = fits.fit(conn, record, "weibull", note="", now=bench_field.at(501.0))
    middle = [
        float(model.life.left(np.zeros(1), (0.5,))[0, 0])
        for model in (
            versions.model(conn, version.model_version_id),
            fits.named("weibull")(way.declared(slot)).fit(record.history_by(501.0, hours_only=False)),
        )
        if model.life
    ]
    assert middle[0] == pytest.approx(1000, rel=0.15)
    assert middle[1] < 800
    said = [row.model_version_id for each in families[:2] for row in releases.log(conn, each.slot_id)]
    assert sorted(version.fitted_on["siblings"]) == sorted(said)


def test_a_family_is_heard_as_it_stood_then(conn: psycopg.Connection, families: list[Slot]) -> None:
    """Before the siblings' releases there was nothing to hear; other tenants hear nothing at all."""
    of = siblings.of(conn, families[2])
    assert of.family(bench_field.at(499.0)) is None
    assert of.family(bench_field.at(501.0)) is not None
    assert siblings.of(conn, replace(families[2], tenant_id=families[2].tenant_id + 1)).logs == ()
    assert siblings.of(conn, replace(families[2], family=None)).family(bench_field.at(501.0)) is None


def test_a_sibling_declared_anew_lends_nothing_that_it_would_not_ask(
    conn: psycopg.Connection, families: list[Slot]
) -> None:
    """Its version was made for another end: its levels would be blended with those of another way."""
    conn.execute("update slot set indicator_eol = indicator_eol * 2 where slot_id = %s", (families[0].slot_id,))
    other = [row.model_version_id for row in releases.log(conn, families[1].slot_id)]
    assert other == siblings.of(conn, families[2]).versions(bench_field.at(501.0))
