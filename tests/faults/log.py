"""A Kafka-protocol broker for tests: the one WEARWELL_TEST_KAFKA names, else librdkafka's own mock cluster.

The mock cluster speaks the real protocol over TCP, with consumer groups and committed offsets, keeps everything in
memory and makes topics when they are asked for. It runs in a process of its own, so that it can be frozen.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from gateway.ingest.envelope import Envelope
from tests.faults.machinery import ROOT, end

GIVEN = os.environ.get("WEARWELL_TEST_KAFKA")
PARTITIONS = 4
SESSION_S = 6.0 if GIVEN else 4.0  # a real broker allows no less by default; the mock one waits 3 s for first members
CLUSTER = """
import signal, confluent_kafka
producer = confluent_kafka.Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 2})
[broker] = producer.list_topics(timeout=20).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
signal.pause()
"""


class Cluster:
    """The broker; where none is given, a process of this test run's own."""

    def __init__(self) -> None:
        self.mock = GIVEN is None
        self.process: subprocess.Popen[str] | None = None
        if GIVEN:
            self.address = GIVEN
            return
        self.process = subprocess.Popen([sys.executable, "-c", CLUSTER], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            assert self.process.stdout
            self.process.stdout.close()
            end(self.process, signal.SIGKILL)  # type: ignore[arg-type]  # its output is text; nobody reads it there

    def tell(self, number: int) -> None:
        """Send the mock cluster's process a signal."""
        assert self.process
        self.process.send_signal(number)


class Log:
    """Topics and a group of one test's own, with a client that is not the gateway's: what the bridge does."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        name = f"test.{uuid.uuid4().hex[:8]}"
        self.up, self.down, self.group = f"{name}.up", f"{name}.down", name
        client = {"bootstrap.servers": cluster.address, "log_level": 2}
        admin = AdminClient(client)
        if not cluster.mock:
            for made in admin.create_topics([NewTopic(each, PARTITIONS) for each in (self.up, self.down)]).values():
                made.result(20)
        for topic in (self.up, self.down):  # asking makes the mock cluster make it
            admin.list_topics(topic, timeout=20)
        self.producer = Producer(client)
        self._consumer = Consumer(client | {"group.id": f"{name}.bridge", "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(self.down, part, 0) for part in range(PARTITIONS)])
        self._told: list[tuple[str, bytes]] = []

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a gateway take part, by the settings' names."""
        return {
            "kafka_url": f"kafka://{self.cluster.address}",
            "kafka_topics": self.up,
            "kafka_down_topic": self.down,
            "kafka_group": self.group,
        }

    @property
    def env(self) -> dict[str, str]:
        """The same for a process of its own."""
        told = {f"WEARWELL_{name.upper()}": value for name, value in self.settings.items()}
        return told | {"WEARWELL_TEST_SESSION": str(SESSION_S)}

    def say(self, *messages: Envelope, **changes: Any) -> None:
        """Produce messages as the bridge does, each under its device; `changes` override what a record has."""
        for message in messages:
            record = {
                "key": message.topic.split("/")[2],
                "value": message.payload,
                "headers": [("topic", message.topic.encode())],
            }
            self.producer.produce(self.up, **(record | changes))
        assert 0 == self.producer.flush(20)

    def told(self) -> list[tuple[str, bytes]]:
        """Return everything that was said to units so far: MQTT topic and payload."""
        for record in self._consumer.consume(1_000, timeout=0.1):
            if record.error():
                raise KafkaException(record.error())
            topic = dict(record.headers() or ())["topic"].decode()
            assert topic.split("/")[2].encode() == record.key()
            self._told.append((topic, record.value()))
        return self._told

    def committed(self) -> dict[int, int]:
        """Return the offsets that the group has committed, by partition."""
        client = Consumer({"bootstrap.servers": self.cluster.address, "group.id": self.group, "log_level": 2})
        try:
            found = client.committed([TopicPartition(self.up, part) for part in range(PARTITIONS)], timeout=20)
        finally:
            client.close()
        return {part.partition: part.offset for part in found if part.offset >= 0}

    def ends(self) -> dict[int, int]:
        """Return the offsets at which the partitions end, where they hold anything."""
        found = {
            part: self._consumer.get_watermark_offsets(TopicPartition(self.up, part), timeout=20)[1]
            for part in range(PARTITIONS)
        }
        return {part: offset for part, offset in found.items() if offset}

    def close(self) -> None:
        self._consumer.close()


def payloads(envelopes: Iterable[Envelope]) -> list[bytes]:
    """Return what messages say, in order."""
    return [envelope.payload for envelope in envelopes]
