"""Labels: a finished cycle as training data.

A part counts as worn when at least WORN of its life was used; as early before that; as unknown when nobody forecast it.
Its end of life counts as *seen* only when the unit reported it, its indicator reached it, or the forecast's median had
passed: everything else is censored. Taking every change at 85 % for an end of life would teach the model shorter lives
with each generation, because owners change when we tell them to.
"""

from typing import Any

import psycopg

from gateway.registry.models import Slot
from gateway.replenish.features import Seen, declared

WORN = 20.0  # percent left, and below
SEEN = 5.0


def label(conn: psycopg.Connection, cycle_id: int, slot: Slot, seen: Seen) -> dict[str, Any]:
    """Return the label of a cycle that ends now: its features, why it ended, and whether its end of life was seen."""
    row = conn.execute("select pct_left, basis from slot_state where cycle_id = %s", (cycle_id,)).fetchone()
    pct_left, basis = row or (None, None)
    features = seen.as_json()[0] if seen.unit_ids else {}
    reported = features.get("left_pct")
    indicator = features.get("indicator")
    at_end = (
        (reported is not None and reported <= SEEN)
        or (indicator is not None and slot.indicator_eol is not None and past_end(slot, indicator))
        or (pct_left is not None and basis == "measured" and pct_left <= 0)
    )
    if at_end or (pct_left is not None and pct_left <= WORN):
        reason = "worn"
    else:
        reason = "unknown" if pct_left is None else "early"
    return {**features, "forecast_pct_left": pct_left, "basis": basis, "reason": reason, "censored": not at_end}


def past_end(slot: Slot, indicator: float) -> bool:
    """Say whether an indicator stands at its end of life, or past it."""
    eol = slot.indicator_eol or 0.0
    return indicator <= eol if declared(slot).falling else indicator >= eol
