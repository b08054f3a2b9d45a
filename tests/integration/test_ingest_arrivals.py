"""What ingest keeps of each unit for an operator: its newest reading, its clock, and what came twice."""

from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from gateway import metrics
from gateway.ingest import arrivals, pipeline, release
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.outcome import Outcome
from gateway.ingest.readings import READING
from tests.faults import fleet
from tests.faults.fleet import DYSON_GTIN, NOW, batch, message

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def take(conn: psycopg.Connection, *envelopes: Envelope) -> Outcome:
    with conn.transaction():
        return pipeline.take(conn, Directory(), envelopes)


def stands(conn: psycopg.Connection) -> tuple[datetime, datetime, str, float | None]:
    query = "select last_seen_at, latest_at, clock::text, clock_off_s from unit where device = 'acme.1'"
    return conn.execute(query).fetchone()  # type: ignore[return-value]  # there is a row


def twice(conn: psycopg.Connection) -> list[tuple[str, int, int]]:
    return conn.execute(
        """select device, sum(redelivered)::int, sum(resent)::int from duplicate_hourly join unit using (unit_id)
           group by device order by device"""
    ).fetchall()


def test_a_backlog_is_seen_and_ends_when_the_unit_has_caught_up(conn: psycopg.Connection) -> None:
    """The newest reading lies behind the last word by the length of the backlog; a replay later changes nothing."""
    fleet.enrol(conn)
    take(conn, batch(1, at=NOW - 5 * DAY, received=NOW))
    assert (NOW, NOW - 5 * DAY, "s", -432_000.0) == stands(conn)
    take(conn, batch(3, at=NOW, received=NOW + MINUTE))
    assert (NOW + MINUTE, NOW, "s", -60.0) == stands(conn)
    take(conn, batch(2, at=NOW - DAY, received=NOW + 2 * MINUTE))
    assert (NOW + 2 * MINUTE, NOW, "s", -60.0) == stands(conn)


def test_live_and_replayed_readings_of_one_batch_are_told_apart(conn: psycopg.Connection) -> None:
    """Of everything that came together, the newest reading says where the unit stands."""
    fleet.enrol(conn, ["1", "2"])
    old = batch(1, [{"runtime": 1.0, "pm25": 4.0}, {"runtime": 2.0}], at=NOW - DAY, received=NOW)
    take(conn, batch(3, at=NOW, received=NOW), old, batch(1, at=NOW - HOUR, received=NOW, serial="2"))
    assert (NOW, NOW, "s", 0.0) == stands(conn)


def test_a_first_reading_within_a_second_of_the_birth_is_noted(conn: psycopg.Connection) -> None:
    """Being heard again at once is no news; having read something is."""
    fleet.enrol(conn)
    take(conn, message("state", {"state": "online", "c": "synced", "t": NOW.timestamp()}))
    assert stands(conn)[1:] == (None, None, None)
    take(conn, batch(1, at=NOW, received=NOW + timedelta(milliseconds=300)))
    assert NOW == stands(conn)[1]


@pytest.mark.parametrize(
    ("at", "clock", "off_s"),
    [
        (NOW + 5 * MINUTE, "s", 300.0),
        (NOW + 30 * DAY, "w", 2_592_000.0),
        (datetime.fromtimestamp(60, NOW.tzinfo), "w", None),
    ],
    ids=["a little fast", "a month ahead", "1970"],
)
def test_a_clock_that_cannot_be_is_wrong_and_may_become_right(
    conn: psycopg.Connection, at: datetime, clock: str, off_s: float | None
) -> None:
    """What the unit's own word was off by is kept; the reading itself is placed by its receipt."""
    fleet.enrol(conn)
    take(conn, batch(1, at=at, received=NOW))
    expected = (at - NOW).total_seconds() if off_s is None else off_s
    assert (clock, expected) == stands(conn)[2:]
    take(conn, batch(2, at=NOW + 10 * MINUTE, received=NOW + 10 * MINUTE))
    assert ("s", 0.0) == stands(conn)[2:]


def test_a_unit_without_a_clock_has_none(conn: psycopg.Connection) -> None:
    """Nothing is said about how far its clock is off, and its readings have no age."""
    fleet.enrol(conn)
    outcome = take(conn, batch(1, received=NOW, t=0, c="none"))
    assert (NOW, "n", None) == stands(conn)[1:]
    assert [] == outcome.ages[0].tolist()


