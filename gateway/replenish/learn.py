"""Learning: a slot's model fitted anew from finished and running cycles, as an immutable version.

Only cycles whose end would have shown itself, and whose beginning was heard of, teach a life (labels.py): that a part
which nobody looks at still runs is no survival. Of a large fleet a share of the units is learned from, with all that
each had and has: the latest cycles would be the youngest, and say of a part only that it may end young. The gateway
learns when finished cycles have grown by a tenth, and releases what it learned by itself only while staff have released
nothing for that slot: from then on the manufacturer decides, and what is learned waits as a challenger.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
import structlog

from gateway.registry import doubts, models
from gateway.registry.models import Slot
from gateway.replenish import features, releases, siblings, versions, way
from gateway.replenish.releases import Release
from gateway.replenish.versions import Version
from predictors.artifact import DamagedArtifact
from predictors.future import exposure
from predictors.history import History
from predictors.predictor import Predictor
from predictors.registry import named

LEAST_LABELS = 5
GROWTH = 1.1
MOST = 10_000  # cycles learned from, finished and running: beyond that they say the same again
ENDS = 300  # finished ones among them, where there are so many: of a young fleet few have ended
UTMOST = 30_000  # cycles read to have so many ends
HASHES = 2**32  # of units, from minus half of it: those below a mark are a share that is the same each time
log = structlog.get_logger()

# Slots with labels enough, and the declarations of those versions that have learned nearly as much already.
RIPE = """
select s.slot_id, array(
  select distinct v.artifact -> 'declaration' from model_version v
  cross join coalesce((v.fitted_on ->> 'finished_in_all')::int, v.labels) had
  where v.slot_id = s.slot_id and v.predictor = s.predictor and (l.n < had * %s::float8 or l.n <= had))
from slot s join lateral (select count(*) as n from cycle c
                          where c.slot_id = s.slot_id and (c.label ->> 'witnessed')::boolean) l on true
where l.n >= %s"""
COUNTED = """
select count(*) filter (where not upper_inf(period)), count(*) from cycle
where slot_id = %s and (upper_inf(period) or (label ->> 'witnessed')::boolean)"""
FINISHED = """
select label from cycle where slot_id = %s and (label ->> 'witnessed')::boolean and hashint8(unit_id) < %s
order by cycle_id"""
RUNNING = """
select unit_id from cycle where slot_id = %s and upper_inf(period) and hashint8(unit_id) < %s order by unit_id"""


@dataclass(frozen=True, slots=True)
class InForce:
    """The model a slot is forecast with; `version` is None while only the declaration is known."""

    model: Predictor
    version: Version | None


def in_force(conn: psycopg.Connection, slot: Slot) -> InForce:
    """Return the slot's model: the version released last for its predictor, else the declaration alone.

    A version that cannot be read, or that was made for another end, other levels or covariates than are declared now,
    is logged, and the one released before it stays in force.
    """
    return topmost(conn, slot, releases.standing(releases.log(conn, slot.slot_id)))


def topmost(conn: psycopg.Connection, slot: Slot, standing: list[Release]) -> InForce:
    """Return the model that a slot is forecast with while these releases stand, the last one on top."""
    for release in reversed(standing):
        if release.model_version_id is None or release.predictor != slot.predictor:
            continue
        try:
            model = versions.model(conn, release.model_version_id)
        except DamagedArtifact:
            log.exception("version cannot be read", model_version_id=release.model_version_id)
            continue
        if way.answers(model, slot):
            return InForce(model, versions.get(conn, release.model_version_id))
        log.warning("version was made for another declaration", model_version_id=release.model_version_id)
    return InForce(named(slot.predictor)(way.declared(slot)), None)


def ripe(conn: psycopg.Connection) -> list[int]:
    """Return the slots that have enough new labels to be learned again.

    What versions learned that are not asked any more does not count: declared anew, a slot is learned anew.
    """
    rows = conn.execute(RIPE, (GROWTH, LEAST_LABELS)).fetchall()
    return [slot_id for slot_id, had in rows if not had or not _any_answers(had, models.get_slot(conn, slot_id))]


def _any_answers(had: list[dict[str, Any]], slot: Slot) -> bool:
    now = way.heard(way.declared(slot))
    return any(now == (each["indicator_eol"], tuple(each["levels"]), tuple(each.get("covariates", ()))) for each in had)


def claim(conn: psycopg.Connection, slot_id: int) -> bool:
    """Take a slot to learn it until the transaction ends; False where another worker has it, or has learned it since.

    Two that learned the same slot would make two versions of one lesson, and one step would not roll them back.
    """
    row = conn.execute("select pg_try_advisory_xact_lock(hashtextextended('learn', %s))", (slot_id,)).fetchone()
    return bool(row and row[0]) and slot_id in ripe(conn)


def _share(finished: int, every: int) -> float:
    """Return which share of the units teaches, of a slot with so many cycles, of which some are finished."""
    wanted = max(MOST, min(UTMOST, ENDS * every / max(finished, 1)))
    return min(wanted / max(every, 1), 1.0)


def learn(conn: psycopg.Connection, slot_id: int, now: datetime) -> int | None:
    """Fit the slot's model from what it has seen and keep it as a version; return its id, None when nothing is new."""
    slot = models.get_slot(conn, slot_id)
    in_all, every = conn.execute(COUNTED, (slot_id,)).fetchone() or (0, 0)
    share = (slot_id, int(HASHES * _share(in_all, every)) - HASHES // 2)
    labels = [label for (label,) in conn.execute(FINISHED, share)]
    if len(labels) < min(LEAST_LABELS, in_all):  # the share holds too few of them to say more than the declaration
        return None
    units = [unit_id for (unit_id,) in conn.execute(RUNNING, share)]
    under_way = features.read(conn, slot, units, now)
    model = named(slot.predictor)(way.declared(slot))
    teaches = under_way.alive & under_way.heard
    changed = [doubt.cycle_id for doubt in doubts.of_cycles(conn, under_way.cycle_ids) if doubt.another_part]
    teaches &= ~np.isin(under_way.cycle_ids, changed)
    running = [row for row, teaching in zip(under_way.as_json(), teaches, strict=True) if teaching]
    related = siblings.of(conn, slot)
    model.fit(history(slot, labels, running, hours_only=model.hours_only), related.family(now))
    version_id = versions.keep(
        conn,
        slot,
        model.to_artifact(),
        labels=len(labels),
        note=f"learned from {len(labels)} finished and {len(running)} running cycles",
        fitted_on=versions.fitted_on(slot, labels, running, now, related.versions(now)) | {"finished_in_all": in_all},
        now=now,
    )
    releases.hold(conn, slot_id)  # staff may be deciding at this moment: their word comes first
    if version_id is not None and not releases.staff_decides(releases.log(conn, slot_id)):
        words = "released by itself: staff have released nothing for this slot"
        releases.record(conn, slot, "release", version_id, slot.predictor, actor=releases.GATEWAY, note=words, now=now)
    return version_id


def history(slot: Slot, labels: list[dict[str, Any]], under_way: list[dict[str, Any]], *, hours_only: bool) -> History:
    """Return finished cycles (their labels) and running ones (their features) as what a model learns from."""
    rows = [*labels, *under_way]
    batch = features.batch_of(slot, rows)
    censored = [bool(label["censored"]) for label in labels] + [True] * len(under_way)
    used = exposure(batch, slot.life_h, hours_only=hours_only).used
    return History.of(
        used,
        censored,
        days=batch.age_d,
        hits=batch.hits,
        looks=features.looks_of(slot, rows),
        covariates=batch.covariates,
    )
