"""What ingest asks of a source holds over MQTT on a real broker, and over a Kafka-protocol log, alike."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.ingest import door, receipts
from gateway.ingest.envelope import Envelope
from gateway.ingest.inbox import Inbox
from gateway.ingest.source import Source, Stage
from gateway.settings import Settings
from tests.faults.fleet import batch
from tests.faults.log import Log, payloads
from tests.faults.machinery import Mosquitto, wait_for

WINDOW = 20


class Way(Protocol):
    """The other side of a source: units, and whatever lies between."""

    settings: dict[str, Any]

    def say(self, *messages: Envelope) -> None: ...
    def told(self) -> list[tuple[str, bytes]]: ...
    def lose(self) -> None: ...
    def find(self) -> None: ...


class OverMqtt:
    """Units at a Mosquitto."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder, persistence=True)
        self.broker.start()
        self.settings = {"mqtt_url": self.broker.url, "mqtt_window": WINDOW}
        self._told: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda *_: self.client.subscribe("ww/v1/+/dn/#", 1)
        self.client.on_message = lambda _, __, message: self._told.append((message.topic, message.payload))
        self.client.connect("127.0.0.1", self.broker.port)
        self.client.loop_start()

    def say(self, *messages: Envelope) -> None:
        for message in messages:
            self.client.publish(message.topic, message.payload, qos=1).wait_for_publish(10)

    def told(self) -> list[tuple[str, bytes]]:
        return self._told

    def lose(self) -> None:
        self.broker.kill(signal.SIGTERM)

    def find(self) -> None:
        self.broker.start()
        wait_for(self.client.is_connected)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.broker.kill()


class OverKafka:
    """Units behind a bridge, at a Kafka-protocol broker."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.settings = log.settings | {"mqtt_window": WINDOW}
        self.say, self.told = log.say, log.told

    def lose(self) -> None:
        if not self.log.cluster.mock:
            pytest.skip("the broker that WEARWELL_TEST_KAFKA names is not ours to freeze")
        self.log.cluster.tell(signal.SIGSTOP)

    def find(self) -> None:
        self.log.cluster.tell(signal.SIGCONT)


@pytest.fixture(params=["mqtt", "kafka"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    if request.param == "kafka":
        monkeypatch.setattr("gateway.ingest.kafka.member.KNOCK_EVERY", 1.0)
        yield OverKafka(request.getfixturevalue("log"))
        return
    if Mosquitto.missing():
        pytest.skip("Mosquitto is not on the PATH")
    own = OverMqtt(tmp_path)
    yield own
    own.close()


class End:
    """A source with its inbox."""

    def __init__(self, way: Way, size: int) -> None:
        self.inbox = Inbox(size)
        self.source: Source = door.opened(Settings(**way.settings), self.inbox)

    def take(self, count: int, seconds: float = 20.0) -> list[Envelope]:
        """Return so many messages, at least."""
        found: list[Envelope] = []

        def enough() -> bool:
            found.extend(self.inbox.take(WINDOW, 0.05))
            return len(found) >= count

        wait_for(enough, seconds)
        return found

    def acknowledge(self, envelopes: list[Envelope]) -> None:
        self.source.acknowledge(envelope.handle for envelope in envelopes)


@pytest.fixture
def joined(way: Way) -> Iterator[Callable[..., End]]:
    """Start a source and wait until it takes part; stopped at the end."""
    ends: list[End] = []

    def join(stage: Stage = Stage.SERVING, size: int = 1_000) -> End:
        own = End(way, size)
        ends.append(own)
        own.source.restart(stage)
        wait_for(lambda: own.source.connected, 30)
        return own

    yield join
    for own in ends:
        own.source.stop()


def messages(first: int, last: int) -> list[Envelope]:
    return [batch(q, serial=str(q % 3)) for q in range(first, last + 1)]


def one_units(first: int, last: int) -> list[Envelope]:
    return [batch(q) for q in range(first, last + 1)]


def test_a_message_arrives_whole_and_its_unit_hears_back(way: Way, joined: Callable[..., End]) -> None:
    """Topic and payload are the unit's, the moment is when it arrived, and what is published reaches the unit."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    own = joined()
    said = batch(1)
    way.say(said)
    [found] = own.take(1)
    assert (said.topic, said.payload) == (found.topic, found.payload)
    assert before <= found.received_at <= datetime.now(UTC)
    assert found.handle
    assert not found.retained
    own.source.publish([receipts.through("acme.1", 7, 1)])
    wait_for(way.told)
    [(topic, payload)] = way.told()
    assert ("ww/v1/acme.1/dn/receipt", {"v": 1, "s": 7, "through": 1}) == (topic, json.loads(payload))


