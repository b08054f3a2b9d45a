"""Kafka records as messages, and messages as records: what docs/operating.md asks of the bridge from MQTT to the log.

A record's key is the device, its value the payload, its header `topic` the MQTT topic that it came on; `content-type`
and `retain` are as MQTT told them. The log's time of a record is when its message arrived: it stays the same however
often the record is delivered, so that even a message with neither sequence nor time is known again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from gateway import clock
from gateway.ingest.envelope import Envelope, Handle
from gateway.ingest.receipts import Message

TOPIC, CONTENT_TYPE, RETAIN = "topic", "content-type", "retain"
FUTURE_MS = 300_000  # that a bridge's clock may be ahead of ours


class Record(Protocol):
    """What a Kafka client hands over; `timestamp` in milliseconds since 1970, negative where there is none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Sequence[tuple[str, bytes]]


class Outward(NamedTuple):
    """A record for units, on its way to the bridge."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def envelope(record: Record, assignment: int) -> Envelope:
    """Return a record as a message; without the header `topic` it carries the log's, which no adapter reads."""
    headers = {name.lower(): value for name, value in record.headers}
    topic = headers[TOPIC].decode("utf-8", "replace") if headers.get(TOPIC) else record.topic
    body = record.value or b""
    kind = headers[CONTENT_TYPE].decode("utf-8", "replace") if headers.get(CONTENT_TYPE) else None
    return Envelope(
        topic,
        body,
        arrival(record.timestamp),
        kind,
        headers.get(RETAIN) in (b"1", b"true"),
        handle=Handle(assignment, record.offset, (record.topic, record.partition)),
        key=(record.key or b"").decode("utf-8", "replace"),
    )


def arrival(timestamp_ms: int) -> datetime:
    """Return when the log took a record, in the world's time; now where it does not say, or says what cannot be."""
    if 0 < timestamp_ms < clock.wall().timestamp() * 1_000 + FUTURE_MS:
        return clock.at(datetime.fromtimestamp(timestamp_ms / 1_000, UTC))
    return clock.now()


def outward(message: Message) -> Outward:
    """Return what a unit is to hear as a record; its key is the device, so that a unit hears things in order."""
    device = message.topic.split("/")[2]
    return Outward(device.encode(), message.payload, [(TOPIC, message.topic.encode())])
