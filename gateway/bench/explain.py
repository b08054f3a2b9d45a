"""Why this date: one forecast of a unit's slot, in words an owner understands and in numbers an engineer does.

The words are those that the forecast was kept with. The numbers are computed again from the inputs that it kept, by the
version that made it, so that they explain that forecast and not a later one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import class_row

from gateway.errors import NotFound
from gateway.notify.reasons import say
from gateway.notify.words import span
from gateway.registry import declarations, models
from gateway.registry.models import Slot
from gateway.registry.units import Unit
from gateway.replenish import features, versions, way, why
from gateway.replenish.shares import COVARIATE, shares
from predictors.drivers import DRIVERS
from predictors.predictor import Predictor
from predictors.registry import named

LATEST = """
select f.forecast_id, f.slot_id, f.model_version_id, f.predictor, f.made_at, f.eol_q10, f.eol_q50, f.eol_q90,
  f.order_at, f.pct_left, f.basis, f.reasons, f.inputs, f.cycle_id
from forecast f where f.unit_id = %s and f.slot_id = %s and f.made_at <= %s
order by f.made_at desc, f.forecast_id desc limit 1"""
TREND = """
select extract(epoch from made_at)::float8 / 86400, (inputs ->> 'indicator')::float8 from forecast
where cycle_id = %s and made_at <= %s and inputs ->> 'indicator' is not null order by made_at desc limit 20"""
LESS = 0.15  # a change below that is none


@dataclass(frozen=True)
class Explanation:
    """Hold why a forecast says what it says.

    words: sentences for an owner, the weightiest first. numbers: by name, in the units that their names end in; null
    where they do not apply; predictors.drivers.DRIVERS says what each is. shares: of the exposure, by what brought it.
    declaration: the version of the declaration that stood then. learned_from: finished parts; ends_seen: how many of
    them reached their end, None where its version did not count that.
    """

    unit: str
    slot: str
    forecast_id: int
    made_at: datetime
    eol_q10: datetime
    eol_q50: datetime
    eol_q90: datetime
    order_at: datetime
    pct_left: float
    basis: str
    predictor: str
    model_version: int | None
    sha256: str | None
    learned_from: int
    ends_seen: int | None
    declaration: int | None
    words: list[str]
    shares: dict[str, float]
    numbers: dict[str, float | None]
    meanings: dict[str, str]
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Forecast:
    forecast_id: int
    slot_id: int
    model_version_id: int | None
    predictor: str
    made_at: datetime
    eol_q10: datetime
    eol_q50: datetime
    eol_q90: datetime
    order_at: datetime
    pct_left: float
    basis: str
    reasons: dict[str, Any]
    inputs: dict[str, Any]
    cycle_id: int


def explain(conn: psycopg.Connection, unit: Unit, code: str | None, at: datetime) -> Explanation:
    """Return why the last forecast until `at` of a unit's slot says what it says.

    Raises NotFound where the unit has no such slot, or no forecast of it yet.
    """
    slot = _slot(conn, unit, code)
    with conn.cursor(row_factory=class_row(_Forecast)) as cursor:
        made = cursor.execute(LATEST, (unit.unit_id, slot.slot_id, at)).fetchone()
    if made is None:
        raise NotFound(
            f"{unit.serial} has no forecast for {slot.code!r} yet; `wearwell work` makes one with its first word"
        )
    version = versions.get(conn, made.model_version_id) if made.model_version_id else None
    model = versions.model(conn, made.model_version_id) if made.model_version_id else None
    if model is None:
        model = named(made.predictor)(way.declared(replace(slot, predictor=made.predictor)))
    numbers = _numbers(slot, model, made)
    per_day = _trend(conn, made)
    numbers["indicator_per_d"] = per_day
    of_covariates = {name: SHARED for name in numbers if name.startswith(COVARIATE)}
    meanings = {**DRIVERS, **OWN, **of_covariates}
    return Explanation(
        unit=f"{unit.gtin}/{unit.serial}",
        slot=slot.code,
        forecast_id=made.forecast_id,
        made_at=made.made_at,
        eol_q10=made.eol_q10,
        eol_q50=made.eol_q50,
        eol_q90=made.eol_q90,
        order_at=made.order_at,
        pct_left=made.pct_left,
        basis=made.basis,
        predictor=made.predictor,
        model_version=made.model_version_id,
        sha256=version.sha256 if version else None,
        learned_from=version.labels if version else 0,
        ends_seen=version.ends if version else 0,
        declaration=declarations.standing_at(conn, unit.tenant_id, made.made_at),
        words=[*_kept(slot, made, numbers), *words(slot, numbers)],
        shares={name: round(share, 3) for name, share in shares(slot.load_channel, numbers).items()},
        numbers=numbers,
        meanings={name: meanings[name] for name in numbers if name in meanings},
        inputs=made.inputs,
    )


OWN = {
    "indicator_share": "the indicator's way from a new part's to the end of life, 0 to 1",
    "indicator_per_d": "change of the indicator per day over the last forecasts, in its channel's unit",
    "cohort_life_ratio": "expected life of this part, in days, over that of an average unit's; below 1 = sooner",
}
SHARED = "share of the exposure so far that this covariate brought; below zero = it spared the part"


def words(slot: Slot, numbers: dict[str, float | None]) -> list[str]:
    """Return what the numbers mean to an owner: a changed use, a steep indicator, how it differs from others."""
    said = []
    recent = numbers.get("recent_use")
    if recent is not None and abs(recent - 1) > LESS:
        said.append(f"Lately it runs {'more' if recent > 1 else 'less'} than before: {recent:.1f} times as much.")
    air = numbers.get("recent_load")
    if air is not None and abs(air - 1) > LESS:
        said.append(f"Lately its load is {'higher' if air > 1 else 'lower'} than before: {air:.1f} times as high.")
    share = numbers.get("indicator_share")
    if share is not None and slot.indicator_channel:
        name = slot.indicator_channel.replace("_", " ")
        said.append(f"Its {name} has gone {max(share, 0):.0%} of the way to the end.")
    pace = numbers.get("wear_pace")
    if pace is not None and abs(pace - 1) > LESS:
        said.append(f"This part wears {'more slowly' if pace > 1 else 'faster'} than others of its kind.")
    cohort = numbers.get("cohort_use")
    if cohort is not None and abs(cohort - 1) > LESS:
        word = "harder" if cohort > 1 else "less hard"
        said.append(f"It is used {word} than most: {cohort:.1f} times as much wear a day.")
    return said


def sentence(found: Explanation) -> str:
    """Return the date and its interval in one sentence."""
    days = max((found.eol_q50 - found.made_at).total_seconds() / 86_400, 0.0)
    return (
        f"About {span(days, 'en')} left as of {found.made_at:%Y-%m-%d}: {found.eol_q50:%Y-%m-%d},"
        f" between {found.eol_q10:%Y-%m-%d} and {found.eol_q90:%Y-%m-%d}."
    )


def _slot(conn: psycopg.Connection, unit: Unit, code: str | None) -> Slot:
    every = models.slots(conn, unit.model_id)
    found = [slot for slot in every if code in (None, slot.code)]
    if len(found) != 1:
        raise NotFound(f"name a slot of {unit.model_name} with --slot: {', '.join(slot.code for slot in every)}")
    return found[0]


def _kept(slot: Slot, made: _Forecast, numbers: dict[str, float | None]) -> list[str]:
    """Return the sentences that a forecast was kept with, and what brought its exposure where they do not say so."""
    parts = made.reasons.get("parts", [])
    told = {part["code"] for part in parts}
    brought = [say(reason, "en") for reason in why.brought(slot.load_channel, numbers) if reason.code not in told]
    return [*(part["text"] for part in parts), *brought]


def _numbers(slot: Slot, model: Predictor, made: _Forecast) -> dict[str, float | None]:
    seen = features.recalled(way.heard_by(slot, model), [made.inputs], made.made_at)
    said = model.forecast(seen.batch, (0.1, 0.5, 0.9), alive=replace(seen, slot=slot).alive)
    numbers = {name: _plain(column[0]) for name, column in said.drivers.items()}
    indicator, eol = made.inputs.get("indicator"), slot.indicator_eol
    if indicator is not None and eol is not None:
        start = slot.indicator_baseline or 0.0
        numbers["indicator_share"] = _plain((indicator - start) / (eol - start)) if eol != start else None
    use = numbers.get("cohort_use")
    pace = numbers.get("wear_pace")
    if use:
        numbers["cohort_life_ratio"] = _plain((1.0 if pace is None else pace) / use)
    return numbers


def _trend(conn: psycopg.Connection, made: _Forecast) -> float | None:
    rows = np.array(conn.execute(TREND, (made.cycle_id, made.made_at)).fetchall(), dtype=np.float64).reshape(-1, 2)
    if len(rows) < 3 or np.ptp(rows[:, 0]) <= 0:
        return None
    return _plain(float(np.polyfit(rows[:, 0] - rows[0, 0], rows[:, 1], 1)[0]))


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
