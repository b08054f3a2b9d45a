"""Three layouts of the same readings: `python -m tests.benchmarks.store [--dsn DSN] [--units N] [--days D]`.

narrow: a row for each reading. wide: a row for each moment of a unit. arrays: a row for each message. Each has the key
that makes a repeated message harmless. Told are bytes of a reading (heap, index, toast) before and after compression,
and what storing and asking cost over the narrow layout's, medians of questions asked in turn.

It makes a database of its own on the server whose superuser's DSN is given, else on PostgreSQL as it is embedded, and
drops it at the end. Only TimescaleDB compresses.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from gateway.db import embedded, migrate
from tests.benchmarks.store import fleet, keep, told
from tests.benchmarks.store.keep import Costs
from tests.benchmarks.store.layouts import LAYOUTS

BEGAN = time.monotonic()


def say(line: str) -> None:
    """Show progress on stderr."""
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def ground(server: str | None) -> Iterator[psycopg.Connection]:
    """Yield a connection to a migrated database of its own with the benchmark's schema; drop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wearwell-bench-"))
    running = None if server else embedded.server(folder)
    admin = server or str(running.get_uri())
    name = f"ww_bench_{uuid.uuid4().hex[:8]}"
    try:
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"create database {name}")
        dsn = conninfo.make_conninfo(admin, dbname=name)
        migrate.migrate(dsn)
        with psycopg.connect(dsn, autocommit=True, options=keep.SEARCH_PATH) as conn:
            conn.execute(f"create schema {keep.SCHEMA}")
            yield conn
    finally:
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)")
        if running is not None:
            running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def measure(conn: psycopg.Connection, units: int, days: int, slots: int, repeats: int) -> dict[str, Any]:
    """Fill the layouts and return what was measured; costs are over narrow's, per reading."""
    compresses = keep.create(conn)
    say(f"what {units:,} units tell in {days:,} days")
    readings = told.tell(conn, units, days)
    say(f"storing {readings:,} readings three times")
    last = 4 * min(days // 2, 7)  # batches in which some messages come again
    insert = {"in order": keep.fill(conn, range(4 * days - last), say)}
    insert["one message in ten again"] = keep.fill(conn, range(4 * days - last, 4 * days), say, again=True)
    insert["late"] = keep.fill(conn, [told.LATE], say)
    conn.execute("vacuum analyze")
    size = {"before": keep.sizes(conn, hypertables=compresses)}
    say("asking")
    found: dict[str, Any] = {"queries": {"before": keep.ask(conn, units, days, repeats)}}
    compression = None
    if compresses:
        say("compressing")
        compression = _over(keep.compress(conn))
        insert["late, compressed"] = keep.fill(conn, [told.LATER], say)
        size["after"] = keep.sizes(conn, hypertables=True)
        say("asking what is compressed")
        found["queries"]["after"] = keep.ask(conn, units, days, repeats)
    else:
        keep.fill(conn, [told.LATER], say)
    say("comparing")
    assert readings == keep.agree(conn, units, days), "a reading was lost or doubled"
    say(f"features and pages of {slots:,} slots")
    slot = fleet.settle(conn, units, days, slots)
    used = found["queries"]["before"]["use"]["narrow"] / 3
    features = {name: took / used for name, took in fleet.features_s(conn, slot, units, days, repeats).items()}
    page = fleet.page_s(conn, days, repeats) / found["queries"]["before"]["series"]["narrow"]
    return {
        "units": units, "days": days, "readings": readings, "server": _server(conn),
        "bytes": {when: {name: each / readings for name, each in of.items()} for when, of in size.items()},
        "insert": {name: _over(costs) for name, costs in insert.items()}, "compression": compression,
        "late_over_in_order": {name: insert[name]["narrow"] * told.count(conn, told.LATE + 1, 4 * days - last)
                               / insert["in order"]["narrow"] / told.count(conn, told.LATE, told.LATE + 1)
                               for name in insert if name.startswith("late")},
        "queries": {when: {name: _over(costs) for name, costs in of.items()} for when, of in found["queries"].items()},
        "after_over_before": {name: costs["narrow"] / found["queries"]["before"][name]["narrow"]
                              for name, costs in found["queries"].get("after", {}).items()},
        "features_over_raw": features, "slots": slots, "page_over_series": page,
    }  # fmt: skip


def _over(costs: Costs) -> Costs:
    return {name: cost / costs["narrow"] for name, cost in costs.items()}


def _server(conn: psycopg.Connection) -> str:
    row = conn.execute(
        """select 'PostgreSQL ' || current_setting('server_version') || coalesce(
             ', TimescaleDB ' || (select extversion from pg_extension where extname = 'timescaledb'), '')"""
    ).fetchone()
    return str(row[0]) if row else ""


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was measured as a table for people."""
    names = [layout.name for layout in LAYOUTS]
    yield f"{found['server']}; {found['readings']:,} readings of {found['units']:,} units in {found['days']} days"
    yield ""
    yield "| what | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    rows: list[tuple[str, Costs | None]] = [("bytes a reading", found["bytes"]["before"])]
    rows.append(("bytes a reading, compressed", found["bytes"].get("after")))
    rows += [(f"storing: {name}", costs) for name, costs in found["insert"].items()]
    rows.append(("compressing", found["compression"]))
    for when, of in found["queries"].items():
        rows += [(f"asking: {name}{', compressed' if when == 'after' else ''}", costs) for name, costs in of.items()]
    for name, costs in rows:
        cells = [f"{costs[each]:.3g}" for each in names] if costs else ["not available"] * len(names)
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    for name, ratio in found["late_over_in_order"].items():
        yield f"narrow, storing a reading {name}: over one in order, {ratio:.2f}"
    for name, ratio in found["after_over_before"].items():
        yield f"narrow, {name}: compressed over not, {ratio:.2f}"
    for name, ratio in found["features_over_raw"].items():
        yield f"features of a slot from rollups ({name}) over hours from its readings of 28 days: {ratio:.3f}"
    yield f"a page of {found['slots']:,} slots over one unit's last 90 days: {found['page_over_series']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", help="a superuser's DSN of the PostgreSQL to use, TimescaleDB say")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--slots", type=int, default=100_000, help="of the fleet's page")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with ground(asked.dsn) as conn:
        found = measure(conn, asked.units, asked.days, asked.slots, asked.repeats)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
