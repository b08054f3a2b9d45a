"""A recount of the hourly rollups from the readings that are still there: what differs, and putting it right.

Hours whose readings may be gone are left out of both, and left as they are: those that table reading_kept tells of, and
those before a channel's first reading, as after a restore in part. The first hour after them takes its step from the
last of them.
"""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from gateway.ingest import presence
from gateway.ingest.hourly import COUNTS
from gateway.registry import units

# Means and sums are added up in another order here than by ingest.
DIFFERENT = f"""with kept as (select since from reading_kept),
told as (
  select c.tenant_id, r.unit_id, r.slot_id, r.channel_id, c.kind, r.ts, r.session, r.seq, r.value,
    date_bin('1 hour', r.ts, timestamptz '2000-01-01 00:00+00') as hour, lag(r.value) over w as before
  from reading r join channel c using (channel_id)
  where r.unit_id = any(%(units)s) and r.ts >= (select since from kept) and {COUNTS}
  window w as (partition by r.unit_id, r.slot_id, r.channel_id order by r.ts, r.session, r.seq)),
counted as (
  select t.tenant_id, t.unit_id, t.slot_id, t.channel_id, t.hour, count(*)::int as n, min(t.value) as low,
    max(t.value) as high, avg(t.value) as mean, (array_agg(t.value order by t.ts, t.session, t.seq))[1] as first,
    (array_agg(t.value order by t.ts desc, t.session desc, t.seq desc))[1] as last, max(t.ts) as last_ts,
    coalesce(sum(greatest(t.value - coalesce(t.before, e.last), 0)) filter (where t.kind = 'counter'), 0) as rise
  from told t left join lateral (
    select p.last from reading_hourly p where t.before is null and p.unit_id = t.unit_id and p.slot_id = t.slot_id
      and p.channel_id = t.channel_id and p.hour < t.hour order by p.hour desc limit 1) e on true
  group by t.tenant_id, t.unit_id, t.slot_id, t.channel_id, t.hour),
begun as (select unit_id, slot_id, channel_id, min(hour) as hour from counted group by 1, 2, 3),
stands as (
  select h.* from reading_hourly h join begun b using (unit_id, slot_id, channel_id)
  where h.unit_id = any(%(units)s) and h.hour >= b.hour),
compared as (
  select unit_id, slot_id, channel_id, hour, c.tenant_id, c.n, c.low, c.high, c.mean, c.first, c.last, c.last_ts,
    c.rise, s.n as stands_n, case when s.n is null then 'missing' when c.n is null then 'without readings'
      else concat_ws(', ', case when s.n <> c.n then 'n' end, case when s.low <> c.low then 'low' end,
        case when s.high <> c.high then 'high' end, case when s.first <> c.first then 'first' end,
        case when s.last <> c.last then 'last' end, case when s.last_ts <> c.last_ts then 'last_ts' end,
        case when abs(s.mean - c.mean) > 1e-9 * greatest(1, abs(c.low), abs(c.high)) then 'mean' end,
        case when abs(s.rise - c.rise) > 1e-9 * greatest(1, abs(c.low), abs(c.high)) then 'rise' end) end as what
  from counted c full join stands s using (unit_id, slot_id, channel_id, hour)),
different as (select * from compared where what <> '')"""
FIELDS = "tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise"

LISTED = f"""{DIFFERENT}
select u.unit_id, coalesce(u.device, u.serial) as unit, s.code as slot, c.name as channel, d.hour, d.what, d.stands_n,
  d.n as counted_n
from different d join unit u using (unit_id) join channel c using (channel_id) left join slot s on s.slot_id = d.slot_id
order by u.unit_id, d.hour, c.name, s.code"""

PUT_RIGHT = f"""{DIFFERENT},
gone as (
  delete from reading_hourly h using different d where d.n is null and h.unit_id = d.unit_id
    and h.slot_id = d.slot_id and h.channel_id = d.channel_id and h.hour = d.hour)
insert into reading_hourly ({FIELDS}) select {FIELDS} from different where n is not null
on conflict (unit_id, slot_id, channel_id, hour) do update set n = excluded.n, low = excluded.low,
  high = excluded.high, mean = excluded.mean, first = excluded.first, last = excluded.last,
  last_ts = excluded.last_ts, rise = excluded.rise"""


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour of one channel that is not what its readings come to: `what` differs, and how many were counted."""

    unit_id: int
    unit: str
    slot: str | None
    channel: str
    hour: datetime
    what: str
    stands_n: int | None
    counted_n: int | None


def differences(conn: psycopg.Connection, unit_ids: list[int]) -> list[Difference]:
    """Return the hours of these units that differ from a recomputation."""
    with conn.cursor(row_factory=class_row(Difference)) as cursor:
        return cursor.execute(LISTED, {"units": unit_ids}).fetchall()


def put_right(conn: psycopg.Connection, unit_ids: list[int], now: datetime) -> list[Difference]:
    """Write what differs anew and return what did; sums made of it are forgotten, and new forecasts asked for.

    Whoever stores readings of the units that differ waits until the caller commits; nobody waits for the comparison.
    """
    changed = sorted({one.unit_id for one in differences(conn, unit_ids)})
    if not changed:
        return []
    presence.lock(conn, changed)
    found = differences(conn, changed)  # some may have been half stored when they were looked at
    if changed := sorted({one.unit_id for one in found}):
        conn.execute(PUT_RIGHT, {"units": changed})
        for table in ("wear_clock", "use_days"):
            conn.execute(f"delete from {table} where unit_id = any(%s)", (changed,))
        for tenant_id, of_tenant in conn.execute(
            "select tenant_id, array_agg(unit_id) from unit where unit_id = any(%s) group by tenant_id", (changed,)
        ).fetchall():
            units.want_score(conn, tenant_id, of_tenant, now)
    return found
