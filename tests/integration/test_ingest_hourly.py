"""Hourly rollups equal a recomputation from the readings, in whatever order the readings came."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.ingest import pipeline
from gateway.ingest.clocks import Flag
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from tests.faults import fleet
from tests.faults.fleet import NOW, batch

HOURLY = """select unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise
    from reading_hourly order by 1, 2, 3, 4"""


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


samples = st.lists(
    st.tuples(
        st.integers(0, 400),  # minutes since noon
        st.floats(0, 50) | st.just("INIT"),
        st.floats(0, 100),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=samples, size=st.integers(1, 8), data=st.data())
def test_rollups_equal_a_recomputation(
    conn: psycopg.Connection, told: list[Any], size: int, data: st.DataObject
) -> None:
    """Any values, in any order, cut into any batches, some of them twice."""
    envelopes = [
        batch(
            place + 1,
            [{"pm25": pm25, "hepa.runtime": runtime}],
            at=NOW + timedelta(minutes=minutes),
            received=NOW + timedelta(days=1),
        )
        for place, (minutes, pm25, runtime) in enumerate(told)
    ]
    order = data.draw(st.lists(st.sampled_from(envelopes), max_size=10)) + data.draw(st.permutations(envelopes))
    with conn.transaction(force_rollback=True):
        fleet.enrol(conn)
        for begin in range(0, len(order), size):
            pipeline.take(conn, Directory(), order[begin : begin + size])
            assert recomputed(conn) == conn.execute(HOURLY).fetchall()
        assert 2 * len(envelopes) == len(conn.execute("select from reading").fetchall())


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