def test_readings_have_the_age_that_their_unit_says(conn: psycopg.Connection) -> None:
    """Each value of each sample, from its own moment to its receipt."""
    fleet.enrol(conn)
    outcome = take(conn, batch(1, [{"runtime": 1.0, "pm25": 3.0}, {"runtime": 2.0}], at=NOW - HOUR, received=NOW))
    assert [3_540.0, 3_600.0, 3_600.0] == sorted(outcome.ages[0].tolist())


def test_what_came_twice_is_counted_for_its_unit_by_who_sent_it(conn: psycopg.Connection) -> None:
    """The broker's word tells its own redelivery from what the unit sent again; readings count, not samples."""
    fleet.enrol(conn, ["1", "2"])
    both = [{"runtime": 1.0, "pm25": 3.0}]
    take(conn, batch(1, both), batch(1, both, serial="2"))
    assert [] == twice(conn)
    again = take(conn, batch(1, both)._replace(again=True), batch(1, [*both, {"runtime": 2.0}], serial="2"))
    assert (2, 2, 4, 1) == (again.redelivered, again.resent, again.duplicates, again.stored)
    take(conn, batch(1, both))
    assert [("acme.1", 2, 2), ("acme.2", 0, 2)] == twice(conn)


def test_what_only_the_store_knew_is_counted_for_its_unit(conn: psycopg.Connection) -> None:
    """Units behind an adapter have no sequence numbers: the key of their readings finds what stands."""
    fleet.enrol(conn, ["1"])
    fleet.enrol(conn, ["NK6-EU-MHA0000A"], DYSON_GTIN)
    said = f'{{"msg":"CURRENT-STATE","time":"{NOW:%Y-%m-%dT%H:%M:%S.000Z}","product-state":{{"filf":"4000"}}}}'
    told = Envelope("475/NK6-EU-MHA0000A/status/current", said.encode(), NOW)
    assert 0 < (stored := take(conn, told, batch(1)).stored)
    assert 0 == take(conn, told, batch(1)).stored
    take(conn, told._replace(again=True))
    assert [("NK6-EU-MHA0000A", stored - 1, stored - 1), ("acme.1", 0, 1)] == twice(conn)


def test_a_release_is_not_held_against_the_unit(conn: psycopg.Connection) -> None:
    """What was stored beside a channel that nobody had declared came out of quarantine again, not from the unit."""
    fleet.enrol(conn)
    take(conn, batch(1, [{"runtime": 1.0, "ozone": 2.0}]))
    conn.execute(
        """insert into channel (tenant_id, name, unit, kind) select tenant_id, 'ozone', 'ug/m3', 'gauge' from tenant"""
    )
    (number,) = conn.execute("select quarantine_id from quarantine").fetchone()  # type: ignore[misc]  # there is a row
    release.release(conn, Directory(), number, NOW)
    assert [("acme.1", 1, 0)] == twice(conn)


def test_a_second_try_is_not_held_against_the_unit(conn: psycopg.Connection) -> None:
    """What one lane had committed, when the database broke off another, comes again from ourselves."""
    fleet.enrol(conn)
    take(conn, batch(1))
    take(conn, batch(1)._replace(tried=True))
    assert [("acme.1", 1, 0)] == twice(conn)


def test_a_batch_that_was_rolled_back_counts_nothing(conn: psycopg.Connection) -> None:
    """Counts are committed with the readings that they are about, and not twice when a batch is tried again."""
    fleet.enrol(conn)
    take(conn, batch(1))
    conn.commit()
    pipeline.take(conn, Directory(), [batch(1)])
    conn.rollback()
    take(conn, batch(1))
    assert [("acme.1", 0, 1)] == twice(conn)


def test_no_reading_is_no_newest() -> None:
    """A batch of states and events brings no news of readings."""
    assert 0 == len(arrivals.newest(np.empty(0, READING)).unit_id)


def test_a_column_of_values_falls_into_the_buckets_of_the_histogram() -> None:
    """Adding many at once gives what the library's own histogram gives for the same values one by one."""
    values = [0.0, 1.0, 1.5, 60.0, 1e9]
    spread = metrics.Spread(metrics.BY_NAME["reading_age_seconds"]._replace(name="x_seconds"))
    own = Histogram("wearwell_x_seconds", spread.metric.says, buckets=spread.metric.bounds, registry=None)
    for value in values:
        own.observe(value)
    spread.add(np.array(values[:2]))
    spread.add(np.array(values[2:]))
    shown = []
    for collector in (spread, own):
        registry = CollectorRegistry()
        registry.register(collector)
        shown.append([line for line in generate_latest(registry).decode().splitlines() if "_created" not in line])
    assert shown[0] == shown[1]
