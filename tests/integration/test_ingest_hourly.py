"""Hourly rollups equal a recomputation from the readings, in whatever order the readings came."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate, cycle, pairwise
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.db import pool
from gateway.ingest import pipeline
from gateway.ingest.clocks import Flag
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from tests.faults import fleet
from tests.faults.fleet import NOW, batch, message

DAY = timedelta(days=1)

HOURLY = """select unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise
    from reading_hourly order by 1, 2, 3, 4"""


@pytest.fixture
def conn(each_dsn: str) -> Iterator[psycopg.Connection]:
    with pool.connect(each_dsn, pool.Role.GATEWAY) as connection:
        yield connection


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def recomputed(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Return what reading_hourly should hold, from the readings and nothing else."""
    series = defaultdict(list)
    for unit, slot, channel, ts, _, _, value, flags, kind in conn.execute(
        """select unit_id, slot_id, channel_id, ts, session, seq, value, flags, kind from reading
           join channel using (channel_id) order by 1, 2, 3, 4, 5, 6"""
    ):
        if not flags & (Flag.BACK | Flag.NO_VALUE):
            series[unit, slot, channel, kind].append((ts, value))
    hours = []
    for (unit, slot, channel, kind), points in sorted(series.items()):
        rises: dict[datetime, float] = defaultdict(float)
        for (_, before), (ts, value) in pairwise(points):
            rises[hour_of(ts)] += max(value - before, 0.0) if kind == "counter" else 0.0
        of_hour = defaultdict(list)
        for ts, value in points:
            of_hour[hour_of(ts)].append((ts, value))
        for hour, told in sorted(of_hour.items()):
            values = [value for _, value in told]
            mean = sum(values) / len(values)
            hours.append(
                (unit, slot, channel, hour, len(values), min(values), max(values), pytest.approx(mean), values[0],
                 values[-1], told[-1][0], pytest.approx(rises[hour]))
            )  # fmt: skip
    return hours


def take_all(conn: psycopg.Connection, envelopes: list[Envelope], size: int) -> None:
    for begin in range(0, len(envelopes), size):
        with conn.transaction():
            pipeline.take(conn, Directory(), envelopes[begin : begin + size])


class Story(NamedTuple):
    """What a unit says in one run of its sequence: samples by minutes since noon, and how its clock is to be read."""

    session: int
    clock: str
    ahead: timedelta  # of what is true
    samples: list[tuple[int, Any, float]]  # minute, pm25, runtime

    def cut(self, sizes: Iterable[int]) -> list[Envelope]:
        """Return the samples in messages of these sizes, again and again."""
        found, begin, each = [], 0, cycle(sizes)
        while begin < len(self.samples):
            some = self.samples[begin : begin + next(each)]
            start = NOW + timedelta(minutes=some[0][0])
            said = [
                [60.0 * (minute - some[0][0]), {"pm25": pm25, "hepa.runtime": runtime}]
                for minute, pm25, runtime in some
            ]
            uptime = (start - NOW).total_seconds() + 100_000.0
            t = uptime if self.clock == "relative" else (start + self.ahead).timestamp()
            found.append(
                batch(begin + 1, session=self.session, received=start + timedelta(days=1), t=t, c=self.clock, r=said)
            )
            begin += len(some)
        return found


def reset(number: int, minute: int) -> Envelope:
    """Return the word of a unit that its filter's counter begins again."""
    at = NOW + timedelta(minutes=minute)
    told = {"id": f"r{number}", "t": at.timestamp(), "c": "synced", "type": "counter_reset", "slot": "hepa"}
    return message("evt", told | {"channel": "runtime", "value": 0.0}, received=at + timedelta(days=1))


