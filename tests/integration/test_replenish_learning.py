"""What a large fleet teaches: as much as can be read, and of it the same as the whole would."""

from datetime import timedelta

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from gateway.registry import declaration, models, units
from gateway.registry.models import Slot
from gateway.replenish import learn, versions
from tests.bench_field import GTIN, TOML, at
from tests.integration import replenish_fleet as fleet

NOW = at(400.0)
HOURS_A_DAY = 8.0


def grown(conn: psycopg.Connection, count: int = 300) -> Slot:
    """Let a fleet grow until NOW: parts that live a thousand hours, of which the weakest have ended by then."""
    declaration.declare(conn, declaration.read(TOML))
    conn.execute("select reading_partitions(%s, %s)", (at(0), NOW))
    slot = models.slots(conn, models.by_gtin(conn, GTIN).model_id)[0]
    rng = np.random.default_rng(1)
    lives = 1000.0 * rng.weibull(4.0, count) / np.log(2.0) ** 0.25
    for i, (life, hours) in enumerate(zip(lives, np.linspace(1000.0, 20.0, count), strict=True)):
        began = NOW - timedelta(days=hours / HOURS_A_DAY)
        unit_id = units.enrol(conn, slot.tenant_id, GTIN, f"U{i}", now=began).unit.unit_id
        ran = float(min(life, hours))
        ended = NOW - timedelta(days=(hours - ran) / HOURS_A_DAY) if life < hours else None
        label = {"run_h": ran, "load_h": ran, "age_d": ran / HOURS_A_DAY, "reason": "worn"}
        label |= {"censored": False, "witnessed": True}
        conn.execute(
            """insert into cycle (tenant_id, model_id, unit_id, slot_id, period, start_runtime_h, source,
                 removed_reason, label, recorded_at)
               values (%s, %s, %s, %s, tstzrange(%s, %s), 0, 'device', %s, %s, %s)""",
            (slot.tenant_id, slot.model_id, unit_id, slot.slot_id, began, ended, ended and "worn",
             Jsonb(label) if ended else None, ended),
        )  # fmt: skip
        if ended is None:
            fleet.report(conn, unit_id, "runtime", [(began, 0.0), (NOW - timedelta(hours=1), ran)])
            fleet.report(conn, unit_id, "pressure_drop", [(NOW - timedelta(hours=1), 50.0)])
    return slot


def median_h(conn: psycopg.Connection, version_id: int | None) -> float:
    assert version_id
    life = versions.model(conn, version_id).life
    assert life
    return float(life.left(np.zeros(1), (0.5,))[0, 0])


def test_of_a_fleet_too_large_to_read_a_share_teaches_what_the_whole_would(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weak that ended count no more than the strong that still run; and it is not learned again and again."""
    slot = grown(conn)
    with monkeypatch.context() as patch:
        patch.setattr(learn, "MOST", 100)
        patch.setattr(learn, "ENDS", 1)
        share = learn.learn(conn, slot.slot_id, NOW)
    assert share
    on = versions.get(conn, share).fitted_on
    assert 50 < on["finished"] + on["running"] < 150
    assert (True, 31) == (on["finished"] < 20, on["finished_in_all"])
    assert [] == learn.ripe(conn)
    assert abs(median_h(conn, share) - 1000.0) < 100.0
    whole = learn.learn(conn, slot.slot_id, NOW + timedelta(minutes=1))
    assert abs(median_h(conn, whole) - 1000.0) < 50.0


def test_of_a_young_fleet_so_much_is_read_that_its_few_ends_are_among_it(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of the usual size would hold hardly any end; one with too few of them teaches nothing at all."""
    assert (1.0, 1.0) == (learn._share(0, 5_000), learn._share(9_000, 10_000))
    assert 0.01 == learn._share(300_000, 1_000_000)
    assert 0.03 == learn._share(40, 1_000_000)
    assert 0.02 == learn._share(15_000, 1_000_000)
    slot = grown(conn)
    monkeypatch.setattr(learn, "MOST", 30)
    monkeypatch.setattr(learn, "ENDS", 15)
    version = learn.learn(conn, slot.slot_id, NOW)
    assert version
    assert 8 < versions.get(conn, version).fitted_on["finished"] < 25
    monkeypatch.setattr(learn, "UTMOST", 10)
    assert learn.learn(conn, slot.slot_id, NOW + timedelta(minutes=1)) is None
