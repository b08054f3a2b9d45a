"""The three layouts on one server: filled batch by batch in turn, compressed where the store can, compared."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from tests.benchmarks.store.layouts import HOURLY, LAYOUTS, Layout
from tests.benchmarks.store.told import BEGAN, LATE, LATER

SCHEMA = "store_benchmark"
SEARCH_PATH = f"-c search_path={SCHEMA},wearwell,public -c timezone=UTC"
AGAIN = 10  # one message in so many comes again
INSERT = """insert into {name} select {columns} from told_{name}
    where batch = %(batch)s or (batch = %(again)s and (message + unit_id) %% {again} = 0) on conflict do nothing"""
SIZE = "select pg_total_relation_size(%s::regclass)"
Say = Callable[[str], None]
Costs = dict[str, float]  # by layout


def create(conn: psycopg.Connection) -> bool:
    """Create the layouts' tables and return whether the store can compress them."""
    row = conn.execute("select compress_readings(0)").fetchone()
    for layout in LAYOUTS:
        conn.execute(f"create table {layout.name} ({layout.columns}, primary key ({layout.key}))")
        if row == (True,):
            conn.execute(
                f"""select create_hypertable('{layout.name}', 'ts', chunk_time_interval => interval '7 days',
                    create_default_indexes => false)"""
            )
            order = layout.key.removeprefix(layout.segment_by + ", ")
            conn.execute(
                f"""alter table {layout.name} set (timescaledb.compress,
                    timescaledb.compress_segmentby = '{layout.segment_by}', timescaledb.compress_orderby = '{order}')"""
            )
    return row == (True,)


def fill(conn: psycopg.Connection, batches: Sequence[int], say: Say, *, again: bool = False) -> Costs:
    """Insert these batches into each layout, one layout after another for each batch; return seconds.

    `again` adds messages that came with the batch before.
    """
    took = dict.fromkeys((layout.name for layout in LAYOUTS), 0.0)
    for place, batch in enumerate(batches):
        for layout in _in_turn(place):
            began = time.monotonic()
            conn.execute(
                INSERT.format(name=layout.name, columns=_names(layout), again=AGAIN),
                {"batch": batch, "again": batch - 1 if again else None},
            )
            took[layout.name] += time.monotonic() - began
        if place % 40 == 39:
            say(f"  {place + 1} of {len(batches)} batches")
    return took


def compress(conn: psycopg.Connection) -> Costs:
    """Compress every chunk and return seconds."""
    took = {}
    for layout in LAYOUTS:
        began = time.monotonic()
        conn.execute(f"select compress_chunk(c) from show_chunks('{layout.name}') c")
        took[layout.name] = time.monotonic() - began
    return took


def sizes(conn: psycopg.Connection, *, hypertables: bool) -> Costs:
    """Return bytes of each layout: heap, index and toast, of chunks and of what is compressed in them."""
    query = "select hypertable_size(%s::regclass)" if hypertables else SIZE
    return {layout.name: float(_one(conn, query, (layout.name,))) for layout in LAYOUTS}


def asked(units: int, days: int) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Return what the product asks of readings: which query of a layout, and with what, once for each repeat.

    `hourly` is how rollups are made of a day of everybody, `use` the running hours and load of 28 days of some units.
    """
    end = BEGAN + timedelta(days=days)
    some = [1 + place * max(units // 7, 1) % units for place in range(7)]
    fleet, channels = list(range(1, units + 1)), [1, 2, 3, 4]
    return {
        "series": ("series", [{"unit": unit, "since": end - timedelta(days=90)} for unit in some]),
        "latest": ("latest", [{"unit": unit} for unit in some]),
        "hourly": ("hourly", [_span(fleet, channels, end - timedelta(days=back + 1), 1) for back in range(3)]),
        "use": ("hourly", [_span(some[:3], [1, 2], end - timedelta(days=28 + back), 28) for back in range(3)]),
    }


def answer(conn: psycopg.Connection, layout: Layout, kind: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what a layout answers to one question, in an order of its own."""
    query = HOURLY.format(layout.readings) if kind == "hourly" else getattr(layout, kind)
    return conn.execute(query, given).fetchall()


def ask(conn: psycopg.Connection, units: int, days: int, repeats: int) -> dict[str, Costs]:
    """Return the median seconds of each question by layout; they are asked in turn, once before it counts."""
    found = {}
    for question, (kind, givens) in asked(units, days).items():
        took: dict[str, list[float]] = {layout.name: [] for layout in LAYOUTS}
        for repeat in range(repeats + 1):
            for place, given in enumerate(givens):
                for layout in _in_turn(place + repeat):
                    began = time.monotonic()
                    answer(conn, layout, kind, given)
                    if repeat:
                        took[layout.name].append(time.monotonic() - began)
        found[question] = {name: statistics.median(each) for name, each in took.items()}
    return found


def agree(conn: psycopg.Connection, units: int, days: int) -> int:
    """Return how many readings each layout holds; raises AssertionError where they differ, or answer differently."""
    everything = _span(list(range(1, units + 1)), [1, 2, 3, 4], BEGAN, days)
    first, *others = LAYOUTS
    for other in others:
        for left, right in ((first, other), (other, first)):
            query = f"select count(*) from (({left.readings}) except all ({right.readings})) only_here"
            if only := _one(conn, query, everything):
                raise AssertionError(f"{only} readings of {left.name} are not in {right.name}")
        for question, (kind, givens) in asked(units, days).items():
            if _sorted(answer(conn, first, kind, givens[0])) != _sorted(answer(conn, other, kind, givens[0])):
                raise AssertionError(f"{first.name} and {other.name} answer {question} differently")
    return int(_one(conn, f"select count(*) from ({first.readings}) readings", everything))


def batches(days: int) -> list[int]:
    """Return the batches of so many days, in order, and those that come late."""
    return [*range(4 * days), LATE, LATER]


def _span(units: list[int], channels: list[int], since: datetime, days: int) -> dict[str, Any]:
    return {"units": units, "channels": channels, "since": since, "until": since + timedelta(days=days)}


def _sorted(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(str(tuple(round(v, 9) if isinstance(v, float) else v for v in row)) for row in rows)


def _in_turn(place: int) -> list[Layout]:
    return [*LAYOUTS[place % 3 :], *LAYOUTS[: place % 3]]


def _names(layout: Layout) -> str:
    return ", ".join(column.split()[0] for column in layout.columns.split(","))


def _one(conn: psycopg.Connection, query: str, given: Any) -> Any:
    row = conn.execute(query, given).fetchone()
    assert row
    return row[0]
