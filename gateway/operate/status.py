"""How the fleet stands: figures that an operator reads, from tables that stay small."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.operate import bands, gaps, refused, troubled
from gateway.registry import units

Figures = dict[str, Any]

UNITS = """
select count(*) as units, count(device) as with_radio,
       count(*) filter (where connection = 'online') as online,
       count(*) filter (where device is not null
                        and (last_seen_at is null or last_seen_at < %(now)s - %(silent)s)) as silent,
       max(last_seen_at) as last_seen_at
from unit"""

READINGS = """
select coalesce(sum(n), 0)::bigint as total,
       coalesce(sum(n) filter (where hour > %(now)s - interval '1 day'), 0)::bigint as last_day,
       max(last_ts) as latest
from reading_hourly"""

FORECASTS = """
select count(*) filter (where forecast_id is not null) as slots, count(*) filter (where stage = 'soon') as soon,
       count(*) filter (where stage = 'due') as due, count(*) filter (where stage = 'overdue') as overdue,
       count(*) filter (where stale) as stale, min(updated_at) as oldest,
       (select count(distinct unit_id) from rescore) as waiting, (select min(since) from rescore) as waiting_since
from slot_state"""

OUTBOX = """
select count(*) filter (where sent_at is null and failed_at is null) as waiting,
       min(due_at) filter (where sent_at is null and failed_at is null) as oldest_due,
       count(*) filter (where sent_at is not null) as sent, count(*) filter (where failed_at is not null) as given_up
from outbox"""

OF_UNIT = """
select s.code as slot, s.name, t.stage, round(t.pct_left::numeric, 1)::float as pct_left, t.basis,
       t.eol_q10, t.eol_q50, t.eol_q90, t.order_at, t.stale, lower(c.period) as fitted_at
from slot s left join slot_state t on t.slot_id = s.slot_id and t.unit_id = %(unit)s
left join cycle c on c.cycle_id = t.cycle_id
where s.model_id = %(model)s order by s.slot_id"""

LAST_DAY = """
with arrived as (
    select received_at - ts as age, clock from reading
    where unit_id = %(unit)s and received_at > %(now)s - interval '1 day' and ts > %(now)s - interval '8 days')
select (select count(*) from arrived) as readings,
       count(*) filter (where age > interval '1 hour') as late,
       extract(epoch from percentile_disc(0.5) within group (order by age))::float as age_median_s,
       extract(epoch from max(age))::float as age_max_s
from arrived where clock <> 'n'"""

TWICE = """
select coalesce(sum(redelivered), 0)::bigint as redelivered, coalesce(sum(resent), 0)::bigint as resent,
       count(distinct unit_id) as units
from duplicate_hourly where hour > %(now)s - interval '1 day'"""

LATEST = """
select distinct on (h.slot_id, c.name) c.name as channel, s.code as slot, h.last as value, c.unit, h.last_ts as at
from reading_hourly h join channel c using (channel_id) left join slot s on s.slot_id = h.slot_id
where h.unit_id = %(unit)s order by h.slot_id, c.name, h.hour desc"""


def fleet(conn: psycopg.Connection, now: datetime) -> Figures:
    """Return the fleet's figures: units, readings, gaps, quarantine, forecasts, prompts, orders, outbox, jobs."""
    kept = refused.by_reason(conn)
    return {
        "at": now,
        "units": _one(conn, UNITS, now=now, silent=bands.SILENT_AFTER),
        "heard_within": _counts(conn, bands.BY_HEARD, now=now),
        "lag_within": _counts(conn, bands.BY_LAG, now=now),
        "clocks": _counts(conn, bands.BY_CLOCK, now=now),
        "readings": _one(conn, READINGS, now=now),
        "gaps": gaps.open_ones(conn),
        "twice_last_day": _one(conn, TWICE, now=now),
        "quarantine": {row["reason"]: row["messages"] for row in kept},
        "quarantine_oldest": min((row["oldest"] for row in kept), default=None),
        "wanting": troubled.wanting(conn, now),
        "forecasts": _one(conn, FORECASTS),
        "prompts": _counts(conn, "select state, count(*) from prompt group by state order by state"),
        "orders": _counts(conn, "select state, count(*) from purchase group by state order by state"),
        "outbox": _one(conn, OUTBOX),
        "jobs": _counts(conn, "select status::text, count(*) from procrastinate_jobs group by status order by status"),
    }


def unit(conn: psycopg.Connection, name: str, now: datetime) -> Figures:
    """Return one unit's figures; `name` is its device name or `GTIN/serial`. Raises NotFound.

    `last_day` counts the readings that came within a day and are not older than a week; their ages are seconds from
    a reading's own moment to its arrival, where the unit could tell.
    """
    found = units.named(conn, name)
    standing = troubled.of_unit(conn, found.unit_id, now)
    return {
        "at": now,
        "unit": {
            "gtin": found.gtin,
            "serial": found.serial,
            "device": found.device,
            "model": found.model_name,
            "firmware": found.firmware,
            "connection": found.connection,
            "last_seen_at": found.last_seen_at,
            "latest_at": standing.latest_at if standing else None,
            "lag_s": standing.lag.total_seconds() if standing and standing.lag is not None else None,
            "clock": bands.CLOCKS[standing.clock] if standing else None,
            "clock_off_s": standing.clock_off_s if standing else None,
        },
        "troubles": [trouble._asdict() for trouble in troubled.troubles(standing, now)] if standing else [],
        "last_day": _one(conn, LAST_DAY, unit=found.unit_id, now=now)
        | {"redelivered": standing.redelivered if standing else 0, "resent": standing.resent if standing else 0},
        "quarantine": {row["reason"]: row["messages"] for row in refused.by_reason(conn, found.device)}
        if found.device
        else {},
        "slots": _many(conn, OF_UNIT, unit=found.unit_id, model=found.model_id),
        "readings": _many(conn, LATEST, unit=found.unit_id),
        "gaps": gaps.open_ones(conn, found.unit_id),
    }


def _one(conn: psycopg.Connection, query: str, **arguments: object) -> Figures:
    return _many(conn, query, **arguments)[0]


def _many(conn: psycopg.Connection, query: str, **arguments: object) -> list[Figures]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, arguments).fetchall()


def _counts(conn: psycopg.Connection, query: str, **arguments: object) -> dict[str, int]:
    return {name: count for name, count in conn.execute(query.encode(), arguments)}  # noqa: C416  # rows are not pairs
