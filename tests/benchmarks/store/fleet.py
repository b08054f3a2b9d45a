"""The product's own questions on its own tables, which no layout of readings changes: features and the fleet's page."""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import psycopg

from gateway.registry import fleet, models
from gateway.replenish import days as days_of_use
from gateway.replenish import exposure, features
from tests.benchmarks.store.layouts import CHANNELS, HOURLY, NARROW
from tests.benchmarks.store.told import BEGAN
from tests.faults import fleet as declared

AT_ONCE = 100  # slots that the worker scores in one go

UNITS = """insert into unit (tenant_id, model_id, serial, device, hw_rev, region, created_at, last_seen_at)
    select %(tenant)s, %(model)s, number, 'bench.' || number, '', 'DE', %(began)s, %(end)s
    from generate_series(1, %(units)s::int) number"""
CYCLES = """insert into cycle (tenant_id, model_id, unit_id, slot_id, period, source)
    select tenant_id, model_id, unit_id, %(slot)s, tstzrange(%(began)s, null), 'factory' from unit"""
STATES = """insert into slot_state (tenant_id, unit_id, slot_id, cycle_id, stage, pct_left, eol_q10, eol_q50, eol_q90,
      order_at, basis, updated_at)
    select tenant_id, unit_id, slot_id, cycle_id, 'ok', 50, at, at + interval '9 days', at + interval '30 days',
      at, 'measured', %(end)s
    from cycle cross join lateral (select %(end)s::timestamptz + cycle_id %% 400 * interval '1 day' as at) due"""
ROLLUPS = f"""insert into reading_hourly (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first,
      last, last_ts, rise)
    select c.tenant_id, h.unit_id, 0, c.channel_id, hour, n, h.low, h.high, mean, first, last, last_ts,
      case when c.kind = 'counter' then last - coalesce(lag(last) over w, first) else 0 end
    from ({HOURLY.format(NARROW.readings)}) h join channel c on c.name = (%(names)s::text[])[h.channel_id]
    window w as (partition by h.unit_id, h.channel_id order by hour)"""


def settle(conn: psycopg.Connection, units: int, days: int, slots: int) -> models.Slot:
    """Enrol `slots` units, the first `units` of which have the rollups of what they told; return their slot."""
    end = BEGAN + timedelta(days=days)
    tenant = declared.declare(conn)
    model = models.by_gtin(conn, declared.GTIN).model_id
    slot = models.slots(conn, model)[0]
    given = {"tenant": tenant, "model": model, "slot": slot.slot_id, "units": max(slots, units), "began": BEGAN}
    for query in (UNITS, CYCLES, STATES):
        conn.execute(query, {**given, "end": end})
    span = {"units": list(range(1, units + 1)), "channels": [1, 2, 3, 4], "since": BEGAN, "until": end}
    conn.execute(ROLLUPS, {**span, "names": list(CHANNELS)})
    conn.execute("analyze reading_hourly, cycle, unit, slot_state")
    return slot


def features_s(conn: psycopg.Connection, slot: models.Slot, units: int, days: int, repeats: int) -> dict[str, float]:
    """Return median seconds for each slot of features from rollups: what the worker asks, and summed from the start."""
    end = BEGAN + timedelta(days=days)
    found = conn.execute("select unit_id from unit order by unit_id limit %s", (units,)).fetchall()
    ids = [row[0] for row in found]
    bunches = [ids[begin : begin + AT_ONCE] for begin in range(0, len(ids), AT_ONCE)]
    seen = features.read(conn, slot, ids, end)
    _keep(conn, slot, seen)
    return {
        "kept": _median(lambda bunch: features.read(conn, slot, bunch, end), bunches, repeats),
        "whole": _median(lambda bunch: features.read(conn, slot, bunch, end, exact=True), bunches, repeats),
    }


def _keep(conn: psycopg.Connection, slot: models.Slot, seen: features.Seen) -> None:
    """Keep the sums that the worker keeps."""
    exposure.keep(conn, seen.asked, seen.unkept, seen.at)
    days_of_use.keep(conn, slot, seen.unkept_days, seen.at)


def page_s(conn: psycopg.Connection, days: int, repeats: int) -> float:
    """Return median seconds of one page of the fleet's table, fifty slots from the middle."""
    end = BEGAN + timedelta(days=days)
    first = fleet.page(conn, fleet.Filter(), now=end)
    took = []
    for _ in range(max(repeats, 3)):
        began = time.monotonic()
        fleet.page(conn, fleet.Filter(), after=first.after, now=end)
        took.append(time.monotonic() - began)
    return statistics.median(took)


def _median(work: Callable[[list[int]], object], bunches: list[list[int]], repeats: int) -> float:
    took = []
    for _ in range(repeats):
        for bunch in bunches:
            began = time.monotonic()
            work(bunch)
            took.append((time.monotonic() - began) / len(bunch))
    return statistics.median(took)
