"""Versions: immutable sets of learned numbers, each with what it was learned from."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.errors import NotFound
from gateway.registry.models import Slot
from predictors.predictor import Predictor
from predictors.registry import load

COLUMNS = "model_version_id, slot_id, predictor, labels, sha256, note, created_at, fitted_on"


@dataclass(frozen=True, slots=True)
class Version:
    """A row of table model_version, without its artifact."""

    model_version_id: int
    slot_id: int
    predictor: str
    labels: int
    sha256: str
    note: str
    created_at: datetime
    fitted_on: dict[str, Any]

    @property
    def ends(self) -> int | None:
        """How many of the parts that it learned from were seen to end; None where that was not counted yet."""
        seen = self.fitted_on.get("ends")
        return None if seen is None else int(seen)


def get(conn: psycopg.Connection, version_id: int) -> Version:
    """Return one version; raises NotFound."""
    found = _versions(conn, "model_version_id = %s", version_id)
    if not found:
        raise NotFound(f"there is no model version {version_id}; see those that there are with: wearwell model list")
    return found[0]


def of_slot(conn: psycopg.Connection, slot_id: int) -> list[Version]:
    """Return the versions of a slot, oldest first."""
    return _versions(conn, "slot_id = %s", slot_id)


def artifact(conn: psycopg.Connection, version_id: int) -> dict[str, Any]:
    """Return a version's artifact as it is stored, whether or not it can be read."""
    row = conn.execute("select artifact from model_version where model_version_id = %s", (version_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no model version {version_id}")
    return dict(row[0])


def model(conn: psycopg.Connection, version_id: int) -> Predictor:
    """Return a version as a model; raises DamagedArtifact where that cannot be."""
    return load(artifact(conn, version_id))


def keep(
    conn: psycopg.Connection,
    slot: Slot,
    sealed: dict[str, Any],
    *,
    labels: int,
    note: str,
    fitted_on: dict[str, Any],
    now: datetime,
) -> int | None:
    """Keep an artifact as a version of its slot and return its id; None where the same artifact stands already."""
    row = conn.execute(
        """insert into model_version (tenant_id, slot_id, predictor, artifact, sha256, note, labels, fitted_on,
             created_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (slot_id, sha256) do nothing returning model_version_id""",
        (
            slot.tenant_id,
            slot.slot_id,
            sealed["name"],
            Jsonb(sealed),
            sealed["sha256"],
            note,
            labels,
            Jsonb(fitted_on),
            now,
        ),
    ).fetchone()
    return int(row[0]) if row else None


def fitted_on(
    slot: Slot,
    labels: list[dict[str, Any]],
    under_way: list[dict[str, Any]],
    now: datetime,
    siblings: list[int],
) -> dict[str, Any]:
    """Return what a version was learned from: as of when, how much, its sha256, siblings' versions, the costs then."""
    data = json.dumps([labels, under_way], sort_keys=True, separators=(",", ":"), default=str)
    return {
        "as_of": now.isoformat(),
        "finished": len(labels),
        "ends": sum(not label["censored"] for label in labels),
        "running": len(under_way),
        "data_sha256": hashlib.sha256(data.encode()).hexdigest(),
        "siblings": siblings,
        "cost_early": slot.cost_early,
        "cost_late": slot.cost_late,
    }


def _versions(conn: psycopg.Connection, where: str, value: int) -> list[Version]:
    with conn.cursor(row_factory=class_row(Version)) as cursor:
        cursor.execute(f"select {COLUMNS} from model_version where {where} order by model_version_id", (value,))
        return cursor.fetchall()
