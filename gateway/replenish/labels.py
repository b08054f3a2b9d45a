"""Labels: a finished cycle as training data.

A part was worn when the forecast said that at least WORN of its life was used; changed early before that; for unknown
reasons when nobody forecast it. That is what people do, and no model may learn an end of life from it: owners change
parts when we tell them to, so each generation would teach a shorter life. A label says what was seen of the end itself:

- censored False: the unit showed it, by its indicator or by its own report, or the part failed;
- censored True, witnessed True: the unit would have shown it, and had not: the part would have lasted longer;
- witnessed False: nothing would have shown it, or nobody heard how the part began (its unit had run before its
  first word), so its removal teaches nothing about its life, only about its use.

A cycle in which another part is the likelier reading of a doubt that nobody answered held two: its label is that of the
first one, up to `changed_at`. Whichever of the two readings is true, that one had run so far by then.

A part that stays in place after its end has run longer than it lived: its exposure and age are those of the first
forecast whose inputs showed the end.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from gateway.registry.doubts import Doubt
from gateway.replenish.features import COVARIATES, Seen, recalled
from gateway.replenish.suspicion import Suspicion

WORN = 20.0  # percent left, and below
BEFORE = timedelta(seconds=1)  # the hour in which another part was seen first is that one's
AT_END = 5.0  # percent left by the unit's own report, and below: it counts in steps, and people act a little early

FORECAST = """
select pct_left, basis, flags from forecast where cycle_id = %s and made_at <= %s
order by made_at desc, forecast_id desc limit 1"""


def first_until(noticed: Sequence[Doubt], at: datetime) -> datetime:
    """Return when the part that began a cycle was in place last: `at`, when the cycle ends, or before another part."""
    return min(
        [at, *(doubt.happened_at - BEFORE for doubt in noticed if doubt.another_part and doubt.happened_at < at)]
    )


def label(conn: psycopg.Connection, cycle_id: int, seen: Seen, noticed: Sequence[Doubt] = ()) -> dict[str, Any]:
    """Return the label of a part that was in place until `seen.at`: its features, why it ended, what was seen of that.

    What was not believed while it ran (a report, a sensor, levels crossed before a cleaning) teaches nothing.
    """
    row = conn.execute(FORECAST, (cycle_id, seen.at)).fetchone()
    pct_left, basis, flags = row or (None, None, [])
    suspicion = Suspicion.none(seen)
    noticed = [doubt for doubt in noticed if doubt.happened_at <= seen.at]
    for doubt in noticed:
        if not doubt.unsettled:
            suspicion.mark(0, doubt, seen.at)
    if {"sensor_stuck", "sensor_biased"} & set(flags):
        suspicion.levels[0] = suspicion.level[0] = True
    seen = suspicion.believed()
    features = seen.as_json()[0]
    reported = features["left_pct"]
    ended = bool(seen.ended[0]) or (reported is not None and reported <= AT_END)
    worn = ended or (pct_left is not None and pct_left <= WORN)
    reason = "worn" if worn else "unknown" if pct_left is None else "early"
    witnessed = bool(seen.heard[0]) and (ended or bool(seen.alive[0]))
    seen_of_end = {"reason": reason, "censored": not ended, "witnessed": witnessed}
    if any(doubt.kind == "cleaned" and doubt.state == "noted" for doubt in noticed):
        seen_of_end["cleaned"] = True
    if ended:
        features |= _at_end(conn, cycle_id, seen)
    if seen.looks:
        features["looks"] = np.round(seen.looks[0], 6).tolist()
    return {**features, "forecast_pct_left": pct_left, "basis": basis, **seen_of_end}


def shows_end(seen: Seen) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell of each row whether the part was at its end by then: by the indicator, or by the unit's own report."""
    with np.errstate(invalid="ignore"):
        return np.asarray(seen.ended | (seen.batch.left_pct <= AT_END))


def _at_end(conn: psycopg.Connection, cycle_id: int, seen: Seen) -> dict[str, Any]:
    rows = conn.execute(
        "select inputs from forecast where cycle_id = %s and made_at <= %s order by made_at, forecast_id",
        (cycle_id, seen.at),
    )
    inputs = [row[0] for row in rows]
    first = np.flatnonzero(shows_end(recalled(seen.slot, inputs, seen.at))) if inputs else np.empty(0, dtype=np.int64)
    if not first.size:
        return {}
    then = inputs[first[0]]
    return {name: then[name] for name in ("run_h", "load_h", "age_d", *COVARIATES) if name in then}
