"""The hourly rollups that features are made of: equal, always, to a recomputation from the readings.

Most readings are newer than all before them, and only extend what stands (`extended`); a key with any other reading is
recomputed from the store for the hours touched (`recompute`). `rise` is the sum of a counter's increases, the step from
the hour before included. Readings without a value, and counters that went back, count for nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from gateway.ingest.arrays import MICROS, TIMES, literal
from gateway.ingest.clocks import Flag
from gateway.ingest.store import Row

HOUR = 3_600_000_000  # microseconds
COUNTS = f"flags & {Flag.BACK | Flag.NO_VALUE} = 0"

Key = tuple[int, int, int]  # unit, slot, channel


class Hour(NamedTuple):
    """One row of reading_hourly; times are microseconds since 2000, `counter` says whether `rise` means anything."""

    tenant_id: int
    unit_id: int
    slot_id: int
    channel_id: int
    hour: int
    n: int
    low: float
    high: float
    mean: float
    first: float
    last: float
    last_ts: int
    rise: float


LATEST = f"""select k.unit_id, k.slot_id, k.channel_id, h.tenant_id, {MICROS.format("h.hour")}, h.n, h.low, h.high,
        h.mean, h.first, h.last, {MICROS.format("h.last_ts")}, h.rise
    from unnest(%s::bigint[], %s::int[], %s::int[]) k(unit_id, slot_id, channel_id)
    cross join lateral (select * from reading_hourly h
        where h.unit_id = k.unit_id and h.slot_id = k.slot_id and h.channel_id = k.channel_id
        order by hour desc limit 1) h"""

UPSERT = f"""insert into reading_hourly
        (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise)
    select tenant_id, unit_id, slot_id, channel_id, {TIMES.format("hour")}, n, low, high, mean, first, last,
        {TIMES.format("last_ts")}, rise
    from unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::bigint[], %s::int[], %s::float8[], %s::float8[],
            %s::float8[], %s::float8[], %s::float8[], %s::bigint[], %s::float8[])
        t(tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise)
    on conflict (unit_id, slot_id, channel_id, hour) do update
    set n = excluded.n, low = excluded.low, high = excluded.high, mean = excluded.mean, first = excluded.first,
        last = excluded.last, last_ts = excluded.last_ts, rise = excluded.rise"""

# The touched hours, and for counters the next hour that has readings, since its first step begins in this one.
AFFECTED = f"""with touched as (
        select unit_id, slot_id, channel_id, {TIMES.format("hour")} as hour
        from unnest(%s::bigint[], %s::int[], %s::int[], %s::bigint[]) k(unit_id, slot_id, channel_id, hour)),
    affected as (
        select * from touched
        union
        select t.unit_id, t.slot_id, t.channel_id, following.hour from touched t
        join channel c using (channel_id)
        cross join lateral (select min(h.hour) as hour from reading_hourly h
            where h.unit_id = t.unit_id and h.slot_id = t.slot_id and h.channel_id = t.channel_id
                and h.hour > t.hour) following
        where c.kind = 'counter' and following.hour is not null)"""

RECOMPUTE = f"""{AFFECTED}
    insert into reading_hourly
        (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise)
    select c.tenant_id, a.unit_id, a.slot_id, a.channel_id, a.hour, r.n, r.low, r.high, r.mean, r.first, r.last,
        r.last_ts, case when c.kind = 'counter' then r.rise else 0 end
    from affected a join channel c using (channel_id)
    cross join lateral (
        select count(*) as n, min(value) as low, max(value) as high, avg(value) as mean,
            (array_agg(value order by ts, session, seq))[1] as first,
            (array_agg(value order by ts desc, session desc, seq desc))[1] as last,
            max(ts) as last_ts, coalesce(sum(greatest(value - before, 0)), 0) as rise
        from (select ts, session, seq, value, lag(value) over (order by ts, session, seq) as before from reading
            where unit_id = a.unit_id and slot_id = a.slot_id and channel_id = a.channel_id
                and ts >= a.hour and ts < a.hour + interval '1 hour' and {COUNTS}) of_hour) r
    where r.n > 0
    on conflict (unit_id, slot_id, channel_id, hour) do update
    set n = excluded.n, low = excluded.low, high = excluded.high, mean = excluded.mean, first = excluded.first,
        last = excluded.last, last_ts = excluded.last_ts, rise = excluded.rise"""

# A second statement, so that it sees every hour's new first and last.
STEP_IN = f"""{AFFECTED}
    update reading_hourly h set rise = h.rise + greatest(h.first - p.last, 0)
    from affected a join channel c using (channel_id)
    cross join lateral (select last from reading_hourly p
        where p.unit_id = a.unit_id and p.slot_id = a.slot_id and p.channel_id = a.channel_id and p.hour < a.hour
        order by p.hour desc limit 1) p
    where c.kind = 'counter' and h.unit_id = a.unit_id and h.slot_id = a.slot_id and h.channel_id = a.channel_id
        and h.hour = a.hour"""


def roll_up(conn: psycopg.Connection, rows: Iterable[Row], counters: set[int], *, all_new: bool) -> None:
    """Bring the rollups up to date with rows that were just appended.

    `counters` are the channel ids that only go up; `all_new` says that none of the rows had been there before.
    """
    of_key: dict[Key, list[Row]] = {}
    for row in rows:
        if not row.flags & (Flag.BACK | Flag.NO_VALUE):
            of_key.setdefault((row.unit_id, row.slot_id, row.channel_id), []).append(row)
    if not of_key:
        return
    keys = of_key.keys()
    latest = {
        (found[0], found[1], found[2]): Hour(found[3], found[0], found[1], found[2], *found[4:])
        for found in conn.execute(LATEST, tuple(literal(key[place] for key in keys) for place in range(3)))
    }
    hours: list[Hour] = []
    again: list[tuple[int, int, int, int]] = []
    for key, news in of_key.items():
        news.sort(key=_order)
        newest = latest.get(key)
        if all_new and (newest is None or news[0].ts > newest.last_ts):
            hours += extended(newest, news, counter=key[2] in counters)
        else:
            again += {(*key, row.ts - row.ts % HOUR) for row in news}
    if hours:
        conn.execute(UPSERT, tuple(map(literal, zip(*hours, strict=True))))
    if again:
        recompute(conn, again)


def extended(newest: Hour | None, news: list[Row], *, counter: bool) -> list[Hour]:
    """Return the hours that change when readings, in order and all newer than the newest hour's last, come after it."""
    hours: list[Hour] = []
    at = newest
    for row in news:
        value, hour = row.value, row.ts - row.ts % HOUR
        step = max(value - at.last, 0.0) if at and counter else 0.0
        if at and at.hour == hour:
            n = at.n + 1
            at = at._replace(
                n=n,
                low=min(at.low, value),
                high=max(at.high, value),
                mean=at.mean + (value - at.mean) / n,
                last=value,
                last_ts=row.ts,
                rise=at.rise + step,
            )
            if hours:
                hours[-1] = at
            else:
                hours.append(at)
        else:
            whose = (row.tenant_id, row.unit_id, row.slot_id, row.channel_id)
            at = Hour(*whose, hour, 1, value, value, value, value, value, row.ts, step)
            hours.append(at)
    return hours


def recompute(conn: psycopg.Connection, hours: list[tuple[int, int, int, int]]) -> None:
    """Recompute these (unit, slot, channel, hour) from the store, and what follows from them."""
    columns = tuple(literal(hour[place] for hour in hours) for place in range(4))
    conn.execute(RECOMPUTE, columns)
    conn.execute(STEP_IN, columns)


def _order(row: Row) -> tuple[int, int, int]:
    return row.ts, row.session, row.seq
