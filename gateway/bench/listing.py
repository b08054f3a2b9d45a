"""What versions a slot has, which is in force, which forecasts in the shadow, and who decided that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from gateway.bench import release, shadow
from gateway.registry import models
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


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold how a slot's model stands: what forecasts it, what forecasts in the shadow, how many versions there are.

    champion, shadow: numbers of versions; champion None = its declaration alone.
    """

    slot: Slot
    product: str
    champion: int | None
    shadow: int | None
    versions: int
    released_at: datetime | None


SLOTS = """
select s.slot_id, m.name, (select count(*) from model_version v where v.slot_id = s.slot_id)
from slot s join product_model m on m.model_id = s.model_id where s.tenant_id = %s order by m.name, m.gtin, s.code"""


def standings(conn: psycopg.Connection, tenant_id: int) -> list[Standing]:
    """Return how each slot of a manufacturer stands, by product model."""
    found = []
    for slot_id, product, count in conn.execute(SLOTS, (tenant_id,)).fetchall():
        slot = models.get_slot(conn, slot_id)
        stands, challenger = release.in_force(conn, slot), shadow.live(conn, slot_id)
        found.append(
            Standing(
                slot=slot,
                product=product,
                champion=stands.model_version_id if stands else None,
                shadow=challenger.model_version_id if challenger else None,
                versions=count,
                released_at=stands.released_at if stands else None,
            )
        )
    return found


def every(conn: psycopg.Connection) -> list[int]:
    """Return every slot of the deployment that has units."""
    return [row[0] for row in conn.execute("select distinct slot_id from cycle order by slot_id")]
