"""Shadows: a challenger forecasts beside the champion in `work`, from the same inputs, and tells nobody.

What it said is kept as it said it. Beside a forecast it is held once, so that a worker that is killed does it again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import psycopg
import structlog
from psycopg.rows import class_row

from gateway import clock
from gateway.bench.damaged import Damaged
from gateway.errors import Conflict, NotFound
from gateway.registry import audit, models
from gateway.registry.models import Slot
from gateway.replenish import delivery, features, learn, releases, versions, way
from predictors.artifact import DamagedArtifact
from predictors.decision import order_quantile

AT_ONCE = 500
OVERLAP = 10_000  # forecasts looked at again: one that was numbered earlier may have been committed later
log = structlog.get_logger()

WAITING = """
select f.forecast_id, f.unit_id, f.made_at, f.inputs from forecast f
where f.slot_id = %s and f.forecast_id > %s and f.made_at >= %s and not exists (
  select from shadow_forecast s where s.forecast_id = f.forecast_id and s.model_version_id = %s)
order by f.forecast_id limit %s"""
KEEP = """
insert into shadow_forecast (tenant_id, forecast_id, model_version_id, eol_q10, eol_q50, eol_q90, order_at, pct_left)
values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A row of table shadow."""

    shadow_id: int
    tenant_id: int
    slot_id: int
    model_version_id: int
    actor: str
    started_at: datetime
    ended_at: datetime | None
    through: int


def start(conn: psycopg.Connection, version_id: int, *, actor: str, now: datetime) -> None:
    """Let a version forecast beside the champion from now on, instead of the shadow before it. The caller commits.

    Raises NotFound, Damaged, and Conflict where it is the champion itself.
    """
    version = versions.get(conn, version_id)
    releases.hold(conn, version.slot_id)
    try:
        versions.model(conn, version_id)
    except DamagedArtifact as damaged:
        raise Damaged(f"version {version_id} gets no shadow: {damaged}") from None
    slot = models.get_slot(conn, version.slot_id)
    stands = learn.in_force(conn, slot).version
    if stands is not None and stands.model_version_id == version_id:
        raise Conflict(f"version {version_id} is in force: it would forecast beside itself")
    _end(conn, slot, now)
    conn.execute(
        "insert into shadow (tenant_id, slot_id, model_version_id, actor, started_at) values (%s, %s, %s, %s, %s)",
        (slot.tenant_id, slot.slot_id, version_id, actor, now),
    )
    _note(conn, slot, "shadow_started", actor, version_id)


def own(conn: psycopg.Connection, slot: Slot, version_id: int) -> int:
    """Return the version if it is one of the slot's. Raises NotFound."""
    if versions.get(conn, version_id).slot_id != slot.slot_id:
        raise NotFound(f"version {version_id} is of another slot than {slot.code!r}")
    return version_id


def end(conn: psycopg.Connection, slot: Slot, *, actor: str, now: datetime) -> int:
    """End the slot's shadow and return its version; what it said stays. Raises NotFound where none forecasts."""
    releases.hold(conn, slot.slot_id)
    shadow = live(conn, slot.slot_id)
    if shadow is None:
        raise NotFound(f"no challenger forecasts in the shadow of the slot {slot.code!r}")
    _end(conn, slot, now)
    _note(conn, slot, "shadow_ended", actor, shadow.model_version_id)
    return shadow.model_version_id


def take_over(conn: psycopg.Connection, slot: Slot, version_id: int, *, actor: str, now: datetime) -> None:
    """End the slot's shadow if it is this version's, which is in force now and would forecast beside itself."""
    shadow = live(conn, slot.slot_id)
    if shadow is not None and shadow.model_version_id == version_id:
        end(conn, slot, actor=actor, now=now)


def live(conn: psycopg.Connection, slot_id: int) -> Shadow | None:
    """Return the shadow that forecasts for a slot now, or None."""
    found = _shadows(conn, "slot_id = %s and ended_at is null", slot_id)
    return found[0] if found else None


def of_slot(conn: psycopg.Connection, slot_id: int) -> list[Shadow]:
    """Return every shadow that a slot had, oldest first."""
    return _shadows(conn, "slot_id = %s", slot_id)


def forecast_beside(conn: psycopg.Connection) -> int:
    """Forecast beside what the champion has forecast since, and return how many; the caller commits."""
    count = 0
    for shadow in _shadows(conn, "ended_at is null and %s", True):
        try:
            with conn.transaction():  # one challenger that cannot forecast keeps no other from it
                count += _beside(conn, shadow)
        except (DamagedArtifact, ValueError, ArithmeticError, LookupError):
            log.exception("no shadow", slot_id=shadow.slot_id, model_version_id=shadow.model_version_id)
    return count


def _beside(conn: psycopg.Connection, shadow: Shadow) -> int:
    asked = (shadow.slot_id, shadow.through - OVERLAP, shadow.started_at, shadow.model_version_id, AT_ONCE)
    rows = conn.execute(WAITING, asked).fetchall()
    if not rows:
        return 0
    slot = models.get_slot(conn, shadow.slot_id)
    model = versions.model(conn, shadow.model_version_id)
    seen = features.recalled(way.heard_by(slot, model), [row[3] for row in rows], rows[-1][2])
    declared = replace(seen, slot=slot)  # what shows an end is what is declared, not what the challenger learned
    s = order_quantile(slot.cost_early, slot.cost_late)
    quantiles = sorted({0.1, 0.5, 0.9, s})
    said = model.forecast(seen.batch, quantiles, alive=declared.alive)
    left = np.where(declared.ended[:, None], 0.0, said.eol_d)
    percent = np.where(declared.ended, 0.0, said.pct_left)
    takes = delivery.days(conn, slot, sorted({row[1] for row in rows}), rows[-1][2])
    kept = []
    for i, (forecast_id, unit_id, made_at, _) in enumerate(rows):
        dates = {q: made_at + timedelta(days=float(left[i, k])) for k, q in enumerate(quantiles)}
        order_at = dates[s] - timedelta(days=takes[unit_id])
        days = (dates[0.1], dates[0.5], dates[0.9], order_at)
        head = (slot.tenant_id, forecast_id, shadow.model_version_id)
        kept.append((*head, *days, round(float(percent[i]), 2)))
    with conn.cursor() as cursor:
        cursor.executemany(KEEP, kept)
    high = max(shadow.through, rows[-1][0])
    conn.execute("update shadow set through = %s where shadow_id = %s", (high, shadow.shadow_id))
    return len(kept)


def _end(conn: psycopg.Connection, slot: Slot, now: datetime) -> None:
    conn.execute("update shadow set ended_at = %s where slot_id = %s and ended_at is null", (now, slot.slot_id))


def _note(conn: psycopg.Connection, slot: Slot, action: str, actor: str, version_id: int) -> None:
    detail = {"slot_id": slot.slot_id, "model_version_id": version_id}
    audit.note(conn, actor=actor, action=action, wall=clock.wall(), tenant_id=slot.tenant_id, detail=detail)


def _shadows(conn: psycopg.Connection, where: str, value: object) -> list[Shadow]:
    with conn.cursor(row_factory=class_row(Shadow)) as cursor:
        cursor.execute(
            f"""select shadow_id, tenant_id, slot_id, model_version_id, actor, started_at, ended_at, through
                from shadow where {where} order by shadow_id""",
            (value,),
        )
        return cursor.fetchall()
