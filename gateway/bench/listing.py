"""What versions a slot has, which is in force, which forecasts in the shadow, and who decided that."""

from typing import Any

import psycopg

from gateway.bench import release, shadow
from gateway.registry.models import Slot
from gateway.replenish import releases, versions


def listed(conn: psycopg.Connection, slot: Slot) -> list[dict[str, Any]]:
    """Return a row for each version of a slot, the newest first."""
    stands = release.in_force(conn, slot)
    challenger = shadow.live(conn, slot.slot_id)
    log = releases.log(conn, slot.slot_id)
    rows = []
    for version in reversed(versions.of_slot(conn, slot.slot_id)):
        own = [each for each in log if each.kind == "release" and each.model_version_id == version.model_version_id]
        number = version.model_version_id
        is_champion = stands is not None and stands.model_version_id == number
        is_shadow = challenger is not None and challenger.model_version_id == number
        rows.append(
            {
                "slot": slot.code,
                "version": number,
                "predictor": version.predictor,
                "stands": "champion" if is_champion else "shadow" if is_shadow else "",
                "labels": version.labels,
                "made_at": version.created_at,
                "released_at": own[-1].released_at if own else None,
                "released_by": own[-1].actor if own else None,
                "note": own[-1].note if own else version.note,
                "sha256": version.sha256[:12],
            }
        )
    return rows


def audit(conn: psycopg.Connection, slot: Slot) -> list[dict[str, Any]]:
    """Return every release and roll-back of a slot, the newest first."""
    return [
        {
            "slot": slot.code,
            "at": each.released_at,
            "what": each.kind,
            "in_force": each.model_version_id,
            "predictor": each.predictor,
            "by": each.actor,
            "note": each.note,
        }
        for each in reversed(releases.log(conn, slot.slot_id))
    ]


def every(conn: psycopg.Connection) -> list[int]:
    """Return every slot of the deployment that has units."""
    return [row[0] for row in conn.execute("select distinct slot_id from cycle order by slot_id")]
