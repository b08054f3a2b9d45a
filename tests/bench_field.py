"""A field for tests of the bench: units that wear parts in simulated homes, and what a gateway would have kept of it.

Air and use differ from home to home; the pressure drop rises with the cube of the exposure and ends a part at 200 Pa.
Some parts are taken out early, some are told of weeks later, some still run.
"""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from gateway.bench.record import Cycles, Money, Record, Snapshots
from gateway.registry import declaration, models, units
from gateway.registry.models import Slot
from predictors.declaration import LEVEL_FRACTIONS

BORN = datetime(2026, 1, 1, tzinfo=UTC)
GTIN = "04006381333931"
EOL_PA = 200.0
TOML = """
tenant = "acme"
name = "An appliance maker"
[[models]]
gtin = "4006381333931"
name = "Purifier"
[[models.slots]]
code = "hepa"
name = "Filter"
predictor = "weibull"
life_h = 1000
life_d = 125
load_channel = "load"
load_ref = 2
indicator_channel = "pressure_drop"
indicator_eol = 200
"""
SLOT = Slot(
    **dict.fromkeys([field.name for field in fields(Slot)])  # type: ignore[arg-type]  # what is not declared
    | {
        "slot_id": 1, "tenant_id": 1, "model_id": 1, "code": "hepa", "name": "Filter", "predictor": "weibull",
        "life_h": 1000.0, "life_d": 125.0, "load_channel": "load", "load_ref": 2.0,
        "indicator_channel": "pressure_drop", "indicator_eol": EOL_PA, "indicator_falls": False, "covariates": [],
        "cost_early": 1.0, "cost_late": 4.0,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Worn:
    """One cycle of the field: whose, from when to when (days), when that was told, its label and its snapshots."""

    unit: int
    began_d: float
    removed_d: float | None
    recorded_d: float | None
    label: dict[str, Any] | None
    looks: tuple[tuple[float, dict[str, Any]], ...]


def field(homes: int = 40, days: float = 500.0, *, seed: int = 1, every_d: float = 5.0) -> list[Worn]:
    """Return the cycles of some homes over some days, in the order in which they began."""
    rng = np.random.default_rng(seed)
    worn: list[Worn] = []
    for unit in range(homes):
        use, load = 8.0 * rng.lognormal(0, 0.25), rng.lognormal(0, 0.35)
        began = float(rng.uniform(0, 30))
        while began < days:
            one = _cycle(rng, unit, (began, days, every_d), use, load)
            worn.append(one)
            began = days if one.removed_d is None else one.removed_d
    return sorted(worn, key=lambda one: (one.began_d, one.unit))


def _cycle(rng: np.random.Generator, unit: int, when: tuple[float, float, float], use: float, load: float) -> Worn:
    began, days, every_d = when
    life = 1000.0 * rng.lognormal(0, 0.15)
    end = life / (use * load)
    early = rng.uniform() < 0.2
    removed = began + (end * rng.uniform(0.3, 0.95) if early else end + rng.uniform(0.2, 6.0))
    told = removed + (rng.uniform(10, 30) if rng.uniform() < 0.1 else 0.0)
    last = min(removed, days)
    ages = np.arange(every_d, last - began, every_d).tolist()
    if not early and began + end < last:
        ages = sorted({*ages, end + 0.02})
    looks = tuple((began + age, _inputs(age, use, load, life)) for age in ages)
    if told > days:
        return Worn(unit, began, None, None, None, looks)
    label = _inputs(removed - began, use, load, life)
    if not early:
        label |= {
            name: value for name, value in _inputs(end, use, load, life).items() if name in ("run_h", "load_h", "age_d")
        }
    label |= {"reason": "early" if early else "worn", "censored": early, "witnessed": True}
    return Worn(unit, began, removed, told, label, looks)


def _inputs(age: float, use: float, load: float, life: float) -> dict[str, Any]:
    x = use * load * age
    hits = [life * share ** (1 / 3) for share in LEVEL_FRACTIONS]
    return {
        "run_h": use * age, "load_h": x, "age_d": age, "h_per_day": use, "h_per_day_sd": 0.1 * use, "load_per_h": load,
        "left_pct": None, "left_h": None, "silent_d": 0.0, "indicator": EOL_PA * (x / life) ** 3,
        "hits": [hit if hit <= x else None for hit in hits],
    }  # fmt: skip


def record_of(worn: list[Worn], until_d: float = 500.0, slot: Slot = SLOT) -> Record:
    """Return the record that read.py would read of that field."""
    looks = sorted((made, i, inputs) for i, one in enumerate(worn) for made, inputs in one.looks)
    nan = float("nan")
    return Record(
        slot=slot,
        epoch=BORN,
        until_d=until_d,
        cycles=Cycles(
            cycle_id=np.arange(len(worn)) + 1,
            unit_id=np.array([one.unit + 1 for one in worn]),
            cohort=tuple("DE" if one.unit % 2 else "FR" for one in worn),
            began_d=np.array([one.began_d for one in worn]),
            removed_d=np.array([nan if one.removed_d is None else one.removed_d for one in worn]),
            recorded_d=np.array([np.inf if one.recorded_d is None else one.recorded_d for one in worn]),
            delivery_d=np.full(len(worn), 3.0),
            labels=tuple(one.label for one in worn),
        ),
        snapshots=Snapshots(
            forecast_id=np.arange(len(looks)) + 1,
            cycle=np.array([i for _, i, _ in looks]),
            made_d=np.array([made for made, _, _ in looks]),
            inputs=tuple(inputs for _, _, inputs in looks),
        ),
        money=Money("EUR", 3990),
    )


def with_slot(record: Record, **changes: Any) -> Record:
    return replace(record, slot=replace(record.slot, **changes))


def store(conn: psycopg.Connection, worn: list[Worn], toml: str = TOML) -> Slot:
    """Declare the maker, enrol the homes' units and keep their cycles and forecasts; return the slot."""
    declaration.declare(conn, declaration.read(toml))
    return fill(conn, GTIN, worn)


def fill(conn: psycopg.Connection, gtin: str, worn: list[Worn], *, prefix: str = "H") -> Slot:
    """Enrol the homes' units of a declared model and keep their cycles and forecasts; return its first slot."""
    slot = models.slots(conn, models.by_gtin(conn, gtin).model_id)[0]
    tenant_id, ids = slot.tenant_id, {}
    for home in sorted({one.unit for one in worn}):
        region = "DE" if home % 2 else "FR"
        ids[home] = units.enrol(conn, tenant_id, gtin, f"{prefix}{home}", now=BORN, region=region).unit.unit_id
    for one in worn:
        keep(conn, slot, ids[one.unit], one)
    conn.execute("delete from rescore")
    return slot


def at(day: float) -> datetime:
    return BORN + timedelta(days=day)


def keep(conn: psycopg.Connection, slot: Slot, unit_id: int, one: Worn) -> None:
    """Keep one cycle with its forecasts, as scoring and closing would have."""
    row = conn.execute(
        """insert into cycle (tenant_id, model_id, unit_id, slot_id, period, start_runtime_h, source, removed_reason,
             label, recorded_at) values (%s, %s, %s, %s, tstzrange(%s, %s), 0, 'device', %s, %s, %s)
           returning cycle_id""",
        (
            slot.tenant_id, slot.model_id, unit_id, slot.slot_id, at(one.began_d),
            None if one.removed_d is None else at(one.removed_d), one.label and one.label["reason"],
            one.label and Jsonb(one.label), None if one.recorded_d is None else at(one.recorded_d),
        ),
    ).fetchone()  # fmt: skip
    assert row
    with conn.cursor() as cursor:
        cursor.executemany(
            """insert into forecast (tenant_id, unit_id, slot_id, cycle_id, made_at, eol_q10, eol_q50, eol_q90,
                 order_at, pct_left, basis, predictor, reasons, inputs)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 50, 'measured', 'weibull', %s, %s)""",
            [
                (slot.tenant_id, unit_id, slot.slot_id, row[0], at(made), *[at(made + left) for left in (30, 60, 90)],
                 at(made + 40), Jsonb({"sentence": "It has run.", "parts": []}), Jsonb(inputs))
                for made, inputs in one.looks
            ],
        )  # fmt: skip
