"""What the gateway says back to a unit, after COMMIT: what is safe, and what it refused and why."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from gateway.ingest import topics
from gateway.ingest.envelope import Envelope
from gateway.ingest.rejection import Rejected

WAITING = 131_070  # that may wait to be sent, the oldest goes first: of two of the largest batches, a unit each

_encode = msgspec.json.Encoder().encode


class Message(NamedTuple):
    """One message to publish at QoS 1; of those with the same topic and `series` only the last matters."""

    topic: str
    payload: bytes
    series: int | None = None


def through(device: str, session: int, sequence: int) -> Message:
    """Say that every sequence number up to `sequence` of that session is stored."""
    return Message(topics.receipt(device), b'{"v":1,"s":%d,"through":%d}' % (session, sequence), session)


def event(device: str, event_id: str) -> Message:
    """Say that an event is stored."""
    return Message(topics.receipt(device), _encode({"v": 1, "event": event_id}))


def refusal(device: str, envelope: Envelope, reason: Rejected) -> Message:
    """Say what was refused and why, with the session and sequence number where the message can be read that far."""
    told: dict[str, Any] = {"v": 1, "error": reason.code, "detail": reason.detail}
    return Message(topics.receipt(device), _encode(told | _whereabouts(envelope.payload)))


class Outgoing:
    """Messages on their way out: while there is much to store, cumulative receipts wait and become one."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, int], Message] = {}
        self._others: list[Message] = []

    def add(self, messages: Iterable[Message]) -> None:
        """Add messages; a later receipt of a series takes the place of an earlier one."""
        for message in messages:
            if message.series is None:
                self._others.append(message)
            else:
                self._latest[message.topic, message.series] = message

    def take(self) -> list[Message]:
        """Return what is to be published now, and keep nothing; last what no later message says again."""
        found = [*self._latest.values(), *self._others]
        self._others, self._latest = [], {}
        return found


def _whereabouts(payload: bytes) -> dict[str, Any]:
    try:
        read = json.loads(payload) if len(payload) <= 65_536 else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {
        name: value
        for name in ("s", "q", "id")
        if isinstance(value := read.get(name), int | str) and len(str(value)) <= 64
    }
