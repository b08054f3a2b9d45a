"""A manufacturer's own history is lived through in its own time: what stands in the database is what stood then."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway import clock
from gateway.bench import evaluate, read
from gateway.bench.contender import recipe
from gateway.db import pool
from gateway.errors import Conflict
from gateway.registry import tenants
from gateway.replay.history import files, lived, room, summary
from gateway.replay.history.lived import Progress
from gateway.replay.history.summary import Row
from gateway.settings import Settings
from tests import recorded
from tests.conftest import dropped, migrated
from tests.recorded import BEGAN, Recorded

UNITS, DAYS = 24, 48
OVER = BEGAN + timedelta(days=DAYS + 1)
CYCLES = """
select u.serial, lower(c.period), upper(c.period), c.recorded_at, c.source, c.label
from cycle c join unit u using (unit_id) order by u.serial, lower(c.period)"""
FORECASTS = """
select u.serial, made_at, eol_q10, eol_q50, eol_q90, pct_left, basis, flags, inputs from forecast
join unit u using (unit_id) order by u.serial, made_at, forecast_id"""


def live(dsn: str, folder: Path) -> tuple[list[Row], list[Progress]]:
    told: list[Progress] = []
    with (
        files.read(folder, clock.wall()) as found,
        room.within(dsn, Settings(_env_file=None)) as opened,
    ):
        lived.Life(opened, found, told.append).live()
        return summary.rows(opened.conn, found), told


@contextmanager
def gateway(dsn: str) -> Iterator[psycopg.Connection]:
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        yield conn


def count(conn: psycopg.Connection, what: str) -> int:
    row = conn.execute(f"select count(*) from {what}").fetchone()
    assert row
    return int(row[0])


@pytest.fixture(scope="module")
def said() -> Recorded:
    return recorded.recorded(UNITS, DAYS)


@pytest.fixture(scope="module")
def lived_dsn(server_dsn: str, said: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database in which the history of two dozen units was lived through; tests only look at it."""
    name = "ww_lived_through"
    dsn = migrated(server_dsn, name)
    live(dsn, said.write(tmp_path_factory.mktemp("history")))
    yield dsn
    dropped(server_dsn, name)


@pytest.fixture
def conn(lived_dsn: str) -> Iterator[psycopg.Connection]:
    with gateway(lived_dsn) as opened:
        yield opened


@pytest.mark.timeout(600)
def test_the_bench_finds_ends_and_forecasts_to_judge(conn: psycopg.Connection) -> None:
    """A product that the code never heard of is measured at once, without a leak, and with less error than guessing."""
    record = read.record(conn, read.slot(conn, "grease"), clock.now())
    found = evaluate.evaluate(record, recipe("weibull"))
    assert found.tally.ended > 2 * UNITS > found.tally.unwitnessed
    assert found.tally.judged > 300
    assert [] == found.leaks
    assert found.scores[0].mae_d < 5.0


def test_every_reading_is_stored_and_every_told_change_ends_a_cycle(conn: psycopg.Connection, said: Recorded) -> None:
    assert 3 * 2 * UNITS * DAYS == count(conn, "reading")
    assert len(said.events) - 1 == count(conn, "cycle where not upper_inf(period)")
    assert UNITS == count(conn, "cycle where upper_inf(period)")
    assert 0 == count(conn, "quarantine") + count(conn, "event where handled_at is null")


def test_labels_are_recorded_when_their_change_was_told(conn: psycopg.Connection, said: Recorded) -> None:
    """By the time that its event arrived, a week later where it was told late; never by the wall clock."""
    truth = {
        (serial, datetime.fromisoformat(at)): datetime.fromisoformat(told) for serial, at, _, _, told in said.events[1:]
    }
    ended = [(serial, until, recorded_at) for serial, _, until, recorded_at, *_ in conn.execute(CYCLES) if until]
    assert truth == {(serial, until): recorded_at for serial, until, recorded_at in ended}
    late = [at - until for _, until, at in ended if at > until]
    assert {timedelta(days=recorded.TOLD_LATE_D)} == set(late)
    assert truth == {
        (serial, at): told
        for serial, at, told in conn.execute(
            "select u.serial, e.occurred_at, e.recorded_at from event e join unit u using (unit_id)"
        )
    }


TIMES = {
    "forecast": "made_at", "slot_state": "updated_at", "model_version": "created_at", "model_release": "released_at",
    "declaration": "declared_at", "event": "handled_at", "unit": "last_seen_at", "use_days": "made_at",
    "credential": "created_at", "use_cohort": "made_at", "counter_high": "ts",
}  # fmt: skip


def test_every_time_lies_in_the_history(conn: psycopg.Connection) -> None:
    """Forecasts, versions, releases, what was declared: nothing that the gateway keeps bears the wall clock's time."""
    for table, column in TIMES.items():
        row = conn.execute(f"select min({column}), max({column}) from {table}").fetchone()
        assert row
        assert row[0] is not None, f"{table} holds nothing"
        assert BEGAN <= row[0] <= row[1] <= OVER, f"{table}.{column}"


def test_a_forecast_knows_nothing_that_came_later(conn: psycopg.Connection) -> None:
    """Versions learn as the history goes on, each from no more labels than had been told by its day."""
    versions = conn.execute("select created_at, labels from model_version order by created_at").fetchall()
    assert len(versions) > 5
    for made, labels in versions:
        known = conn.execute(
            "select count(*) from cycle where recorded_at <= %s and (label ->> 'witnessed')::boolean", (made,)
        ).fetchone()
        assert (labels,) == known
    ahead = "forecast f join model_version v using (model_version_id) where v.created_at > f.made_at"
    assert 0 == count(conn, ahead)
    assert 0 < count(conn, "forecast where model_version_id is not null")


