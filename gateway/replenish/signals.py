"""What units showed of one slot lately, as the columns that predictors/replacement.py and sensor.py read.

A column is an hour in which the unit said something, the last LOOKS of them within REACH: a unit that was in a cellar
shows what it did before, and what it does since. What a fresh part reads is taken from the first running hours of the
slot's cycles: of this unit's, and of the fleet's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.registry.models import Slot
from gateway.replenish import course, features, way
from gateway.replenish.features import Seen
from predictors import changepoint
from predictors.batch import Array

LOOKS = 336  # hours with a word: two weeks of a unit that never rests
REACH = timedelta(days=45)
FIRST = 12  # running hours of a new part that its fresh level is taken from
FLEET = 40  # cycles that a fresh part's level is learned from
APART = 0.08  # log spread of fresh parts in one unit
FLEET_SD = (0.05, 0.15)  # log spread of fresh parts over the fleet: the least, and where fewer than FEW were seen
FEW = 4
GENTLE = 24.0  # hours that a factory part may have run at its unit's first word and still be called fresh
Hours = list[datetime]
Marks = NDArray[np.bool_]
Times = NDArray[np.int64]

WINDOW = """
select c.unit_id, lower(c.period), c.source, array_agg(w.hour order by w.hour), array_agg(w.seen order by w.hour),
  array_agg(w.flow order by w.hour), array_agg(w.rise order by w.hour), array_agg(w.pct order by w.hour),
  array_agg(w.left_h order by w.hour)
from cycle c cross join lateral (
  select h.hour, avg(h.mean) filter (where h.channel_id = %(indicator)s) as seen,
    avg(h.mean) filter (where h.channel_id = %(flow)s) as flow,
    max(h.rise) filter (where h.channel_id = %(runtime)s) as rise,
    max(h.last) filter (where h.channel_id = %(left_pct)s) as pct,
    max(h.last) filter (where h.channel_id = %(left_h)s) as left_h
  from reading_hourly h
  where h.unit_id = c.unit_id and h.slot_id in (0, %(slot)s) and h.hour <= %(at)s and h.hour > %(at)s - %(reach)s
    and h.channel_id = any(%(channels)s)
  group by h.hour order by h.hour desc limit %(looks)s) w
where c.slot_id = %(slot)s and upper_inf(c.period) and c.unit_id = any(%(units)s)
group by c.cycle_id"""

FRESH = """
select c.unit_id, array_agg(f.seen order by f.hour), array_agg(f.flow order by f.hour)
from (select cycle_id, unit_id, period, source from cycle
      where slot_id = %(slot)s and (unit_id = any(%(units)s) or cycle_id in (
        select cycle_id from cycle where slot_id = %(slot)s order by cycle_id desc limit %(fleet)s))) c
cross join lateral (
  select h.hour, avg(h.mean) filter (where h.channel_id = %(indicator)s) as seen,
    avg(h.mean) filter (where h.channel_id = %(flow)s) as flow,
    min(h.first) filter (where h.channel_id = %(runtime)s) as counter
  from reading_hourly h
  where h.unit_id = c.unit_id and h.slot_id in (0, %(slot)s) and h.channel_id = any(%(channels)s)
    and (c.source = 'factory' or h.hour > lower(c.period)) and h.hour <= %(at)s
    and (upper_inf(c.period) or h.hour < upper(c.period))
  group by h.hour having count(*) filter (where h.channel_id = %(indicator)s) > 0
  order by h.hour limit %(first)s) f
group by c.cycle_id, c.unit_id, c.source having c.source <> 'factory' or coalesce(min(f.counter), 0) <= %(gentle)s"""

RESETS = """
select unit_id, max(occurred_at) from event
where unit_id = any(%(units)s) and slot_id = %(slot)s and type = 'counter_reset' and occurred_at <= %(at)s
  and occurred_at > %(at)s - %(reach)s group by unit_id"""


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of n units in T columns; `rows` are their places in Seen, `hours` when each column was.

    y: (n, T) log indicator of the part in place, normalised by flow; said: what its sensor said itself; exposure:
    (n, T) running hours where it was looked at. left: (n, T) share left by the slot's own counter, the part before
    included. fresh, fresh_sd: (n,). reset: (n,) column at which the unit told a reset, -1 it did not.
    """

    rows: list[int]
    hours: list[Hours]
    began: list[datetime]
    assumed: list[bool]
    y: Array
    said: Array
    exposure: Array
    left: Array
    fresh: Array
    fresh_sd: Array
    reset: Times