minutes = st.integers(0, 400)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
stories = st.builds(
    Story,
    session=st.just(0),
    clock=st.sampled_from(["synced", "synced", "relative", "none"]),
    ahead=st.sampled_from(
        [timedelta(0), timedelta(0), timedelta(minutes=-50), timedelta(hours=3), -99 * DAY, -55 * 365 * DAY]
    ),
    samples=st.lists(
        st.tuples(minutes, st.floats(0, 50) | st.just("INIT"), st.floats(0, 100)), min_size=1, max_size=15
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(stories, min_size=1, max_size=3), cuts=st.tuples(sizes, sizes), size=st.integers(1, 8), data=st.data()
)
def test_rollups_equal_a_recomputation(
    conn: psycopg.Connection, told: list[Story], cuts: tuple[list[int], list[int]], size: int, data: st.DataObject
) -> None:
    """Any values, clocks that step, counters told to begin again; in any order, cut into any batches, some twice.

    What comes twice may be cut otherwise than the first time.
    """
    runs = [story._replace(session=number) for number, story in enumerate(told, 7)]
    envelopes = [envelope for run in runs for envelope in run.cut(cuts[0])]
    again = [envelope for run in runs for envelope in run.cut(cuts[1])]
    resets = [reset(number, minute) for number, minute in enumerate(data.draw(st.lists(minutes, max_size=2)))]
    order = data.draw(st.permutations(envelopes + resets + data.draw(st.lists(st.sampled_from(again), max_size=6))))
    with conn.transaction(force_rollback=True):
        fleet.enrol(conn)
        for begin in range(0, len(order), size):
            pipeline.take(conn, Directory(), order[begin : begin + size])
            assert recomputed(conn) == conn.execute(HOURLY).fetchall()
        assert 2 * sum(len(run.samples) for run in runs) == len(conn.execute("select from reading").fetchall())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(st.tuples(minutes, st.floats(0, 50), st.floats(0, 1)), min_size=2, max_size=30),
    cuts=st.tuples(sizes, sizes), size=st.integers(1, 8), data=st.data(),
)  # fmt: skip
def test_rollups_do_not_depend_on_the_order(
    conn: psycopg.Connection, told: list[Any], cuts: tuple[list[int], list[int]], size: int, data: st.DataObject
) -> None:
    """A true counter and a gauge: however they are cut and whenever each part comes, every hour ends up the same."""
    hours = list(accumulate(rise for *_, rise in told))
    at = sorted(minute for minute, *_ in told)
    run = Story(7, "synced", timedelta(0), [(m, pm25, h) for m, (_, pm25, _), h in zip(at, told, hours, strict=True)])
    shuffled = data.draw(st.permutations(run.cut(cuts[0]) + run.cut(cuts[1])))
    found = []
    with conn.transaction(force_rollback=True):
        fleet.enrol(conn)
        for order, length in ((run.cut([len(told)]), 1), (shuffled, size)):
            with conn.transaction(force_rollback=True):
                for begin in range(0, len(order), length):
                    pipeline.take(conn, Directory(), order[begin : begin + length])
                found.append(conn.execute(HOURLY).fetchall())
    assert [tuple(map(roughly, row)) for row in found[0]] == found[1]


def roughly(value: Any) -> Any:
    return pytest.approx(value) if isinstance(value, float) else value


def test_sums_do_not_depend_on_the_order(conn: psycopg.Connection) -> None:
    """A day of a true counter, replayed shuffled and twice, sums to what the unit itself counted."""
    fleet.enrol(conn, ["1", "2"])
    for serial, seed in (("1", 0), ("2", 1)):
        envelopes = [
            batch(1 + 10 * place, [{"runtime": place / 4 + step / 60} for step in range(10)], serial=serial,
                  at=NOW + timedelta(minutes=15 * place), received=NOW + timedelta(days=2))
            for place in range(96)
        ]  # fmt: skip
        if seed:
            random.Random(seed).shuffle(envelopes)  # the same shuffle each time
        take_all(conn, envelopes + envelopes[:50], 7)
    totals = conn.execute("select unit_id, sum(rise), sum(n) from reading_hourly group by 1 order by 1").fetchall()
    assert [(pytest.approx(95 / 4 + 9 / 60), 960)] * 2 == [row[1:] for row in totals]
    assert recomputed(conn) == conn.execute(HOURLY).fetchall()
