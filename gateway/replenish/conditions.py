"""The conditions under which parts ran: the mean of each declared covariate over their running hours.

A covariate enters as what an exponent can be learned for: a gauge that is never negative as its logarithm, one that may
be (a temperature) by tens of its unit, a state as the share of running time that it was on. Hours at rest wear nothing
and do not count.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from gateway.registry import channels
from gateway.registry.channels import Channel
from gateway.registry.models import Slot
from predictors.batch import Array

# Asked with what features.py asks with, and the covariates' channels. One pass, as in exposure.py.
HOURS = """
with c as (
  select c.unit_id, c.source, lower(c.period) as began from cycle c
  where c.slot_id = %(slot)s and upper_inf(c.period) and c.unit_id = any(%(units)s)),
hours as (
  select h.unit_id, h.hour, max(h.rise) filter (where h.channel_id = %(runtime)s) as rise, {values}
  from c join reading_hourly h on h.unit_id = c.unit_id and h.channel_id = any(%(read)s)
    and (h.slot_id = 0 or (h.slot_id = %(slot)s and h.channel_id <> %(runtime)s))
  where h.hour <= %(at)s and (c.source = 'factory' or h.hour > c.began) group by h.unit_id, h.hour),
ran as (select *, max(hour) over (partition by unit_id) as latest from hours where rise > 0)
select unit_id, {so_far}, {lately} from ran group by unit_id"""
VALUE = "avg(h.mean) filter (where h.channel_id = {channel})"
MEAN = "sum(rise * z{i}) / nullif(sum(rise) filter (where z{i} is not null), 0)"
LATELY = (
    "sum(rise * z{i}) filter (where hour > latest - %(recent)s)"
    " / nullif(sum(rise) filter (where z{i} is not null and hour > latest - %(recent)s), 0)"
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The covariates of n parts in the order in which they are declared: (n, C) over their lives so far, and lately."""

    so_far: Array
    lately: Array


def read(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], asked: dict[str, Any]) -> Conditions | None:
    """Return the conditions of the parts in these units, NaN where nothing was measured; None where none are declared.

    `asked` is what features.py asked with.
    """
    if not slot.covariates:
        return None
    known = channels.of_tenant(conn, slot.tenant_id)
    declared = [known[name] for name in slot.covariates]
    values = ", ".join(f"{_scaled(channel)} as z{i}" for i, channel in enumerate(declared))
    so_far, lately = (", ".join(each.format(i=i) for i in range(len(declared))) for each in (MEAN, LATELY))
    query = HOURS.format(values=values, so_far=so_far, lately=lately)
    reads = [asked["runtime"], *(channel.channel_id for channel in declared)]
    found = np.full((len(unit_ids), 2 * len(declared)), np.nan)
    place = {unit_id: i for i, unit_id in enumerate(unit_ids)}
    for unit_id, *means in conn.execute(query, {**asked, "units": unit_ids, "read": reads}):
        found[place[unit_id]] = np.array(means, dtype=np.float64)
    return Conditions(found[:, : len(declared)], found[:, len(declared) :])


def _scaled(channel: Channel) -> str:
    """Return the SQL of an hour's covariate; what has no logarithm is not known."""
    value = VALUE.format(channel=int(channel.channel_id))
    scaled = {"share": value, "ln": f"ln(nullif(greatest({value}, 0), 0))", "tens": f"({value}) / 10"}
    return scaled[channels.scale(channel.kind, channel.low)]
