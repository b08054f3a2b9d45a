"""What a fleet tells, made once and laid out in each of the three ways, so that only the storing is measured.

Batch 0 to 4 * days - 1 are quarters of days in the order of arrival. Of each twentieth unit two stretches of three days
come late: LATE before anything is compressed, LATER after it.
"""

from datetime import UTC, datetime

import psycopg

from tests.benchmarks.store.layouts import CHANNELS, LAYOUTS

BEGAN = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday, as chunks of a week begin
EVERY_MIN, SAMPLES = 10, 6  # minutes between samples; samples of a message
LATE, LATER = -1, -2
NONE_IN = 97  # one value in so many is "no value"

WIDE = """insert into told_wide
select case when unit %% 20 = 1 and day between 3 and 5 then {late}
    when unit %% 20 = 1 and day between 7 and 9 then {later}
    else i / (360 / {every}) end, i / {samples}, 1, unit, at, 1, i + 1, at, at + interval '1 hour', 's',
  case when (i + unit) %% {none_in} = 0 then 8 << 8 else 0 end,
  round((i * {every} / 60.0 * 0.6 + unit)::numeric, 3), case when (i + unit) %% {none_in} = 0 then 'NaN'
    else round((12 + 9 * sin(i / 97.0 + unit) + abs(hashint4(i * 31 + unit)) %% 100 / 40.0)::numeric, 1) end,
  round((40 + i / 200.0 + abs(hashint4(i * 17 + unit)) %% 40 / 10.0)::numeric, 1),
  400 + 100 * (abs(hashint4((i / 36) * 13 + unit)) %% 5)
from generate_series(%(first)s::int, %(last)s) i cross join generate_series(1, %(units)s) unit
cross join lateral (select %(began)s::timestamptz + i * interval '{every} minutes' as at, i * {every} / 1440 as day) t
order by i / {samples}, unit, i"""
NARROW = f"""insert into told_narrow
select batch, message, tenant_id, unit_id, 0, channel_id, ts, value, session, seq, device_ts, received_at, clock,
  (flags >> (8 * channel_id - 8))::int & 255
from told_wide cross join lateral (values {", ".join(f"({i}, {name})" for i, name in enumerate(CHANNELS, 1))})
  said(channel_id, value)
where value is not null order by message, unit_id, seq, channel_id"""
ARRAYS = """insert into told_arrays
select batch, message, tenant_id, unit_id, min(ts), session, min(seq), max(received_at), clock,
  array_agg(ts order by seq), array_agg(device_ts order by seq), '{0,0,0,0}', '{1,2,3,4}',
  array_agg(runtime order by seq) || array_agg(pm25 order by seq) || array_agg(pressure_drop order by seq)
    || array_agg(fan_rpm order by seq),
  array_agg((flags & 255)::smallint order by seq) || array_agg((flags >> 8 & 255)::smallint order by seq)
    || array_agg((flags >> 16 & 255)::smallint order by seq) || array_agg((flags >> 24 & 255)::smallint order by seq)
from told_wide group by batch, message, tenant_id, unit_id, session, clock order by message, unit_id"""


def tell(conn: psycopg.Connection, units: int, days: int) -> int:
    """Make what so many units tell in so many days, in tables told_*; return how many readings that is."""
    for layout in LAYOUTS:
        conn.execute(f"create unlogged table told_{layout.name} (batch int, message int, {layout.columns})")
    query = WIDE.format(late=LATE, later=LATER, every=EVERY_MIN, samples=SAMPLES, none_in=NONE_IN)
    per_day = 1440 // EVERY_MIN
    conn.execute(query, {"first": 0, "last": days * per_day - 1, "units": units, "began": BEGAN})
    conn.execute(NARROW)
    conn.execute(ARRAYS)
    for layout in LAYOUTS:
        conn.execute(f"create index on told_{layout.name} (batch)")
        conn.execute(f"analyze told_{layout.name}")
    row = conn.execute("select count(*) from told_narrow").fetchone()
    return int(row[0]) if row else 0


def count(conn: psycopg.Connection, first: int, until: int) -> int:
    """Return how many readings the batches from `first` on and before `until` hold."""
    row = conn.execute("select count(*) from told_narrow where batch >= %s and batch < %s", (first, until)).fetchone()
    return int(row[0]) if row else 0
