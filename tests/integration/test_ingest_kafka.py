"""Ingest from a Kafka-protocol log: offsets follow COMMIT, whoever dies, joins or is away meanwhile."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from structlog.testing import capture_logs

from gateway.db import pool
from gateway.ingest import quarantine
from gateway.ingest.envelope import Envelope
from gateway.ingest.kafka.member import Member
from gateway.ingest.service import Ingest
from gateway.settings import Settings
from tests.faults import fleet
from tests.faults.fleet import batch
from tests.faults.log import SESSION_S, Log
from tests.faults.machinery import Gateway, wait_for
from tests.faults.victim import HASTY

SERIALS = tuple("12345678")


@pytest.fixture(autouse=True)
def enrolled(conn: psycopg.Connection) -> None:
    fleet.enrol(conn, SERIALS)
    conn.commit()


@pytest.fixture
def started(log: Log, dsn: str) -> Iterator[Callable[..., tuple[Ingest, Callable[[], None]]]]:
    """Start ingest in a thread of this process, and return it with what stops it; stopped at the end."""
    stops: list[Callable[[], None]] = []

    def start(**changes: Any) -> tuple[Ingest, Callable[[], None]]:
        ingest = Ingest(Settings(**log.settings | {"mqtt_window": 100} | changes), dsn)
        stop = threading.Event()
        thread = threading.Thread(target=ingest.run, args=(stop,))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(30)

        stops.append(end)
        wait_for(lambda: ingest.source.connected, 60)
        return ingest, end

    yield start
    for end in stops:
        end()


def recent(q: int, serial: str = "1", **changes: Any) -> Envelope:
    return batch(q, serial=serial, at=datetime.now(UTC) - timedelta(minutes=5), **changes)


def untimed(number: int) -> Envelope:
    """A message that only its arrival tells from another that reads the same: no sequence, no time."""
    told = json.dumps([{"n": "pm25", "v": 1 + number}]).encode()
    return Envelope("ww/v1/acme.1/tlm", told, datetime.now(UTC))


def stored(dsn: str) -> int:
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        return int(conn.execute("select count(*) from reading").fetchone()[0])  # type: ignore[index]  # there is a row


def heard(log: Log) -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in log.told() if topic == "ww/v1/acme.1/dn/receipt"]


def test_a_record_is_stored_receipted_and_then_committed(log: Log, dsn: str, started: Callable[..., Any]) -> None:
    """The unit hears through the bridge's topic that its readings are safe, and the group's offsets move on."""
    ingest, _ = started()
    log.say(recent(1), recent(2), recent(1, "2"))
    wait_for(lambda: {"v": 1, "s": 7, "through": 2} in heard(log))
    assert 3 == stored(dsn)
    wait_for(lambda: log.ends() == log.committed())
    assert ingest.ready


def test_poison_is_put_aside_and_holds_up_nobody(
    log: Log, conn: psycopg.Connection, dsn: str, started: Callable[..., Any]
) -> None:
    """What cannot be read, or is not whose it says, is quarantined; its neighbours are stored, offsets move on."""
    started()
    log.say(recent(1))
    log.say(recent(1, "2"), key="acme.1")
    log.say(recent(1, "3"), key=None)
    log.say(recent(1, "4"), headers=[])
    log.say(recent(1, "5"), headers=[("topic", b"\xff\xfe"), ("topic", None), ("retain", None)])
    log.say(recent(1, "6"), value=None)
    log.say(recent(1, "7"), value=b"\x00{" * 40_000)
    log.say(recent(2, "7"), value=b'{"v":1')
    log.say(recent(3, "7"), timestamp=2**62)
    log.say(recent(1, "8"), headers=[("topic", recent(1, "8").topic.encode()), ("retain", b"true")])
    log.say(recent(2))
    expected = {
        "other_key": 2,
        "unknown_topic": 2,
        "wrong_shape": 1,
        "too_large": 1,
        "bad_json": 1,
        "retained_telemetry": 1,
    }
    wait_for(lambda: expected == quarantine.counted(conn) or conn.rollback())
    wait_for(lambda: log.ends() == log.committed())
    assert 3 == stored(dsn)
    told = {topic for topic, payload in log.told() if b"error" in payload}
    assert "ww/v1/acme.2/dn/receipt" not in told  # whose record it was is not known
    lain = [kept for kept in quarantine.listed(conn) if kept.reason == "other_key"]
    assert [None, None] == [kept.device for kept in lain]


def test_a_database_that_is_away_holds_the_log(log: Log, dsn: str, started: Callable[..., Any]) -> None:
    """No offset moves and no more is held than was agreed; the group goes on, and afterwards all is stored."""
    with capture_logs() as lines:
        ingest, _ = started(mqtt_window=10)
        log.say(recent(1))
        wait_for(lambda: log.ends() == log.committed())
        before = log.committed()
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(dsn, dbname="postgres", autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            log.say(*(recent(q, serial) for q in range(2, 102) for serial in SERIALS))
            wait_for(lambda: ingest.trouble)
            wait_for(lambda: ingest.inbox.full)
            time.sleep(1.5 * SESSION_S)
            assert len(ingest.inbox) <= 2 * ingest.inbox.size
            assert before == log.committed()
            assert ingest.source.connected
            assert not ingest.ready
            admin.execute(f"alter database {name} allow_connections true")
        wait_for(lambda: log.ends() == log.committed(), 60)
    assert 1 + 100 * len(SERIALS) == stored(dsn)
    assert 1 == sum(line["event"] == "subscribed at the broker" for line in lines)


def test_members_share_the_log_and_leave_it_to_each_other(
    log: Log, dsn: str, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One joins and one leaves while units publish: each has its part meanwhile, and everything is stored once."""
    slow_down_the_leader(log, monkeypatch)
    one, stop_one = started(mqtt_client="one")
    said = 0

    def say(rounds: int) -> None:
        nonlocal said
        for _ in range(rounds):
            said += 1
            log.say(*(recent(said, serial) for serial in SERIALS))

    say(20)
    two, _ = started(mqtt_client="two")
    say(20)
    wait_for(lambda: one.source.connected and two.source.connected, 60)
    say(20)
    wait_for(lambda: log.ends() == log.committed(), 60)
    stop_one()
    say(20)
    wait_for(lambda: log.ends() == log.committed(), 60)
    assert said * len(SERIALS) == stored(dsn)


