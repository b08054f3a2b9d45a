"""What a reading costs as the fleet and the store grow, and a figure of it."""

import statistics
from collections.abc import Callable, Iterable
from math import log10

import psycopg

from tests.benchmarks.ingest.contestants import Wearwell
from tests.benchmarks.ingest.ground import enrol, ground
from tests.benchmarks.ingest.load import Fleet
from tests.benchmarks.ingest.publisher import Publisher
from tests.benchmarks.wear_figures.draw import STYLE

UNITS = (1_000, 10_000, 100_000)
MILLIONS = (1, 10, 100)
STORED_BY = 1_000  # units that the rows stored before are of
REPEATS = 2
Say = Callable[[str], None]

# Rows of the same units, an hour apart, before anything that is published.
FILL = """insert into reading (tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, device_ts, received_at,
        clock, flags)
    select u.tenant_id, u.unit_id, 0, c.channel_id, at, 0, 0, 1, at, at, 's', 0
    from generate_series(%(from)s::int, %(to)s) number
    cross join lateral (select timestamptz '2024-06-01 00:00+00' + number * interval '1 minute' as at) t
    cross join unit u join channel c on c.tenant_id = u.tenant_id and c.name = 'pm10'"""


def measure(dsn: str | None, millions: float, messages: int, say: Say) -> dict[str, object]:
    """Return microseconds per reading, one to a message, by units and by millions of rows stored before."""
    by_units = {units: _cost(dsn, units, 0, messages, say) for units in UNITS}
    by_rows = {m: _cost(dsn, STORED_BY, int(m * 1_000_000), messages, say) for m in MILLIONS if m <= millions}
    return {"us_by_units": by_units, "us_by_million_rows": by_rows}


def _cost(dsn: str | None, units: int, rows: int, messages: int, say: Say) -> float:
    with ground(dsn) as here:
        say(f"{units:,} units, {rows:,} rows")
        enrol(here.dsn, units)
        _fill(here.dsn, units, rows, say)
        fleet, wearwell = Fleet(units), Wearwell(here)
        wearwell.subscribe()
        costs = []
        for number in range(REPEATS + 1):
            count = max(messages, units)
            with Publisher(here.port) as publisher:
                publisher.publish(fleet.messages(count, 1, 1))
            took = wearwell.drain(count).seconds
            if number:  # the first opens each unit's session
                costs.append(1e6 * took / count)
                say(f"  {costs[-1]:.1f} us a reading")
    return statistics.median(costs)


def _fill(dsn: str, units: int, rows: int, say: Say) -> None:
    with psycopg.connect(dsn, options="-c search_path=wearwell,public", autocommit=True) as conn:
        conn.execute("select reading_partitions('2024-06-01', '2024-12-01')")
        each, step = rows // units, max(1, 1_000_000 // units)
        for first in range(0, each, step):
            conn.execute(FILL, {"from": first, "to": min(first + step, each) - 1})
            if first // step % 10 == 9:
                say(f"  {(first + step) * units:,} rows filled in")
        conn.execute("vacuum analyze")


WIDTH, HEIGHT, LEFT, TOP, SIDE, TALL = 640, 240, 60, 30, 240, 150
TITLE = "What a reading costs over the first of each chart, as units and stored rows grow"


def drawn(found: dict[str, object]) -> str:
    """Return the figure as SVG: two charts beside each other, logarithmic to the right, costs over their first.

    Its paper and colours are those of the wear benchmark's figures, in both themes.
    """
    charts = []
    for name, label in (("us_by_units", "units"), ("us_by_million_rows", "million rows stored before")):
        points = [(float(x), float(y)) for x, y in found[name].items()]  # type: ignore[attr-defined]  # figures as JSON holds them
        charts.append(([(x, y / points[0][1]) for x, y in points], label))
    top = max(y for points, _ in charts for _, y in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t">',
        f'<title id="t">{TITLE}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>',
    ]
    for place, (points, label) in enumerate(charts):
        parts += _chart(LEFT + place * (SIDE + 70), points, label, top)
    return "\n".join([*parts, "</svg>", ""])


def _chart(left: float, points: list[tuple[float, float]], label: str, top: float) -> Iterable[str]:
    low, high = log10(points[0][0]), log10(points[-1][0])
    at = [
        (left + SIDE * (log10(x) - low) / ((high - low) or 1.0), TOP + TALL * (1 - y / (1.15 * top)), x, y)
        for x, y in points
    ]
    yield f'<path d="M{left} {TOP}V{TOP + TALL}H{left + SIDE}" class="grid" fill="none"/>'
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)
    yield f'<polyline class="default" points="{line}"/>'
    for x, y, amount, cost in at:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="one"/>'
        yield f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{cost:.2f}</text>'
        yield f'<text x="{x:.1f}" y="{TOP + TALL + 16}" text-anchor="middle">{amount:,.0f}</text>'
    yield f'<text x="{left + SIDE / 2}" y="{TOP + TALL + 34}" text-anchor="middle">{label}</text>'
