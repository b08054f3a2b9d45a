"""Scoring: units with news, slot by slot in vectorised batches, to forecasts and to where each slot stands.

The order date is the quantile of the end-of-life date at which a day too early and a day too late cost the same, less
the delivery time of the part that fits. slot_state is always written, a forecast row when it says something new
(outlook.py), and then the unit is told as well.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import structlog
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.notify import outbox
from gateway.registry import models
from gateway.registry.models import Slot
from gateway.replenish import cycles, days, delivery, exposure, features, learn, suspect, why
from gateway.replenish.outlook import Outlook, Standing, says_something_new, stage
from predictors.decision import order_quantile

STALE_D = 7.0  # without a word for so long, a unit with a radio is stale
BLIND_D = 30.0  # and after so long its forecast is an estimate
AGE = timedelta(days=1)  # a slot nobody spoke of is scored again, for time passes

log = structlog.get_logger()

FORECAST = """
insert into forecast (tenant_id, unit_id, slot_id, cycle_id, model_version_id, made_at, eol_q10, eol_q50, eol_q90,
  order_at, pct_left, basis, flags, predictor, reasons, inputs)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning forecast_id"""
STATE = """
insert into slot_state (tenant_id, unit_id, slot_id, cycle_id, forecast_id, stage, pct_left, eol_q10, eol_q50, eol_q90,
  order_at, basis, flags, stale, updated_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (unit_id, slot_id) do update set cycle_id = excluded.cycle_id, forecast_id = excluded.forecast_id,
  stage = excluded.stage, pct_left = excluded.pct_left, eol_q10 = excluded.eol_q10, eol_q50 = excluded.eol_q50,
  eol_q90 = excluded.eol_q90, order_at = excluded.order_at, basis = excluded.basis, flags = excluded.flags,
  stale = excluded.stale, updated_at = excluded.updated_at"""
BEFORE = """
select st.unit_id, st.cycle_id, st.forecast_id, st.stage, st.stale, f.pct_left, f.eol_q50, f.order_at, f.basis,
  st.flags, f.model_version_id
from slot_state st left join forecast f on f.forecast_id = st.forecast_id
where st.slot_id = %s and st.unit_id = any(%s)"""
WANTED = """
with longest as (select distinct unit_id from (select unit_id from rescore order by mark_id limit %s) marks),
taken as (select mark_id from rescore join longest using (unit_id) for update of rescore skip locked),
gone as (delete from rescore using taken where rescore.mark_id = taken.mark_id returning unit_id, tenant_id, since)
select unit_id, tenant_id, min(since) from gone group by unit_id, tenant_id"""


def score_waiting(conn: psycopg.Connection, now: datetime, limit: int = 100) -> int:
    """Score units that have news, oldest news first, and return how many; the caller commits soon.

    A unit that somebody is changing at this moment is marked again, for the next call.
    """
    wanted = conn.execute(WANTED, (limit,)).fetchall()
    free = set(cycles.hold_free(conn, [row[0] for row in wanted]))
    busy = [row for row in wanted if row[0] not in free]
    with conn.cursor() as cursor:
        cursor.executemany("insert into rescore (unit_id, tenant_id, since) values (%s, %s, %s)", busy)
    score_units(conn, sorted(free), now)
    return len(free)


def want_aged(conn: psycopg.Connection, now: datetime, limit: int = 1_000) -> int:
    """Ask for a new forecast of slots that nobody looked at for AGE: silence and the calendar are news too.

    By lot, because those that cannot be scored stay the oldest and would otherwise be all that is asked for.
    """
    return conn.execute(
        """insert into rescore (unit_id, tenant_id, since)
           select distinct unit_id, tenant_id, %s::timestamptz from (
             select unit_id, tenant_id from slot_state where updated_at < %s order by random() limit %s) aged
           where not exists (select from rescore r where r.unit_id = aged.unit_id)""",
        (now, now - AGE, limit),
    ).rowcount


def score_units(conn: psycopg.Connection, unit_ids: list[int], now: datetime) -> None:
    """Forecast every slot of these units as it stands at `now`."""
    if not unit_ids:
        return
    cycles.ensure_open(conn, unit_ids)
    slots = conn.execute(
        """select s.slot_id, array_agg(u.unit_id) from unit u join slot s on s.model_id = u.model_id
           where u.unit_id = any(%s) group by s.slot_id order by s.slot_id""",
        (unit_ids,),
    ).fetchall()
    for slot_id, units in slots:
        unscored = _score_apart(conn, slot_id, units, now)
        if unscored:
            log.error("units not scored", slot_id=slot_id, unit_ids=unscored)


def _score_apart(conn: psycopg.Connection, slot_id: int, unit_ids: list[int], now: datetime) -> list[int]:
    """Score a slot of these units and return those that cannot be scored, which keep no other unit or slot from it.

    What cannot be (a declaration, an artifact, a number) is looked for by halves: of a hundred units it is mostly one.
    """
    try:
        with conn.transaction():
            _score_slot(conn, models.get_slot(conn, slot_id), unit_ids, now)
    except (ValueError, ArithmeticError, LookupError, psycopg.DataError, psycopg.IntegrityError) as error:
        if len(unit_ids) == 1:
            log.warning("not scored", slot_id=slot_id, unit_id=unit_ids[0], exc_info=error)
            return unit_ids
    else:
        return []
    half = len(unit_ids) // 2
    return [each for some in (unit_ids[:half], unit_ids[half:]) for each in _score_apart(conn, slot_id, some, now)]


def _score_slot(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], now: datetime) -> None:
    seen = features.read(conn, slot, unit_ids, now)
    if not seen.unit_ids:
        return
    exposure.keep(conn, seen.asked, seen.unkept, now)
    days.keep(conn, slot, seen.unkept_days, now)
    chosen = learn.in_force(conn, slot)
    s = order_quantile(slot.cost_early, slot.cost_late)
    quantiles = sorted({0.1, 0.5, 0.9, s})
    at = {q: quantiles.index(q) for q in (0.1, 0.5, 0.9)}
    suspicion = suspect.look(conn, seen, now)
    seen = suspicion.believed()
    inputs = seen.as_json()
    forecasts = chosen.model.forecast(seen.batch, quantiles, alive=seen.alive)
    left_d = np.where(seen.ended[:, None], 0.0, forecasts.eol_d)
    left_pct = np.where(seen.ended, 0.0, forecasts.pct_left)
    left_d, left_pct, order_d = suspicion.widened(chosen.model, left_d, left_pct, quantiles, s)
    arrives = delivery.days(conn, slot, seen.unit_ids, now)
    before = _before(conn, slot, seen.unit_ids)
    version_id = chosen.version.model_version_id if chosen.version else None
    states: list[tuple[Any, ...]] = []
    for i, unit_id in enumerate(seen.unit_ids):
        silent = inputs[i]["silent_d"]
        dates = {q: now + timedelta(days=float(left_d[i, column])) for q, column in at.items()}
        order_at = now + timedelta(days=float(order_d[i]) - arrives[unit_id])
        measured = bool(forecasts.measured[i]) and (silent is None or silent <= BLIND_D)
        outlook = Outlook(
            cycle_id=seen.cycle_ids[i],
            stage=stage(now, float(left_pct[i]), dates[0.5], order_at),
            pct_left=round(float(left_pct[i]), 2),
            eol_q10=dates[0.1],
            eol_q50=dates[0.5],
            eol_q90=dates[0.9],
            order_at=order_at,
            basis="measured" if measured else "estimated",
            flags=suspicion.flags[i],
            stale=seen.devices[i] is not None and (inputs[i]["age_d"] if silent is None else silent) > STALE_D,
            model_version_id=version_id,
        )
        had = before.get(unit_id)
        forecast_id = had.forecast_id if had else None
        if had is None or says_something_new(had, outlook, now):
            reasons = suspicion.reasons[i] + why.reasons(seen, forecasts, i, measured=measured)
            reasons += why.learned(chosen.version)
            said = {"sentence": why.sentence(reasons), "parts": [reason.as_json() for reason in reasons]}
            forecast_id = _keep(conn, slot, unit_id, outlook, (now, Jsonb(said), Jsonb(inputs[i])))
            _tell_unit(conn, slot, seen.devices[i], forecast_id)
        states.append(_state(slot, unit_id, outlook, forecast_id, now))
    with conn.cursor() as cursor:
        cursor.executemany(STATE, states)


def _before(conn: psycopg.Connection, slot: Slot, unit_ids: list[int]) -> dict[int, Standing]:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        cursor.execute(BEFORE, (slot.slot_id, unit_ids))
        return {row.unit_id: row for row in cursor}


def _keep(conn: psycopg.Connection, slot: Slot, unit_id: int, o: Outlook, made: tuple[datetime, Jsonb, Jsonb]) -> int:
    now, reasons, inputs = made
    head = (slot.tenant_id, unit_id, slot.slot_id, o.cycle_id, o.model_version_id, now)
    dates = (o.eol_q10, o.eol_q50, o.eol_q90, o.order_at)
    row = conn.execute(
        FORECAST, (*head, *dates, o.pct_left, o.basis, o.flags, slot.predictor, reasons, inputs)
    ).fetchone()
    assert row  # noqa: S101  # an insert that returns, returns
    return int(row[0])


def _state(slot: Slot, unit_id: int, o: Outlook, forecast_id: int | None, now: datetime) -> tuple[Any, ...]:
    dates = (o.eol_q10, o.eol_q50, o.eol_q90, o.order_at)
    head = (slot.tenant_id, unit_id, slot.slot_id, o.cycle_id, forecast_id, o.stage, o.pct_left)
    return (*head, *dates, o.basis, o.flags, o.stale, now)


def _tell_unit(conn: psycopg.Connection, slot: Slot, device: str | None, forecast_id: int) -> None:
    if device is not None:
        outbox.put(
            conn,
            tenant_id=slot.tenant_id,
            key=f"forecast:{forecast_id}",
            channel="mqtt",
            kind="forecast",
            payload={},
            device=device,
        )
