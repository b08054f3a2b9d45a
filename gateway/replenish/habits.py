"""How a slot's units are used: learned from their days once a week, for each of them to be shrunk to."""

from datetime import datetime, timedelta

import psycopg
import structlog
from psycopg.types.json import Jsonb

from gateway.registry import models
from gateway.registry.models import Slot
from gateway.replenish import days
from gateway.replenish.days import Days
from predictors import usage_learn
from predictors.artifact import DamagedArtifact
from predictors.usage_cohort import UseCohort

KEPT_FOR = timedelta(days=7)
LEAST_UNITS = 20  # whose days teach a cohort; below it, the declaration does
MOST_UNITS = 5_000  # looked at: beyond that they say the same again

log = structlog.get_logger()

STALE = """
select s.slot_id from slot s left join use_cohort c using (slot_id)
where (c.made_at is null or c.made_at < %s)
  and (select count(*) from (select from use_days d where d.slot_id = s.slot_id limit %s) told) >= %s
order by s.slot_id"""
KEEP = """
insert into use_cohort (tenant_id, slot_id, basis, made_at, units, learned) values (%s, %s, %s, %s, %s, %s)
on conflict (slot_id) do update set basis = excluded.basis, made_at = excluded.made_at, units = excluded.units,
  learned = excluded.learned"""


def declared(slot: Slot) -> UseCohort | None:
    """Return the use that the manufacturer expects; None where the slot's life is declared in days alone."""
    return None if slot.life_h is None else UseCohort.declared(slot.life_h / slot.life_d)


def of(conn: psycopg.Connection, slot: Slot) -> UseCohort | None:
    """Return what is known of how this slot's units are used: learned, else declared, else None."""
    row = conn.execute(
        "select learned from use_cohort where slot_id = %s and basis = %s", (slot.slot_id, days.basis(slot))
    ).fetchone()
    if row:
        try:
            return UseCohort.read(row[0])
        except DamagedArtifact:
            log.exception("habits not read", slot_id=slot.slot_id)  # they are learned again within a week
    return declared(slot)


def stale(conn: psycopg.Connection, now: datetime) -> list[int]:
    """Return the slots whose units' use is to be learned, or learned again."""
    return [row[0] for row in conn.execute(STALE, (now - KEPT_FOR, LEAST_UNITS, LEAST_UNITS))]


def learn(conn: psycopg.Connection, slot_id: int, now: datetime) -> int:
    """Learn how a slot's units are used from the days that are kept; return how many units taught it."""
    slot = models.get_slot(conn, slot_id)
    rows = conn.execute(
        "select unit_id, through, days from use_days where slot_id = %s and basis = %s order by unit_id limit %s",
        (slot_id, days.basis(slot), MOST_UNITS),
    ).fetchall()
    found = days.together([Days.of(*row) for row in rows])
    prior = declared(slot) or UseCohort.declared(1.0)
    cohort = usage_learn.learn(found, prior)
    conn.execute(KEEP, (slot.tenant_id, slot_id, days.basis(slot), now, cohort.units, Jsonb(cohort.written())))
    return cohort.units