def read(conn: psycopg.Connection, seen: Seen, rows: list[int]) -> Signals:
    """Return the signals of these rows of what was seen, as they stood then."""
    slot = seen.slot
    names = features.channel_ids(conn, slot)
    place = {seen.unit_ids[row]: row for row in rows}
    asked: dict[str, Any] = {
        "slot": slot.slot_id, "units": list(place), "at": seen.at, "reach": REACH, "looks": LOOKS, "fleet": FLEET,
        "first": FIRST, "gentle": GENTLE, "channels": [i for what, i in names.items() if i and what != "load"], **names,
    }  # fmt: skip
    found = conn.execute(WINDOW, asked).fetchall()
    n, width = len(found), max((len(row[3]) for row in found), default=0)
    columns = np.full((5, n, width), np.nan)
    for i, row in enumerate(found):
        for what, values in enumerate(row[4:]):
            columns[what, i, : len(values)] = np.array(values, dtype=np.float64)
    raw, flows, rise, pct, hours_left = columns
    hours = [row[3] for row in found]
    began = [row[1] for row in found]
    assumed = [row[2] == "factory" for row in found]
    here = np.zeros((n, width), dtype=bool)
    for i, at in enumerate(hours):
        here[i, : len(at)] = [assumed[i] or hour > began[i] for hour in at]
    raw = np.where(here & ~(rise == 0), raw, np.nan)
    read_at = course.at_reference(slot, raw, flows)
    told: dict[int, datetime] = dict(conn.execute(RESETS, asked).fetchall())
    units = [row[0] for row in found]
    fresh, fresh_sd = _fresh(conn, slot, units, asked)
    return Signals(
        rows=[place[unit_id] for unit_id in units],
        hours=hours,
        began=began,
        assumed=assumed,
        y=log_scale(slot, read_at),
        said=raw,
        exposure=np.where(np.isfinite(read_at), np.cumsum(np.nan_to_num(rise), axis=1), np.nan),
        left=np.where(np.isfinite(pct), pct / 100.0, hours_left / (slot.life_h or np.nan)),
        fresh=fresh,
        fresh_sd=fresh_sd,
        reset=np.array(
            [_column(at, told.get(unit_id)) for at, unit_id in zip(hours, units, strict=True)], dtype=np.int64
        ),
    )


def log_scale(slot: Slot, indicator: Array) -> Array:
    """Return a slot's indicator on the scale on which changes of level are judged."""
    return changepoint.log_scale(indicator, floor=floor(slot), falling=way.declared(slot).falling)


def floor(slot: Slot) -> float:
    """Return what is nothing beside the end of life, in the indicator's unit; an indicator that falls has none."""
    if slot.indicator_eol is None or way.declared(slot).falling:
        return 0.0
    return changepoint.FLOOR * abs(slot.indicator_eol)


def _column(hours: Hours, at: datetime | None) -> int:
    """Return the first column at or after a moment, -1 where there is none."""
    if at is None:
        return -1
    return next((i for i, hour in enumerate(hours) if hour + timedelta(hours=1) > at), -1)


def _fresh(conn: psycopg.Connection, slot: Slot, units: list[int], asked: dict[str, Any]) -> tuple[Array, Array]:
    """Return the log level of a fresh part for each unit, and its spread: the fleet's, drawn to the unit's own.

    Two normal estimates of one level, weighed by their precisions.
    """
    unknown = np.full(len(units), np.nan)
    if not slot.indicator_channel or not units:
        return unknown, unknown
    levels: list[float] = []
    own: dict[int, list[float]] = {}
    for unit_id, said, flows in conn.execute(FRESH, asked):
        read_at = course.at_reference(slot, np.array(said, dtype=np.float64), np.array(flows, dtype=np.float64))
        y = log_scale(slot, read_at)
        if np.isfinite(y).sum() >= FIRST // 2:
            levels.append(float(np.nanmedian(y)))
            own.setdefault(unit_id, []).append(levels[-1])
    if not levels:
        return unknown, unknown
    middle, least = float(np.median(levels)), FLEET_SD[0 if len(levels) >= FEW else 1]
    spread = max(1.4826 * float(np.median(np.abs(np.array(levels) - middle))), least)
    told = [own.get(unit_id, []) for unit_id in units]
    precision = np.array([len(mine) / APART**2 for mine in told])
    mine = np.array([float(np.mean(each)) if each else middle for each in told])
    fresh = (middle / spread**2 + precision * mine) / (1 / spread**2 + precision)
    return fresh, np.sqrt(1 / (1 / spread**2 + precision) + APART**2)
