"""The way of an indicator over a part's exposure: when it crossed its levels, what it reads now, and on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.registry.models import Slot
from predictors.declaration import Declaration
from predictors.flow import normalised
from predictors.indicator import READS, crossings, looks, reads
from predictors.path import STEP

SMOOTHED = 3  # hours over which an indicator is smoothed, so that one bad hour crosses nothing
Array = NDArray[np.float64]

HOURS = """
with c as (
  select c.unit_id, c.source, lower(c.period) as began from cycle c
  where c.slot_id = %(slot)s and upper_inf(c.period) and c.unit_id = any(%(units)s)),
hours as (
  select h.unit_id, h.hour, sum(h.rise) filter (where h.channel_id = %(runtime)s) as rise,
    avg(h.mean) filter (where h.channel_id = %(indicator)s) as indicator,
    avg(h.mean) filter (where h.channel_id = %(flow)s) as flow,
    avg(h.mean) filter (where h.channel_id = %(load)s) / %(load_ref)s as ratio
  from c join reading_hourly h on h.unit_id = c.unit_id
    and (h.slot_id = 0 or h.slot_id = %(slot)s and h.channel_id <> %(runtime)s)
    and h.channel_id in (%(runtime)s, %(indicator)s, %(flow)s, %(load)s)
  where h.hour <= %(at)s and (c.source = 'factory' or h.hour > c.began) group by h.unit_id, h.hour)
select unit_id, array_agg(coalesce(rise * coalesce(ratio, 1), 0) order by hour), array_agg(indicator order by hour),
  array_agg(flow order by hour)
from hours group by unit_id"""


@dataclass(frozen=True, slots=True)
class Course:
    """What the indicators of n units showed, as at the flow at which the end is declared.

    hits: (n, L) exposure at which each level was first crossed. reads: (n, 5) what it read last. latest: (n,) the
    median of the last hours, in the indicator's unit. looks: (k, 5) each, what it read on the way; empty unless asked.
    """

    hits: Array
    reads: Array
    latest: Array
    looks: list[Array]


def read(
    conn: psycopg.Connection,
    slot: Slot,
    declared: Declaration,
    heads: dict[int, float],
    asked: dict[str, Any],
    *,
    whole: bool,
) -> Course:
    """Return the courses of these units; heads: the exposure of each part before its unit's first word.

    whole: with the looks, one each STEP of the rated life (of its days where it has no hours).
    """
    n, step = len(heads), STEP * (declared.life_h or 24.0 * declared.life_d)
    found = Course(np.full((n, len(declared.levels)), np.nan), np.full((n, 1 + READS), np.nan), np.full(n, np.nan), [])
    found.looks.extend(np.empty((0, 1 + READS)) for _ in heads)
    place = {unit_id: i for i, unit_id in enumerate(heads)}
    for unit_id, exposures, indicator, flows in conn.execute(HOURS, asked):
        i, way = place[unit_id], declared.span
        clock = heads[unit_id] + np.cumsum(np.array(exposures, dtype=np.float64))
        seen = at_reference(slot, np.array(indicator, dtype=np.float64), np.array(flows, dtype=np.float64))
        found.hits[i] = crossings(clock, seen, declared.levels, width=SMOOTHED)
        found.reads[i] = reads(clock, seen, clock[-1:], way=way, width=SMOOTHED)[0]
        if whole:
            found.looks[i] = looks(clock, seen, step, way=way, width=SMOOTHED)
        if (known := seen[np.isfinite(seen)][-SMOOTHED:]).size:
            found.latest[i] = np.median(known)
    return found


def at_reference(slot: Slot, indicator: Array, flows: Array) -> Array:
    """Return an indicator as it would read at the declared flow; as it is where none is declared."""
    if slot.flow_channel is None or slot.flow_ref is None:
        return indicator
    return normalised(indicator, flows, slot.flow_ref, slot.flow_exponent)