def test_nobody_is_asked_anything(conn: psycopg.Connection) -> None:
    for table in ("prompt", "outbox", "procrastinate_jobs", "party"):
        assert 0 == count(conn, table), table


def dumped(dsn: str) -> tuple[list[Any], list[Any], list[Any]]:
    with gateway(dsn) as conn:
        versions = conn.execute("select created_at, labels, sha256 from model_version order by created_at").fetchall()
        return conn.execute(CYCLES).fetchall(), conn.execute(FORECASTS).fetchall(), versions


@pytest.mark.timeout(600)
def test_the_same_history_comes_to_the_same_however_its_files_are_ordered(
    server_dsn: str, dsn: str, tmp_path: Path
) -> None:
    """Lines shuffled and a channel in a file of its own: the same cycles, forecasts and versions, to the last digit."""
    said = recorded.recorded(8, 40, seed=3)
    live(dsn, said.write(tmp_path / "one"))
    folder = said.write(tmp_path / "other")
    (folder / "readings.csv").unlink()
    head, lines = said.readings[0], said.readings[1:]
    random.Random(1).shuffle(lines)
    for number, part in enumerate((lines[::2], lines[1::2])):
        recorded.write(folder / f"readings-{number}.csv", [head, *part])
    recorded.write(folder / "events.csv", [said.events[0], *reversed(said.events[1:])])
    name = "ww_lived_again"
    again = migrated(server_dsn, name)
    try:
        live(again, folder)
        one, other = dumped(dsn), dumped(again)
        assert len(one[0]) > 16
        assert len(one[2]) > 1
        assert one == other
    finally:
        dropped(server_dsn, name)


def small(folder: Path, *readings: str) -> Path:
    Recorded([["serial", "gtin"], ["H1", recorded.GTIN]], [], []).write(folder)
    (folder / "events.csv").unlink()
    (folder / "readings.csv").write_text("".join(f"{line}\n" for line in readings))
    return folder


def test_what_cannot_be_believed_is_refused_and_counted(dsn: str, tmp_path: Path) -> None:
    """A drag beyond its bounds is kept aside as at the door; the rest of the line is stored."""
    lines = ("serial,time,runtime,grease_drag", "H1,2024-03-01T00:00:00Z,5,40", "H1,2024-03-02T00:00:00Z,6,4000")
    (row,), told = live(dsn, small(tmp_path, *lines))
    assert ("grease", 1, 3, 1, 1) == (row.slot, row.units, row.readings, row.refused, row.running)
    assert (2, 2) == (told[-1].day, told[-1].days)
    with gateway(dsn) as conn:
        assert [("unbelievable",)] == conn.execute("select reason from quarantine").fetchall()


def test_readings_that_arrive_late_are_known_late(dsn: str, tmp_path: Path) -> None:
    """A week in the unit's own memory: no forecast made before it arrived has the indicator's word."""
    lines = (
        "serial,time,arrived,runtime,grease_drag",
        "H1,2024-03-01T00:00:00Z,,5,",
        "H1,2024-03-02T00:00:00Z,2024-03-09T12:00:00Z,15,150",
    )
    live(dsn, small(tmp_path, *lines))
    with gateway(dsn) as conn:
        rows = conn.execute("select made_at, inputs ->> 'indicator' from forecast order by made_at").fetchall()
        seen = conn.execute("select last_seen_at from unit").fetchone()
    assert {True} == {made > datetime.fromisoformat("2024-03-09T12:00:00Z") for made, drag in rows if drag is not None}
    assert {True} == {made <= datetime.fromisoformat("2024-03-09T00:00:00Z") for made, drag in rows if drag is None}
    assert (datetime.fromisoformat("2024-03-09T12:00:00Z"),) == seen


def test_what_a_unit_said_before_a_change_is_forecast_before_it(dsn: str, tmp_path: Path) -> None:
    """An end that shows in the morning is seen though the part is changed at noon, as by a gateway that runs."""
    lines = ["serial,time,runtime,grease_drag", "H1,2024-03-01T00:00:00Z,5,40"]
    lines += [f"H1,2024-03-02T{hour:02}:00:00Z,{5 + hour},250" for hour in (7, 8, 9)]
    folder = small(tmp_path, *lines, "H1,2024-03-02T18:00:00Z,20,5")
    (folder / "events.csv").write_text("serial,time,type\nH1,2024-03-02T12:00:00Z,part_fitted\n")
    (row,), _ = live(dsn, folder)
    with gateway(dsn) as conn:
        noon = conn.execute(
            "select inputs ->> 'indicator' from forecast where made_at = '2024-03-02 12:00Z'"
        ).fetchone()
    assert ("250.0",) == noon
    assert (1, 0, 1) == (row.ended, row.censored, row.running)


def test_a_history_goes_into_nobodys_database(dsn: str, tmp_path: Path) -> None:
    """Where a manufacturer stands already, owners might be: nothing is brought in there."""
    with gateway(dsn) as conn:
        tenants.create(conn, "somebody", "Somebody")
    folder = small(tmp_path, "serial,time,runtime", "H1,2024-03-01T00:00:00Z,5")
    with pytest.raises(Conflict, match="this database is somebody's already"):
        live(dsn, folder)
    with pytest.raises(Conflict, match="is not empty, and a history gets a folder of its own"), room.room(folder):
        pass


def test_the_clock_goes_on_afterwards(dsn: str, tmp_path: Path) -> None:
    before = clock.wall()
    live(dsn, small(tmp_path, "serial,time,runtime", "H1,2024-03-01T00:00:00Z,5"))
    assert clock.now() >= before
