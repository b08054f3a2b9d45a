"""How long the part that fits takes to arrive: what the order date is brought forward by."""

from datetime import datetime

import psycopg

from commerce import fit
from gateway.registry.models import Slot

USUAL_D = 5.0  # where no part fits, or none is sold, and the maker declares nothing


def days(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], now: datetime) -> dict[int, float]:
    """Return the days that the part that fits each unit takes to arrive.

    Units that differ only in their serial share an answer, unless a stated fit of this slot depends on serials.
    """
    row = conn.execute(
        "select exists(select from fitment where slot_id = %s and serials <> '')", (slot.slot_id,)
    ).fetchone()
    by_serial = bool(row and row[0])
    asked: dict[fit.Place, float] = {}
    usual = USUAL_D if slot.delivery_d is None else slot.delivery_d
    found = {}
    units = "select unit_id, serial, hw_rev, region from unit where unit_id = any(%s)"
    for unit_id, serial, hw_rev, region in conn.execute(units, (unit_ids,)).fetchall():
        place = fit.Place(slot.tenant_id, slot.model_id, slot.slot_id, serial if by_serial else "", hw_rev, region)
        if place not in asked:
            part = fit.part_for(conn, place, now)
            asked[place] = usual if isinstance(part, fit.NoFit) else part.delivery_d
        found[unit_id] = asked[place]
    return found
