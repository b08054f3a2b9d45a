"""Learning: a slot's model fitted anew from finished and running cycles, as an immutable version.

Only cycles whose end would have shown itself teach a life (labels.py): that a part which nobody looks at still runs is
no survival. The gateway learns when finished cycles have grown by a tenth, and releases what it learned by itself only
while staff have released nothing for that slot: from then on the manufacturer decides, and what is learned waits as a
challenger.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.registry import models
from gateway.registry.models import Slot
from gateway.replenish import features
from predictors.batch import SlotBatch
from predictors.future import exposure
from predictors.history import History
from predictors.predictor import Predictor
from predictors.registry import load, named

LEAST_LABELS = 5
GROWTH = 1.1
MOST_RUNNING = 5_000  # running cycles looked at: beyond that they say the same again

RIPE = """
select s.slot_id from slot s
join lateral (select count(*) as n from cycle c
              where c.slot_id = s.slot_id and (c.label ->> 'witnessed')::boolean) l on true
left join lateral (select max(labels) as n from model_version v
                   where v.slot_id = s.slot_id and v.predictor = s.predictor) had on true
where l.n >= %s and l.n >= coalesce(had.n, 0) * %s::float8 and l.n > coalesce(had.n, 0)"""


@dataclass(frozen=True, slots=True)
class Version:
    """A row of table model_version, without its artifact."""

    model_version_id: int
    slot_id: int
    predictor: str
    labels: int
    released_by: str | None


@dataclass(frozen=True, slots=True)
class InForce:
    """The model a slot is forecast with; `version` is None while only the declaration is known."""

    model: Predictor
    version: Version | None


def in_force(conn: psycopg.Connection, slot: Slot) -> InForce:
    """Return the slot's model: the version released last for its predictor, else the declaration alone."""
    version = _released(conn, slot)
    if version is None:
        return InForce(named(slot.predictor)(features.declared(slot)), None)
    row = conn.execute(
        "select artifact from model_version where model_version_id = %s", (version.model_version_id,)
    ).fetchone()
    assert row  # noqa: S101  # just read in the same transaction; versions are never deleted
    return InForce(load(row[0]), version)


def _released(conn: psycopg.Connection, slot: Slot) -> Version | None:
    with conn.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(
            """select model_version_id, slot_id, predictor, labels, released_by from model_version
               where slot_id = %s and predictor = %s and released_at is not null
               order by released_at desc, model_version_id desc limit 1""",
            (slot.slot_id, slot.predictor),
        ).fetchone()


def ripe(conn: psycopg.Connection) -> list[int]:
    """Return the slots that have enough new labels to be learned again."""
    return [row[0] for row in conn.execute(RIPE, (LEAST_LABELS, GROWTH)).fetchall()]


def learn(conn: psycopg.Connection, slot_id: int, now: datetime) -> int | None:
    """Fit the slot's model from all it has seen and keep it as a version; return its id, None when nothing is new."""
    slot = models.get_slot(conn, slot_id)
    finished = conn.execute(
        "select label from cycle where slot_id = %s and (label ->> 'witnessed')::boolean", (slot_id,)
    ).fetchall()
    labels = [label for (label,) in finished]
    units = [
        row[0]
        for row in conn.execute(
            "select unit_id from cycle where slot_id = %s and upper_inf(period) order by cycle_id desc limit %s",
            (slot_id, MOST_RUNNING),
        )
    ]
    under_way = features.read(conn, slot, units, now)
    model = named(slot.predictor)(features.declared(slot))
    running = [row for row, alive in zip(under_way.as_json(), under_way.alive, strict=True) if alive]
    model.fit(_history(slot, labels, running, model.hours_only))
    artifact = model.to_artifact()
    released_by = _released(conn, slot)
    own = released_by is None or released_by.released_by == "gateway"
    row = conn.execute(
        """insert into model_version (tenant_id, slot_id, predictor, artifact, sha256, note, labels, created_at,
             released_at, released_by)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (slot_id, sha256) do nothing
           returning model_version_id""",
        (
            slot.tenant_id,
            slot_id,
            slot.predictor,
            Jsonb(artifact),
            artifact["sha256"],
            f"learned from {len(labels)} finished and {len(running)} running cycles",
            len(labels),
            now,
            now if own else None,
            "gateway" if own else None,
        ),
    ).fetchone()
    return row[0] if row else None


def _history(slot: Slot, labels: list[dict[str, Any]], under_way: list[dict[str, Any]], hours_only: bool) -> History:
    rows = [*labels, *under_way]
    batch = _batch(slot, rows)
    censored = [bool(label["censored"]) for label in labels] + [True] * len(under_way)
    used = exposure(batch, slot.life_h, hours_only=hours_only).used
    return History.of(used, censored, days=batch.age_d, hits=batch.hits)


def _batch(slot: Slot, rows: list[dict[str, Any]]) -> SlotBatch:
    """Return stored features as a batch again; hits of another set of levels are not known."""
    columns = {name: np.array([row.get(name) for row in rows], dtype=np.float64) for name in features.NAMES}
    levels = len(features.declared(slot).levels) if slot.indicator_channel else 0
    if not levels:
        return SlotBatch(**columns)
    unknown = [None] * levels
    hits = [row["hits"] if len(row.get("hits", ())) == levels else unknown for row in rows]
    return SlotBatch(**columns, hits=np.array(hits, dtype=np.float64).reshape(len(rows), levels))
