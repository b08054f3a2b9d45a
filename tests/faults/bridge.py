"""A bridge between a broker and a log, as docs/operating.md asks for one: what a test needs of it, no more.

It acknowledges to the broker what the log has taken, and carries to units what the gateway tells them there.
"""

import threading
from typing import Self

import paho.mqtt.client as mqtt
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from paho.mqtt.enums import CallbackAPIVersion

from tests.faults.log import PARTITIONS, Log

UP = [("ww/v1/+/state", 1), ("ww/v1/+/tlm", 1), ("ww/v1/+/evt", 1), ("ww/v1/+/up/#", 1)]


class Bridge:
    """One client at either side; a context manager."""

    def __init__(self, port: int, log: Log) -> None:
        self.log = log
        address = {"bootstrap.servers": log.cluster.address, "log_level": 2}
        self.producer = Producer(address | {"acks": "all", "linger.ms": 5})
        self.consumer = Consumer(address | {"group.id": f"{log.group}.down", "enable.auto.commit": False})
        self.consumer.assign([TopicPartition(log.down, part, 0) for part in range(PARTITIONS)])
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bridge", clean_session=False, manual_ack=True)
        self.client.on_connect = lambda *_: self.client.subscribe(UP)
        self.client.on_message = self._up
        self.client.connect("127.0.0.1", port)
        self._stop = threading.Event()
        self._carrying = [threading.Thread(target=work) for work in (self._down, self._deliver)]

    def __enter__(self) -> Self:
        self.client.loop_start()
        for thread in self._carrying:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._carrying:
            thread.join()
        self.client.disconnect()
        self.client.loop_stop()
        self.consumer.close()

    def _up(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        headers = [("topic", message.topic.encode())] + ([("retain", b"true")] if message.retain else [])

        def taken(error: object, _: Message) -> None:
            if error is None:
                self.client.ack(message.mid, message.qos)

        key = message.topic.split("/")[2]
        self.producer.produce(self.log.up, message.payload, key=key, headers=headers, on_delivery=taken)

    def _deliver(self) -> None:
        while not self._stop.is_set():
            self.producer.poll(0.05)

    def _down(self) -> None:
        while not self._stop.is_set():
            for record in self.consumer.consume(1_000, timeout=0.05):
                topic = dict(record.headers())["topic"].decode()
                self.client.publish(topic, record.value(), qos=1)
