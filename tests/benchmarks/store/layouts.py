"""Three ways to keep the same readings: a row for each reading, for each moment of a unit, or for each message."""

from typing import NamedTuple

CHANNELS = ("runtime", "pm25", "pressure_drop", "fan_rpm")  # channel 1 is a counter; the others are gauges
LONGEST = "interval '1 day'"  # that the samples of one message lie apart


class Layout(NamedTuple):
    """A table of its own: `columns` with their key, and how its rows compress where the store can.

    `readings` gives back (unit_id, channel_id, ts, session, seq, value, flags) of some units and channels between two
    times, `series` (ts, value) of channel 1 of one unit, `latest` (channel_id, value) as one unit said it last.
    """

    name: str
    columns: str
    key: str
    segment_by: str
    readings: str
    series: str
    latest: str


BETWEEN = "unit_id = any(%(units)s) and ts >= %(since)s and ts < %(until)s"

NARROW = Layout(
    "narrow",
    """tenant_id int not null, unit_id bigint not null, slot_id int not null, channel_id int not null,
    ts timestamptz not null, value double precision not null, session bigint not null, seq bigint not null,
    device_ts timestamptz, received_at timestamptz not null, clock "char" not null, flags smallint not null""",
    "unit_id, channel_id, slot_id, ts, session, seq",
    "unit_id, channel_id, slot_id",
    f"""select unit_id, channel_id, ts, session, seq, value, flags::int as flags from narrow
        where {BETWEEN} and channel_id = any(%(channels)s)""",
    "select ts, value from narrow where unit_id = %(unit)s and channel_id = 1 and slot_id = 0 and ts >= %(since)s",
    """select c.channel_id, l.value from generate_series(1, 4) c(channel_id) cross join lateral (
        select value from narrow where unit_id = %(unit)s and channel_id = c.channel_id and slot_id = 0
        order by ts desc limit 1) l""",
)

# A channel more is a column more; flags have a byte for each channel.
WIDE = Layout(
    "wide",
    """tenant_id int not null, unit_id bigint not null, ts timestamptz not null, session bigint not null,
    seq bigint not null, device_ts timestamptz, received_at timestamptz not null, clock "char" not null,
    flags bigint not null, """
    + ", ".join(f"{name} double precision" for name in CHANNELS),
    "unit_id, ts, session, seq",
    "unit_id",
    f"""select unit_id, channel_id, ts, session, seq, value, (flags >> (8 * channel_id - 8))::int & 255 as flags
        from wide cross join lateral (values {", ".join(f"({i}, {name})" for i, name in enumerate(CHANNELS, 1))})
          said(channel_id, value)
        where {BETWEEN} and channel_id = any(%(channels)s) and value is not null""",
    "select ts, runtime from wide where unit_id = %(unit)s and ts >= %(since)s and runtime is not null",
    """select channel_id, value from (select * from wide where unit_id = %(unit)s order by ts desc limit 1) l
        cross join lateral (values (1, runtime), (2, pm25), (3, pressure_drop), (4, fan_rpm))
          said(channel_id, value)""",
)

# Values and flags lie channel after channel. The key finds a message that comes again as it was; one that is cut
# otherwise it does not find, so the sequence numbers known before have to.
_PLACES = "cross join lateral unnest(a.channel_ids) with ordinality p(channel_id, place)"
_OF_CHANNEL = "(place - 1) * cardinality(a.at) + 1 : place * cardinality(a.at)"
_SAMPLES = f"""cross join lateral unnest(a.at, a.said[{_OF_CHANNEL}], a.flags[{_OF_CHANNEL}])
        with ordinality s(at, value, flag, i)"""
ARRAYS = Layout(
    "arrays",
    """tenant_id int not null, unit_id bigint not null, ts timestamptz not null, session bigint not null,
    seq bigint not null, received_at timestamptz not null, clock "char" not null, at timestamptz[] not null,
    device_at timestamptz[], slot_ids int[] not null, channel_ids int[] not null, said double precision[] not null,
    flags smallint[] not null""",
    "unit_id, ts, session, seq",
    "unit_id",
    f"""select unit_id, channel_id, s.at as ts, session, seq + i - 1 as seq, value, flag::int as flags
        from arrays a {_PLACES} {_SAMPLES}
        where unit_id = any(%(units)s) and channel_id = any(%(channels)s) and ts >= %(since)s - {LONGEST}
          and ts < %(until)s and s.at >= %(since)s and s.at < %(until)s""",
    f"""select s.at, s.value from (select *, array_position(channel_ids, 1) as place from arrays) a {_SAMPLES}
        where unit_id = %(unit)s and ts >= %(since)s - {LONGEST} and s.at >= %(since)s""",
    f"""select channel_id, said[place * cardinality(at)] from (
          select * from arrays where unit_id = %(unit)s order by ts desc limit 1) a {_PLACES}""",
)

LAYOUTS = (NARROW, WIDE, ARRAYS)

# Hours as reading_hourly has them, the step from the hour before aside; from the readings of any layout.
HOURLY = """select unit_id, channel_id, date_bin('1 hour', ts, timestamptz '2000-01-01 00:00+00') as hour,
    count(*) as n, min(value) as low, max(value) as high, avg(value) as mean,
    (array_agg(value order by ts, session, seq))[1] as first,
    (array_agg(value order by ts desc, session desc, seq desc))[1] as last, max(ts) as last_ts,
    max(value) - min(value) as spread
  from ({}) readings where flags & 9 = 0 group by unit_id, channel_id, hour"""