def test_only_what_was_acknowledged_is_let_go(way: Way, joined: Callable[..., End]) -> None:
    """The next start gets what the last one left unacknowledged, and nothing that it acknowledged."""
    first = joined()
    said = one_units(1, 6)
    way.say(*said)
    first.acknowledge(first.take(6)[:4])
    first.source.stop()
    assert not first.source.connected
    way.say(batch(7))
    assert payloads([*said[4:], batch(7)]) == payloads(joined().take(3))


def test_an_open_message_is_kept_whatever_comes_after(way: Way, joined: Callable[..., End]) -> None:
    """An acknowledgement lets go of no message that came before it and is not committed."""
    first = joined()
    way.say(*one_units(1, 5))
    first.acknowledge(first.take(5)[1:])
    first.source.stop()
    assert batch(1).payload == joined().take(1)[0].payload


def test_a_handle_means_nothing_after_a_reconnection(way: Way, joined: Callable[..., End]) -> None:
    """What is acknowledged too late is delivered again."""
    own = joined()
    way.say(*one_units(1, 3))
    before = own.take(3)
    own.source.restart()
    wait_for(lambda: own.source.connected, 30)
    own.acknowledge(before)
    again = own.take(3)
    assert payloads(before) == payloads(again)
    own.source.restart()
    assert payloads(before) == payloads(own.take(3))


def test_a_full_inbox_holds_the_source(way: Way, joined: Callable[..., End]) -> None:
    """It takes no more than there is room for, stays connected, and goes on when there is room; nothing is lost."""
    own = joined(size=WINDOW)
    said = messages(1, 10 * WINDOW)
    way.say(*said)
    wait_for(lambda: own.inbox.full)
    seen: Counter[bytes] = Counter()

    def all_are_seen() -> bool:
        assert len(own.inbox) <= 2 * WINDOW
        found = own.inbox.take(WINDOW, 0.05)
        seen.update(payloads(found))
        own.acknowledge(found)
        return len(seen) == len(said)

    wait_for(all_are_seen, 60)
    assert set(payloads(said)) == set(seen)
    assert own.source.connected
    assert 0 == own.inbox.spilled


def test_it_says_when_it_is_cut_off_and_comes_back_alone(way: Way, joined: Callable[..., End]) -> None:
    """A broker that is away is told of, and taken up again when it is back."""
    own = joined()
    way.lose()
    try:
        wait_for(lambda: not own.source.connected, 30)
    finally:
        way.find()
    wait_for(lambda: own.source.connected, 60)
    way.say(batch(1))
    assert batch(1).payload in payloads(own.take(1, 60))


def test_draining_takes_what_is_kept_and_no_more(way: Way, joined: Callable[..., End]) -> None:
    """What lay there before is taken, what comes later is not; then nothing is kept for this member any more."""
    joined().source.stop()
    said = messages(1, 15)
    way.say(*said)
    own = joined(Stage.DRAINING)
    wait_for(lambda: own.source.done, 30)
    found = own.take(len(said))
    way.say(*messages(16, 20))
    assert not own.inbox.take(WINDOW, 1.5)
    assert set(payloads(said)) == set(payloads(found))
    own.acknowledge(found)
    own.source.restart(Stage.ENDING)
    wait_for(lambda: own.source.done, 30)
