"""Siblings: what fitted models of one family lend a product model that is new (predictors/family.py).

A family is the slots of one tenant that declare the same `family`. A sibling speaks through the version that was in
force for it at the moment asked about, so that what is judged by the past learns from no later one. What was made for
another end, other levels or covariates than the sibling declares now says nothing, here as in its own forecasts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog

from gateway.registry import models
from gateway.registry.models import Slot
from gateway.replenish import releases, versions, way
from gateway.replenish.releases import Release
from predictors.artifact import DamagedArtifact
from predictors.family import Family, Sibling
from predictors.registry import load

SLOTS = """
select slot_id from slot where tenant_id = %s and family = %s and slot_id <> %s order by slot_id"""
log = structlog.get_logger()


@dataclass(frozen=True)
class Siblings:
    """Hold each sibling slot with its releases, and the artifacts of the versions that they name."""

    logs: tuple[tuple[Slot, tuple[Release, ...]], ...] = ()
    artifacts: Mapping[int, Mapping[str, Any]] | None = None

    def family(self, at: datetime) -> Family | None:
        """Return what the versions in force at a moment tell, None where there are none."""
        told = self._told(at)
        return Family.of(list(told.values())) if told else None

    def versions(self, at: datetime) -> list[int]:
        """Return the versions that `family` hears."""
        return list(self._told(at))

    def _told(self, at: datetime) -> dict[int, Sibling]:
        return {found[0]: found[1] for log in self.logs if (found := self._in_force(*log, at)) is not None}

    def _in_force(self, slot: Slot, rows: tuple[Release, ...], at: datetime) -> tuple[int, Sibling] | None:
        for release in reversed(releases.standing([row for row in rows if row.released_at <= at])):
            if release.model_version_id is None or self.artifacts is None:
                return None
            try:
                model = load(self.artifacts[release.model_version_id])
            except DamagedArtifact:
                log.exception("a sibling's version cannot be read", model_version_id=release.model_version_id)
                continue
            if way.answers(model, slot):
                return release.model_version_id, model.sibling()
        return None


ALONE = Siblings()


def of(conn: psycopg.Connection, slot: Slot) -> Siblings:
    """Return the siblings of a slot; none where it declares no family."""
    if slot.family is None:
        return ALONE
    found = conn.execute(SLOTS, (slot.tenant_id, slot.family, slot.slot_id)).fetchall()
    logs = tuple((models.get_slot(conn, slot_id), tuple(releases.log(conn, slot_id))) for (slot_id,) in found)
    named = {row.model_version_id for _, rows in logs for row in rows if row.model_version_id is not None}
    return Siblings(logs, {version_id: versions.artifact(conn, version_id) for version_id in sorted(named)})
