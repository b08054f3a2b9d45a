"""Duplicates, late, out of order, cut another way, a session that begins again: a day is a day, and its sums stand."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from gateway.ingest.envelope import Envelope
from tests.faults import fleet, ledger
from tests.faults.direct import Direct, Sample, cut
from tests.faults.fleet import NOW
from tests.faults.rig import Note

pytestmark = pytest.mark.faults
DAY = [(NOW + timedelta(minutes=5 * k), {"runtime": round(k / 20, 3), "pm25": float(k % 50)}) for k in range(288)]
DAY_LONG = timedelta(days=1)
SUMS = """select sum(n), sum(rise), min(h.low), max(h.high)
    from reading_hourly h join channel using (channel_id) where name = %s"""


def shuffled(samples: list[Sample], received: datetime) -> list[Envelope]:
    found = cut(samples, 12, received=received)
    random.Random(3).shuffle(found)
    return found


def twice(samples: list[Sample], received: datetime) -> list[Envelope]:
    return [each for each in cut(samples, 12, received=received) for _ in range(2)]


def recut(samples: list[Sample], received: datetime) -> list[Envelope]:
    found = [
        *cut(samples, 12, received=received),
        *cut(samples, 7, received=received),
        *cut(samples, 100, received=received),
    ]
    random.Random(4).shuffle(found)
    return found


def backwards(samples: list[Sample], received: datetime) -> list[Envelope]:
    return cut(samples, 1, received=received)[::-1]


@pytest.fixture
def direct(conn: psycopg.Connection, tmp_path: Path) -> Iterator[Direct]:
    """One enrolled unit whose messages come straight to the pipeline."""
    fleet.enrol(conn)
    conn.commit()
    own = Direct(conn, tmp_path / "run.jsonl")
    yield own
    own.book.close()


ORDERS = [shuffled, twice, recut, backwards]
LATE = {"in time": timedelta(days=2), "89 days late": timedelta(days=90), "a year late": timedelta(days=365)}


@pytest.mark.parametrize(
    "late", ["89 days late", *(pytest.param(late, marks=pytest.mark.long) for late in ("in time", "a year late"))]
)
@pytest.mark.parametrize("order", ORDERS)
def test_a_day_is_counted_once(
    order: Callable[[list[Sample], datetime], list[Envelope]],
    late: str,
    direct: Direct,
    dsn: str,
    note: Note,
) -> None:
    """However a day arrives, and arrives again, its readings stand once and its sums are the unit's own counter."""
    conn = direct.conn
    direct.attempt(DAY)
    direct.settle(order(DAY, NOW + LATE[late]))
    once = conn.execute(SUMS, ("runtime",)).fetchone(), conn.execute(SUMS, ("pm25",)).fetchone()
    direct.settle(order(DAY, NOW + LATE[late] + timedelta(days=1)))  # the same day, replayed
    assert once == (conn.execute(SUMS, ("runtime",)).fetchone(), conn.execute(SUMS, ("pm25",)).fetchone())
    ran = DAY[-1][1]["runtime"] - DAY[0][1]["runtime"]
    assert (288, pytest.approx(ran), 0, DAY[-1][1]["runtime"]) == once[0]
    conn.commit()
    found = ledger.check(direct.path, dsn)
    assert (True, 288, 0, 0) == (found.clean, found.stored, found.missing, found.gaps), found
    note(f"a day {order.__name__}, {late}, then replayed", found)


def test_session_begins_again(direct: Direct, dsn: str, note: Note) -> None:
    """A unit boots at noon and sends its afternoon first, then what the morning's journal still held."""
    conn = direct.conn
    morning, afternoon = DAY[:144], DAY[144:]
    direct.attempt(morning, session=7)
    direct.attempt(afternoon, session=8)
    direct.settle(cut(morning, 12, received=NOW + DAY_LONG)[:4])
    direct.settle(cut(afternoon, 12, session=8, received=NOW + DAY_LONG))
    direct.settle(cut(morning, 12, received=NOW + timedelta(days=60)))
    count, rise, *_ = conn.execute(SUMS, ("runtime",)).fetchone() or ()
    assert (288, pytest.approx(DAY[-1][1]["runtime"])) == (count, rise)
    conn.commit()
    found = ledger.check(direct.path, dsn)
    assert (True, 288, 0, 0) == (found.clean, found.stored, found.missing, found.gaps), found
    note("session begins again, the journal of the old one comes later", found)
