"""The exposure clock in SQL: running hours, and those weighted by load, hour by hour since a part was fitted.

Summing months of hours for each new reading would be slow, so the sum up to RECENT before a unit's last word is kept
in wear_clock and made anew every KEPT_FOR: readings that come later than that are counted when the sum is made anew.
"""

from datetime import datetime, timedelta
from typing import Any

import psycopg

RECENT = timedelta(days=28)  # what the pace of use is taken from, whatever part was in place
KEPT_FOR = timedelta(days=1)
WORTH_KEEPING = timedelta(days=14)  # beyond RECENT: below it, there is little to sum

# Asked with: slot, units, at, kept_since, recent, runtime, load, load_ref.
HOURS = """
with c as (
  select c.cycle_id, c.tenant_id, c.unit_id, lower(c.period) as began, c.start_runtime_h, c.source,
    u.last_seen_at, u.device, w.through, w.first_hour as kept_first, w.head as kept_head, w.last_ts as kept_ts,
    w.run as kept_run, w.loaded as kept_loaded, w.run_loaded as kept_run_loaded
  from cycle c join unit u on u.unit_id = c.unit_id
  left join wear_clock w on w.unit_id = c.unit_id and w.slot_id = c.slot_id and w.cycle_id = c.cycle_id
    and w.made_at <= %(at)s and w.made_at > %(kept_since)s
  where c.slot_id = %(slot)s and upper_inf(c.period) and c.unit_id = any(%(units)s)),
hours as (  -- one pass and no join of one's own rows with themselves: without statistics that becomes a nested loop
  select c.unit_id, c.tenant_id, c.cycle_id, c.kept_first, h.hour,
    max(h.rise) filter (where h.channel_id = %(runtime)s) as rise,
    max(h.first) filter (where h.channel_id = %(runtime)s) as first,
    max(h.last_ts) filter (where h.channel_id = %(runtime)s) as last_ts,
    max(case when h.channel_id <> %(runtime)s then null
             when c.source = 'factory' or h.hour >= c.began then h.rise
             when h.hour <= c.began - interval '1 hour' then 0
             when c.start_runtime_h is not null then least(h.rise, greatest(h.last - c.start_runtime_h, 0))
             else h.rise * (1 - extract(epoch from c.began - h.hour) / 3600) end) as run,
    avg(h.mean) filter (where h.channel_id = %(load)s) / %(load_ref)s as ratio
  from c join reading_hourly h on h.unit_id = c.unit_id and h.channel_id in (%(runtime)s, %(load)s)
    and (h.slot_id = 0 or (h.slot_id = %(slot)s and h.channel_id = %(load)s))
  where h.hour <= %(at)s
    and (c.source = 'factory' or h.hour > least(c.began, %(at)s - %(recent)s) - interval '1 hour')
    and (c.through is null or h.hour > c.through)
  group by c.unit_id, c.tenant_id, c.cycle_id, c.kept_first, h.hour
  having count(*) filter (where h.channel_id = %(runtime)s) > 0),
"""
KEEP = (
    HOURS.rstrip().removesuffix(",")
    + """
insert into wear_clock (tenant_id, unit_id, slot_id, cycle_id, made_at, through, first_hour, last_ts, head, run, loaded,
  run_loaded)
select tenant_id, unit_id, %(slot)s, cycle_id, %(at)s, max(hour), min(hour), max(last_ts),
  (array_agg(first order by hour))[1], sum(run), sum(run * ratio), sum(run) filter (where ratio is not null)
from (select *, max(last_ts) over (partition by unit_id) as latest from hours) known
where hour < latest - %(recent)s - interval '2 days' group by tenant_id, unit_id, cycle_id
on conflict (unit_id, slot_id) do update set cycle_id = excluded.cycle_id, made_at = excluded.made_at,
  through = excluded.through, first_hour = excluded.first_hour, last_ts = excluded.last_ts, head = excluded.head,
  run = excluded.run, loaded = excluded.loaded, run_loaded = excluded.run_loaded"""
)


def keep(conn: psycopg.Connection, asked: dict[str, Any], unit_ids: list[int], at: datetime) -> None:
    """Keep the sums of these units up to RECENT before their last word; `asked` is what features.py asked with."""
    if unit_ids:
        conn.execute(KEEP, {**asked, "units": unit_ids, "kept_since": at})
