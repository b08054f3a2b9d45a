"""The hourly rollups that features are made of: equal, always, to a recomputation from the readings.

Most readings are newer than all before them, and only extend what stands (`extended`); a key with any other reading is
recomputed from the store for the hours touched (`recompute`). `rise` is the sum of a counter's increases, the step from
the hour before included. Readings without a value, and counters that went back, count for nothing. Readings that were
let go (lifecycle/aging.py) count on in the hours that they were rolled up into.
"""

from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.ingest.arrays import MICROS, Column, Float8s, Int4s, Int8s, Times
from gateway.ingest.clocks import Flag
from gateway.ingest.readings import Readings, chosen, starts

HOUR = 3_600_000_000  # microseconds
COUNTS = f"flags & {Flag.BACK | Flag.NO_VALUE} = 0"

# The columns of reading_hourly; times are microseconds since 2000, `rise` means something for counters only.
COLUMNS: dict[str, type[Column]] = {
    "tenant_id": Int4s, "unit_id": Int8s, "slot_id": Int4s, "channel_id": Int4s, "hour": Times, "n": Int4s,
    "low": Float8s, "high": Float8s, "mean": Float8s, "first": Float8s, "last": Float8s, "last_ts": Times,
    "rise": Float8s,
}  # fmt: skip
KEY = ("unit_id", "slot_id", "channel_id")
RECORD = np.dtype([(name, kind.layout[1:]) for name, kind in COLUMNS.items()])

Hours = NDArray[Any]  # of RECORD

LATEST = f"""select k.place, {MICROS.format("h.hour")}, h.n, h.low, h.high, h.mean, h.first, h.last,
        {MICROS.format("h.last_ts")}, h.rise
    from unnest(%s, %s, %s) with ordinality k(unit_id, slot_id, channel_id, place)
    cross join lateral (select * from reading_hourly h
        where h.unit_id = k.unit_id and h.slot_id = k.slot_id and h.channel_id = k.channel_id
        order by hour desc limit 1) h"""
LATEST_COLUMNS = ("hour", "n", "low", "high", "mean", "first", "last", "last_ts", "rise")

UPSERT = f"""insert into reading_hourly ({", ".join(COLUMNS)})
    select * from unnest({", ".join(["%s"] * len(COLUMNS))})
    on conflict (unit_id, slot_id, channel_id, hour) do update
    set n = excluded.n, low = excluded.low, high = excluded.high, mean = excluded.mean, first = excluded.first,
        last = excluded.last, last_ts = excluded.last_ts, rise = excluded.rise"""

# The touched hours, and for counters the next hour that has readings, since its first step begins in this one.
AFFECTED = """with touched as (
        select * from unnest(%s, %s, %s, %s) k(unit_id, slot_id, channel_id, hour)),
    affected as (
        select * from touched
        union
        select t.unit_id, t.slot_id, t.channel_id, following.hour from touched t
        join channel c using (channel_id)
        cross join lateral (select min(h.hour) as hour from reading_hourly h
            where h.unit_id = t.unit_id and h.slot_id = t.slot_id and h.channel_id = t.channel_id
                and h.hour > t.hour) following
        where c.kind = 'counter' and following.hour is not null)"""

# The step into an hour is known by what stands beside it, so it can be taken out and put in again without readings:
# those of the following hour may be compressed, or gone.
STEP = f"""{AFFECTED}
    update reading_hourly h set rise = h.rise {{}} greatest(h.first - p.last, 0)
    from affected a join channel c using (channel_id)
    cross join lateral (select last from reading_hourly p
        where p.unit_id = a.unit_id and p.slot_id = a.slot_id and p.channel_id = a.channel_id and p.hour < a.hour
        order by p.hour desc limit 1) p
    where c.kind = 'counter' and h.unit_id = a.unit_id and h.slot_id = a.slot_id and h.channel_id = a.channel_id
        and h.hour = a.hour"""
STEP_OUT, STEP_IN = STEP.format("-"), STEP.format("+")

# An hour that has counted as many readings as the store still holds of it stays as it is: the others were let go.
RECOMPUTE = f"""insert into reading_hourly
        (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise)
    select c.tenant_id, t.unit_id, t.slot_id, t.channel_id, t.hour, r.n, r.low, r.high, r.mean, r.first, r.last,
        r.last_ts, case when c.kind = 'counter' then r.rise else 0 end
    from unnest(%s, %s, %s, %s) t(unit_id, slot_id, channel_id, hour) join channel c using (channel_id)
    cross join lateral (
        select count(*) as n, min(value) as low, max(value) as high, avg(value) as mean,
            (array_agg(value order by ts, session, seq))[1] as first,
            (array_agg(value order by ts desc, session desc, seq desc))[1] as last,
            max(ts) as last_ts, coalesce(sum(greatest(value - before, 0)), 0) as rise
        from (select ts, session, seq, value, lag(value) over (order by ts, session, seq) as before from reading
            where unit_id = t.unit_id and slot_id = t.slot_id and channel_id = t.channel_id
                and ts >= t.hour and ts < t.hour + interval '1 hour' and {COUNTS}) of_hour) r
    where r.n > 0
    on conflict (unit_id, slot_id, channel_id, hour) do update
    set n = excluded.n, low = excluded.low, high = excluded.high, mean = excluded.mean, first = excluded.first,
        last = excluded.last, last_ts = excluded.last_ts, rise = excluded.rise
    where excluded.n > reading_hourly.n"""


