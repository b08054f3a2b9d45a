"""Rows that have done their work are let go when they are old; nothing else is."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from gateway import clock
from gateway.db import pool
from gateway.events import Event, EventType
from gateway.lifecycle import retention
from gateway.notify import outbox
from gateway.operate.fleet_metrics import FIGURES, FleetFigures
from gateway.registry import fleet as figures
from gateway.registry import history
from gateway.settings import Settings
from gateway.worker.chores import Chores
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)
KEPT = Settings(keep_messages_d=30, keep_events_d=60, keep_quarantine_d=10)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


def message(conn: psycopg.Connection, house: House, key: str) -> int:
    put = outbox.put(conn, tenant_id=house.tenant_id, key=key, channel="mqtt", kind="forecast", payload={}, device="d")
    assert put
    return put


def happened(conn: psycopg.Connection, house: House, unit_id: int, key: str) -> int:
    told = history.record(conn, Event(house.tenant_id, unit_id, None, EventType.FAULT_SET, key, clock.now(), {}))
    assert told
    return told


def came_twice(conn: psycopg.Connection, house: House, unit_id: int) -> None:
    conn.execute(
        "insert into duplicate_hourly values (%s, %s, date_trunc('hour', %s::timestamptz), 1, 1)",
        (house.tenant_id, unit_id, clock.now()),
    )


def refused(conn: psycopg.Connection, topic: str) -> None:
    conn.execute(
        """insert into quarantine (topic, payload, reason, detail, received_at, digest)
           values (%s, 'x', 'bad_json', '', %s, %s)""",
        (topic, clock.now(), hashlib.sha256(topic.encode()).digest()),
    )


def gaps(conn: psycopg.Connection, house: House, unit_id: int, days: int) -> None:
    """Open three gaps, of which one is filled at once and one is lost."""
    for place, outcome in enumerate((None, "filled", "lost")):
        conn.execute(
            """insert into gap (tenant_id, unit_id, session, seqs, found_at, closed_at, outcome)
               values (%s, %s, 7, int8range(%s, %s), %s, %s, %s)""",
            (house.tenant_id, unit_id, days * 10 + place, days * 10 + place + 1, clock.now(),
             outcome and clock.now(), outcome),
        )  # fmt: skip


def test_what_is_done_and_old_is_let_go_and_nothing_else(conn: psycopg.Connection, house: House) -> None:
    """Sent or given up, handled, refused: each after its own number of days; what waits stays however old it is."""
    unit_id = fleet.enrol(conn, house)
    for days in (0, 25, 55, 95):
        fleet.set_clock(BORN + days * DAY)
        outbox.sent(conn, [message(conn, house, f"sent{days}")])
        outbox.failed(conn, message(conn, house, f"failed{days}"), "not sent: x", give_up=True)
        message(conn, house, f"waits{days}")
        history.done(conn, happened(conn, house, unit_id, f"handled{days}"))
        happened(conn, house, unit_id, f"waiting{days}")
        refused(conn, f"t{days}")
        came_twice(conn, house, unit_id)
        gaps(conn, house, unit_id, days)
    now = BORN + 100 * DAY
    done = {"outbox": 6, "event": 2, "quarantine": 3, "duplicate_hourly": 3, "gap": 3}
    assert done == retention.let_go(conn, KEPT, now)
    assert dict.fromkeys(done, 0) == retention.let_go(conn, KEPT, now)
    assert [("filled", 1), ("lost", 4), (None, 4)] == conn.execute(
        "select outcome, count(*) from gap group by outcome order by outcome"
    ).fetchall()
    left = {row[0] for row in conn.execute("select key from outbox union select key from event")}
    assert {"sent95", "failed95", "handled55", "handled95"} == {key for key in left if not key.startswith("wait")}
    assert 8 == sum(key.startswith("wait") for key in left)
    assert [("t95",)] == conn.execute("select topic from quarantine").fetchall()


def test_what_waits_long_keeps_nothing_behind_it(
    conn: psycopg.Connection, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mails whose day comes in half a year, and events whose job failed, may fill a batch; what is done goes still."""
    unit_id = fleet.enrol(conn, house)
    fleet.set_clock(BORN)
    for i in range(3):
        message(conn, house, f"waits{i}")
        happened(conn, house, unit_id, f"stuck{i}")
    outbox.sent(conn, [message(conn, house, "sent")])
    history.done(conn, happened(conn, house, unit_id, "handled"))
    monkeypatch.setattr(retention, "BATCH", 2)
    gone = retention.let_go(conn, KEPT, BORN + 100 * DAY)
    assert (1, 1) == (gone["outbox"], gone["event"])
    left = {row[0] for row in conn.execute("select key from outbox union select key from event")}
    assert {"waits0", "waits1", "waits2", "stuck0", "stuck1", "stuck2"} == left


def test_the_worker_says_what_it_let_go_and_goes_on_while_there_is_more(
    conn: psycopg.Connection, house: House, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the tables are called; after a full batch there may be more at once."""
    unit_id = fleet.enrol(conn, house)
    fleet.set_clock(BORN)
    history.done(conn, happened(conn, house, unit_id, "e1"))
    refused(conn, "t")
    conn.commit()
    fleet.set_clock(BORN + 100 * DAY)
    monkeypatch.setattr(retention, "BATCH", 1)
    with pool.open_pool(dsn, pool.Role.GATEWAY, size=1) as of_worker, capture_logs() as said:
        chores = Chores(KEPT, of_worker, fleet.desk(conn))
        [chore] = [chore for chore in chores.chores() if chore.name == "retention"]
        assert [True, False] == [chore.work(), chore.work()]
    gone = {"outbox": 0, "event": 1, "quarantine": 1, "duplicate_hourly": 0, "gap": 0}
    assert [gone] == [line["rows"] for line in said]


def test_zero_days_keep_for_ever(conn: psycopg.Connection, house: House) -> None:
    """Whoever wants to keep everything does."""
    fleet.set_clock(BORN)
    outbox.sent(conn, [message(conn, house, "old")])
    refused(conn, "t")
    kept = Settings(keep_messages_d=0, keep_events_d=0, keep_quarantine_d=0)
    assert {} == retention.let_go(conn, kept, BORN + 9_000 * DAY)


def test_an_event_that_nothing_followed_from_is_seen(conn: psycopg.Connection, house: House) -> None:
    """After a quarter of an hour its job has failed for good: the console counts it, and so does a metric."""
    unit_id = fleet.enrol(conn, house)
    told = happened(conn, house, unit_id, "e1")
    figure = next(figure for figure in FIGURES if figure.name == "events_stuck")

    def seen() -> tuple[int, float]:
        metrics = FleetFigures(conn.transaction, clock.now)
        return figures.wants(conn, clock.now()).stuck, metrics._asked(conn, figure).samples[0].value

    assert (0, 0) == seen()
    conn.execute("update event set recorded_at = %s", (clock.now() - timedelta(minutes=16),))
    assert (1, 1) == seen()
    history.done(conn, told)
    assert (0, 0) == seen()


def test_how_long_is_a_quarter_of_an_hour_in_an_accelerated_world() -> None:
    """The worker's attempts take as long as ever there: at a day a second that is two and a half years."""
    now = clock.now()
    assert timedelta(minutes=15) == now - history.stuck_before(now)
    clock.accelerate(clock.Pace(now, clock.wall(), 86_400))
    try:
        assert 900 * DAY == now - history.stuck_before(now)
    finally:
        clock.accelerate(None)