def test_records_that_come_before_their_partition_is_known_to_be_ours_are_taken_later(
    log: Log, dsn: str, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may hand over records of a new assignment before it tells of it."""
    tell = Member.on_partitions_assigned

    async def late(member: Member, assigned: Any) -> None:
        await asyncio.sleep(2.0)
        await tell(member, assigned)

    monkeypatch.setattr(Member, "on_partitions_assigned", late)
    log.say(*(recent(1, serial) for serial in SERIALS))
    started()
    wait_for(lambda: log.ends() == log.committed(), 60)
    assert len(SERIALS) == stored(dsn)


def slow_down_the_leader(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who shares out the partitions take a moment: librdkafka's mock cluster turns away who syncs after it."""
    if log.cluster.mock:
        assign = RoundRobinPartitionAssignor.assign

        def slowly(*arguments: Any) -> Any:
            time.sleep(0.3)
            return assign(*arguments)

        monkeypatch.setattr(RoundRobinPartitionAssignor, "assign", slowly)


@pytest.mark.parametrize("point", ["after_receive", "before_commit", "before_ack", HASTY])
def test_killed_at_any_point_it_loses_and_doubles_nothing(log: Log, dsn: str, tmp_path: Path, point: str) -> None:
    """Nor of messages without sequence and time; one that acknowledged before COMMIT is found out by this."""
    said = [*(recent(q, serial) for q in range(1, 6) for serial in SERIALS), *(untimed(n) for n in range(6))]
    with Gateway(tmp_path, dsn, "mqtt://127.0.0.1:1", **log.env) as gateway:
        gateway.start(point=point)
        wait_for(gateway.connected, 60)
        log.say(*said)
        wait_for(gateway.died, 60)
        gateway.kill()
        dead_with = log.committed()
        assert (point == HASTY) == bool(dead_with)
        gateway.start()
        wait_for(lambda: 2 == len(gateway.said("subscribed at the broker")), 60)
        wait_for(lambda: log.ends() == log.committed(), 60)
        assert 0 == gateway.kill(signal.SIGTERM)
    assert (point == HASTY) == (stored(dsn) < len(said))
    if point != HASTY:
        assert len(said) == stored(dsn)
    if point == "before_ack":
        assert sum(line["redelivered"] + line["resent"] for line in gateway.said("batch")) > 0


def test_drain_takes_what_lies_in_the_log_and_ends(log: Log, dsn: str, tmp_path: Path) -> None:
    """`wearwell ingest --drain` stores what is there and leaves the group."""
    log.say(*(recent(q, serial) for q in range(1, 6) for serial in SERIALS))
    with Gateway(tmp_path, dsn, "mqtt://127.0.0.1:1", **log.env) as gateway:
        gateway.start(point="drain")
        wait_for(gateway.died, 60)
        assert 0 == gateway.kill(), gateway.log.read_text()
        assert [True] == [line["session_ended"] for line in gateway.said("drained")]
    assert 5 * len(SERIALS) == stored(dsn)
    assert log.ends() == log.committed()
