"""The layouts that the store's benchmark compares hold the same readings and answer alike, or it says so."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.benchmarks.ingest import growth
from tests.benchmarks.store import __main__ as benchmark
from tests.benchmarks.store import keep, told
from tests.faults.machinery import Mosquitto

UNITS, DAYS = 3, 11


@pytest.fixture
def conn(each_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(each_dsn, autocommit=True, options=keep.SEARCH_PATH) as connection:
        connection.execute(f"create schema {keep.SCHEMA}")
        yield connection


def test_layouts_hold_and_answer_the_same(conn: psycopg.Connection) -> None:
    """Whatever came twice or late, before compression or after it, each layout has every reading once."""
    compresses = keep.create(conn)
    readings = told.tell(conn, UNITS, DAYS)
    assert UNITS * DAYS * 144 * 4 == readings
    in_order = [batch for batch in keep.batches(DAYS) if batch != told.LATER]
    keep.fill(conn, in_order, print, again=True)
    keep.fill(conn, in_order[:9], print, again=True)
    if compresses:
        keep.compress(conn)
    keep.fill(conn, [told.LATER, told.LATER, 0, 1], print)
    assert readings == keep.agree(conn, UNITS, DAYS)


FAULTS = {
    "one is gone": "delete from wide where ts = (select max(ts) from wide) and unit_id = 2",
    "one is another": "update wide set pm25 = pm25 + 0.1 where ts = (select max(ts) from wide) and unit_id = 2",
    "one is flagged": "update arrays set flags[3] = 1 where ts = (select max(ts) from arrays) and unit_id = 2",
    "one has moved": "update arrays set at[2] = at[2] + interval '1 second' where seq = 7 and unit_id = 2",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layout_that_differs_is_told(conn: psycopg.Connection, fault: str) -> None:
    """Figures of layouts that do not hold the same would mean nothing."""
    keep.create(conn)
    told.tell(conn, UNITS, 2)
    keep.fill(conn, keep.batches(2), print)
    conn.execute(FAULTS[fault])
    with pytest.raises(AssertionError, match=r"are not in|answer .* differently"):
        keep.agree(conn, UNITS, 2)


def test_the_benchmark_runs(conn: psycopg.Connection) -> None:
    """From an empty database to its table; what the server cannot do is said."""
    conn.execute(f"drop schema {keep.SCHEMA}; create schema {keep.SCHEMA}")
    found = benchmark.measure(conn, UNITS, DAYS, 20, 1)
    page = "\n".join(benchmark.lines(found))
    compressed = "after" in found["bytes"]
    assert compressed == ("TimescaleDB" in found["server"])
    assert compressed == ("not available" not in page)
    assert 1.0 == found["queries"]["before"]["series"]["narrow"]
    assert {"narrow", "wide", "arrays"} == set(found["bytes"]["before"])
    assert f"{UNITS * DAYS * 144 * 4:,} readings" in page


@pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH")
@pytest.mark.timeout(400)  # it starts the gateway six times
def test_growth_is_measured_and_drawn(monkeypatch: pytest.MonkeyPatch, server_dsn: str) -> None:
    """A reading's cost by units and by rows stored before, from a real run of a very small fleet."""
    monkeypatch.setattr(growth, "UNITS", (20,))
    monkeypatch.setattr(growth, "MILLIONS", (0.001, 100))
    monkeypatch.setattr(growth, "REPEATS", 1)
    monkeypatch.setattr(growth, "STORED_BY", 10)
    found = growth.measure(server_dsn, 0.01, 100, print)
    assert ([20], [0.001]) == (list(found["us_by_units"]), list(found["us_by_million_rows"]))  # type: ignore[call-overload]  # figures as JSON holds them
    drawn = growth.drawn(found)
    assert 2 == drawn.count("<circle")
    assert "million rows stored before" in drawn