def roll_up(conn: psycopg.Connection, ordered: Readings, *, all_new: bool) -> None:
    """Bring the rollups up to date with readings, in order, that were just appended.

    `all_new` says that none of the readings had been there before.
    """
    rows = chosen(ordered, ordered["flags"] & (Flag.BACK | Flag.NO_VALUE) == 0)
    if not rows.size:
        return
    begin = starts(rows["key"])
    newest = _latest(conn, np.take(rows, begin))
    newer = (newest["n"] == 0) | (rows["ts"][begin] > newest["last_ts"]) if all_new else np.zeros(len(begin), bool)
    of_key = np.cumsum(np.isin(np.arange(len(rows)), begin)) - 1
    if newer.any():
        _upsert(conn, extended(chosen(newest, newer), chosen(rows, newer[of_key])))
    if not newer.all():
        recompute(conn, chosen(rows, ~newer[of_key]))


def extended(newest: Hours, rows: Readings) -> Hours:
    """Return the hours that change when readings, in order and all newer than their key's newest hour, come after it.

    `newest` holds one hour for each key, in the order of the readings' keys; its `n` is 0 where there is none.
    """
    hour, value = rows["ts"] - rows["ts"] % HOUR, rows["value"]
    of_key = starts(rows["key"])
    begin = starts(rows["key"], hour)
    end = np.append(begin[1:], len(rows)) - 1
    known = newest["n"] > 0
    before = np.roll(value, 1)
    before[of_key] = np.where(known, newest["last"], value[of_key])
    steps = np.where(rows["counter"], np.maximum(value - before, 0.0), 0.0)
    n = np.diff(np.append(begin, len(rows)))
    first = value[begin]
    hours = np.empty(len(begin), RECORD)
    for name in ("tenant_id", *KEY):
        hours[name] = rows[name][begin]
    hours["hour"], hours["n"], hours["first"] = hour[begin], n, first
    hours["low"], hours["high"] = np.minimum.reduceat(value, begin), np.maximum.reduceat(value, begin)
    hours["mean"] = first + np.add.reduceat(value - np.repeat(first, n), begin) / n
    hours["last"], hours["last_ts"] = value[end], rows["ts"][end]
    hours["rise"] = np.add.reduceat(steps, begin)
    _go_on(hours, np.searchsorted(begin, of_key), newest)
    return hours


def _go_on(hours: Hours, places: NDArray[np.intp], newest: Hours) -> None:
    """Let the first hour of each key, at these places, take in what stands already of the same hour."""
    same = (newest["n"] > 0) & (newest["hour"] == hours["hour"][places])
    places, before = places[same], newest[same]
    here = hours[places]
    n = before["n"] + here["n"]
    here["mean"] = before["mean"] + (here["mean"] - before["mean"]) * here["n"] / n
    here["low"], here["high"] = np.minimum(before["low"], here["low"]), np.maximum(before["high"], here["high"])
    here["n"], here["first"], here["rise"] = n, before["first"], before["rise"] + here["rise"]
    hours[places] = here


def recompute(conn: psycopg.Connection, rows: Readings) -> None:
    """Recompute the hours of these readings from the store, and what follows from them."""
    touched = np.unique(np.column_stack([*(rows[name] for name in KEY), rows["ts"] - rows["ts"] % HOUR]), axis=0).T
    columns = [kind(values) for kind, values in zip((Int8s, Int4s, Int4s, Times), touched, strict=True)]
    for statement in (STEP_OUT, RECOMPUTE, STEP_IN):
        conn.execute(statement, columns)


def _latest(conn: psycopg.Connection, keys: Readings) -> Hours:
    """Return the newest hour of each key, in their order; `n` is 0 where there is none."""
    found = np.zeros(len(keys), RECORD)
    rows = conn.execute(LATEST, [COLUMNS[name](keys[name]) for name in KEY], binary=True).fetchall()
    if rows:
        places, *columns = zip(*rows, strict=True)
        at = np.array(places) - 1
        for name, column in zip(LATEST_COLUMNS, columns, strict=True):
            found[name][at] = column
    return found


def _upsert(conn: psycopg.Connection, hours: Hours) -> None:
    conn.execute(UPSERT, [kind(hours[name]) for name, kind in COLUMNS.items()])
