"""`wearwell rollups`: what differs from the readings is found and put right, and what cannot be known is left alone."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gateway import cli
from gateway.db import pool
from gateway.ingest import pipeline, recount
from gateway.ingest.directory import Directory
from gateway.lifecycle import aging
from gateway.settings import Settings
from tests.faults import fleet
from tests.faults.fleet import NOW, batch

DAY = timedelta(days=1)
DAYS = 70
HOURLY = "select * from reading_hourly order by unit_id, slot_id, channel_id, hour"
END = NOW + DAYS * DAY


@pytest.fixture
def conn(each_dsn: str) -> Iterator[psycopg.Connection]:
    """Two units that told of some days, late ones and resets among them."""
    with pool.connect(each_dsn, pool.Role.GATEWAY) as connection:
        connection.autocommit = True
        fleet.enrol(connection, ["1", "2"])
        days = [*range(0, DAYS, 2), *range(1, DAYS, 2)]
        with connection.transaction():
            for serial in ("1", "2"):
                envelopes = [
                    batch(1 + 4 * day, [{"runtime": 3.0 * day + k / 3, "pm25": 7.0 + k} for k in range(4)],
                          serial=serial, at=NOW + day * DAY, step=1_700, received=END)
                    for day in days
                ]  # fmt: skip
                for begin in range(0, DAYS, 9):
                    pipeline.take(connection, Directory(), envelopes[begin : begin + 9])
        yield connection


def ids(conn: psycopg.Connection) -> list[int]:
    return [row[0] for row in conn.execute("select unit_id from unit order by unit_id")]


def roughly(value: Any) -> Any:
    return pytest.approx(value) if isinstance(value, float) else value


FAULTS = {
    "n": "update reading_hourly set n = n + 1",
    "low": "update reading_hourly set low = low - 1",
    "high": "update reading_hourly set high = high + 1",
    "first": "update reading_hourly set first = first + 0.5",
    "last": "update reading_hourly set last = last + 0.5",
    "last_ts": "update reading_hourly set last_ts = last_ts + interval '1 second'",
    "mean": "update reading_hourly set mean = mean + 1e-6",
    "rise": "update reading_hourly set rise = rise + 1e-6",
    "missing": "delete from reading_hourly",
}
ONE = """ where (unit_id, slot_id, channel_id, hour) = (select unit_id, slot_id, channel_id, hour from reading_hourly
    join channel using (channel_id) where name = 'runtime' order by unit_id, hour offset 30 limit 1)"""


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_and_put_right(conn: psycopg.Connection, fault: str) -> None:
    """One column of one hour that is not what its readings come to is told, and only that hour is written."""
    sound = conn.execute(HOURLY).fetchall()
    assert [] == recount.differences(conn, ids(conn))
    conn.execute(FAULTS[fault] + ONE)
    [found] = recount.differences(conn, ids(conn))
    assert ("acme.1", None, "runtime", fault) == (found.unit, found.slot, found.channel, found.what)
    with conn.transaction():
        assert [found] == recount.put_right(conn, ids(conn), NOW)
    assert [tuple(map(roughly, row)) for row in sound] == conn.execute(HOURLY).fetchall()
    assert [] == recount.differences(conn, ids(conn))


def test_an_hour_without_readings_goes(conn: psycopg.Connection) -> None:
    """An hour that no reading stands behind is told and taken out, and its unit is forecast anew."""
    conn.execute("delete from rescore")
    conn.execute(
        """insert into reading_hourly select tenant_id, unit_id, slot_id, channel_id, hour + interval '5 hours', n, low,
           high, mean, first, last, last_ts, rise from reading_hourly"""
        + ONE
    )
    [found] = recount.differences(conn, ids(conn))
    assert "without readings" == found.what
    with conn.transaction():
        recount.put_right(conn, ids(conn), NOW)
    assert [] == recount.differences(conn, ids(conn))
    assert [(found.unit_id,)] == conn.execute("select distinct unit_id from rescore").fetchall()


def test_hours_whose_readings_are_gone_are_left_alone(conn: psycopg.Connection) -> None:
    """After retention every hour still is as it was; a rebuild touches none of them, and the border's rise is right."""
    before = conn.execute(HOURLY).fetchall()
    with conn.transaction():
        assert 0 < aging.let_go(conn, Settings(keep_readings_d=91), NOW + 91 * DAY + 45 * DAY)
    with conn.transaction():  # one that comes later than it is kept: alone of its hour, it says nothing about it
        late = batch(1, [{"pm25": 99.0}], session=8, at=NOW + 3 * DAY, received=END)
        assert 1 == pipeline.take(conn, Directory(), [late]).stored
    assert before == conn.execute(HOURLY).fetchall()
    assert 0 < len(conn.execute("select from reading").fetchall()) < 2 * len(before)
    assert [] == recount.differences(conn, ids(conn))
    conn.execute("update reading_hourly set mean = 1000 where hour < (select since from reading_kept)")
    changed = conn.execute(HOURLY).fetchall()
    assert changed != before
    with conn.transaction():
        assert [] == recount.put_right(conn, ids(conn), NOW)
    assert changed == conn.execute(HOURLY).fetchall()


def test_hours_before_the_first_reading_that_is_left_are_left_alone(conn: psycopg.Connection) -> None:
    """After a restore in part nobody told that readings are gone: their hours stay, and so does the next one's rise."""
    before = conn.execute(HOURLY).fetchall()
    conn.execute("delete from reading where ts < %s", (NOW + 40 * DAY,))
    assert [] == recount.differences(conn, ids(conn))
    with conn.transaction():
        assert [] == recount.put_right(conn, ids(conn), NOW)
    assert before == conn.execute(HOURLY).fetchall()


def test_nobody_waits_for_the_comparison(conn: psycopg.Connection, each_dsn: str) -> None:
    """Where nothing differs, ingest of the same units goes on while a rebuild looks at them."""
    with conn.transaction(), pool.connect(each_dsn, pool.Role.GATEWAY) as other:
        assert [] == recount.put_right(conn, ids(conn), NOW)
        other.execute("set lock_timeout = '1s'")
        assert 1 == pipeline.take(other, Directory(), [batch(900, serial="1", at=END, received=END)]).stored


def test_the_commands_say_what_differs_and_what_to_do(
    dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` fails with the hours and the remedy, `rebuild` puts them right, and then `check` is content."""
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        fleet.enrol(conn)
        pipeline.take(conn, Directory(), [batch(1, [{"runtime": float(k)} for k in range(9)], step=600, received=END)])
        conn.execute("update reading_hourly set rise = 17")
    monkeypatch.setenv("WEARWELL_DATABASE_DSN", dsn)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["wearwell", "rollups", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, out, err = run("check", "--json")
    assert (1, ["rise", "rise"]) == (code, [row["what"] for row in json.loads(out)])
    assert (
        "2 hours of 1 units are not what their readings come to; recompute them with: wearwell rollups rebuild" in err
    )
    code, out, err = run("rebuild", "--unit", "acme.1")
    assert (0, True) == (code, "2 hours of 1 units recomputed" in err)
    assert "acme.1\t-\truntime\t2025-06-01 12:00:00Z\trise" in out
    assert 0 == run("check")[0]
    code, _, err = run("check", "--unit", "acme.9")
    assert (1, True) == (code, "there is no device 'acme.9'" in err)
