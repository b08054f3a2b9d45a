"""The Kafka source's arithmetic: how far a partition is done, and records as messages."""

import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway import clock
from gateway.errors import ConfigurationError
from gateway.ingest import door, receipts
from gateway.ingest.inbox import Inbox
from gateway.ingest.kafka import clients, records
from gateway.ingest.kafka.watermark import Watermark
from gateway.settings import Settings
from tests.faults.machinery import wait_for

offsets = st.lists(st.integers(0, 2**40), min_size=1, max_size=40, unique=True).map(sorted)


@given(offsets, st.data())
def test_an_offset_is_committed_only_when_nothing_before_it_is_open(taken: list[int], data: st.DataObject) -> None:
    """In whatever order messages are acknowledged, twice or not at all, and wherever the log has holes."""
    mark = Watermark(1)
    for offset in taken:
        mark.take(offset)
    done: set[int] = set()
    for offset in data.draw(st.lists(st.sampled_from(taken), max_size=80)):
        mark.acknowledge(offset)
        done.add(offset)
        still_open = [each for each in taken if each not in done]
        before = [each for each in taken if not still_open or each < still_open[0]]
        assert mark.through == (before[-1] + 1 if before else None)


def test_what_is_committed_is_due_no_more() -> None:
    """An offset is committed once, and the next one when there is one."""
    mark = Watermark(1)
    mark.take(7)
    assert mark.due is None
    mark.acknowledge(7)
    assert 8 == mark.due
    mark.committed = 8
    assert mark.due is None


def record(**changes: Any) -> Any:
    told = {"topic": "ww.v1.up", "partition": 3, "offset": 9, "key": b"acme.1", "value": b"{}", "timestamp": 0,
            "headers": (("topic", b"ww/v1/acme.1/tlm"),)}  # fmt: skip
    return SimpleNamespace(**told | changes)


BYTES = st.none() | st.binary(max_size=40)
HEADERS = st.lists(st.tuples(st.sampled_from(["topic", "Topic", "content-type", "retain", "x"]), BYTES), max_size=6)


@given(BYTES, BYTES, st.integers(-(2**63), 2**63 - 1), HEADERS)
def test_any_record_is_a_message(key: Any, value: Any, timestamp: int, headers: Any) -> None:
    """Whatever a log holds comes through the door, so that it can be put aside there."""
    found = records.envelope(record(key=key, value=value, timestamp=timestamp, headers=headers), 1)
    assert (1, 9, ("ww.v1.up", 3)) == found.handle
    assert found.received_at <= datetime.now(UTC) + timedelta(milliseconds=records.FUTURE_MS)


def test_a_record_arrived_when_the_log_took_it() -> None:
    """Each delivery of a record has the same moment, in the world's time where that runs faster."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    ms = round(at.timestamp() * 1_000)
    assert at == records.arrival(ms)
    origin = datetime(2030, 1, 1, tzinfo=UTC)
    clock.accelerate(clock.Pace(origin, at - timedelta(seconds=10), 3600.0))
    try:
        assert origin + timedelta(hours=10) == records.arrival(ms)
    finally:
        clock.accelerate(None)


def test_the_header_names_topic_content_type_and_retention() -> None:
    """What MQTT said of a message is in the record's headers; the key says whose it is."""
    headers = (("topic", b"ww/v1/acme.1/evt"), ("content-type", b"application/cbor"), ("retain", b"true"))
    found = records.envelope(record(headers=headers), 1)
    assert ("ww/v1/acme.1/evt", "application/cbor", True, "acme.1") == (
        found.topic, found.content_type, found.retained, found.key,
    )  # fmt: skip


def test_a_unit_hears_under_its_own_key() -> None:
    """So that the bridge carries what one unit hears in order, to the topic that the header names."""
    told = records.outward(receipts.through("acme.1", 7, 2))
    assert (b"acme.1", b'{"v":1,"s":7,"through":2}', [("topic", b"ww/v1/acme.1/dn/receipt")]) == told


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names Kafka brokers without the client reads which command brings it."""
    monkeypatch.setitem(sys.modules, "gateway.ingest.kafka.source", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wearwell\[kafka\]'"):
        door.opened(Settings(kafka_url="kafka://127.0.0.1:9092"), Inbox(1))


def test_brokers_that_are_not_there_are_asked_again() -> None:
    """It says that it is not connected, tries on, leaves nothing open, and stops when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with capture_logs() as lines:
        source = door.opened(Settings(kafka_url=f"kafka://127.0.0.1:{port}"), Inbox(1))
        source.start()
        wait_for(lambda: 2 <= sum(line["event"].startswith("the Kafka brokers are lost") for line in lines))
        assert not source.connected
        source.publish([receipts.through("acme.1", 7, 2)])
        source.stop()
    assert not source.connected


@pytest.mark.parametrize(
    ("url", "login", "protocol"),
    [
        ("kafka://one:9092,two", {}, "PLAINTEXT"),
        ("kafka://one", {"kafka_username": "me", "kafka_password": "hunter2"}, "SASL_PLAINTEXT"),
        ("kafkas://one", {}, "SSL"),
        ("kafkas://one", {"kafka_username": "me", "kafka_password": "hunter2", "kafka_sasl": "PLAIN"}, "SASL_SSL"),
    ],
)
def test_the_settings_say_how_the_brokers_are_spoken_to(url: str, login: dict[str, Any], protocol: str) -> None:
    """TLS by the address, verified; a login where one is set."""
    asked = Settings(kafka_url=url, **login)
    found = clients.door(asked)
    assert protocol == found["security_protocol"]
    assert ("hunter2" if login else None) == found.get("sasl_plain_password")
    assert (asked.kafka_sasl if login else None) == found.get("sasl_mechanism")
    context = found["ssl_context"]
    assert url.startswith("kafkas") == (context is not None)
    assert context is None or (context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED)
