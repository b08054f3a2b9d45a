"""A recorded unit's connection: its own credential, QoS 1, every message acknowledged before it hangs up."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import Unreachable

PATIENCE_S = 60.0
WELCOME_S = 15.0
UNDER_WAY = 500  # messages without acknowledgement: brokers queue a bounded number


class Publisher:
    """Publishes as one unit; a context manager."""

    def __init__(self, host: str, port: int, device: str, secret: str) -> None:
        self._where = (host, port)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, device, protocol=mqtt.MQTTv311)
        self._client.username_pw_set(device, secret)
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.on_connect = self._answered
        self._welcome = threading.Event()
        self._said = "it says nothing"

    def __enter__(self) -> Self:
        """Connect; a broker that was told of a new credential a moment ago may refuse it for another moment."""
        try:
            self._client.connect(*self._where)
        except OSError as error:
            raise Unreachable(f"the broker at {self._where[0]}:{self._where[1]} does not answer: {error}") from None
        self._client.loop_start()
        if not self._welcome.wait(WELCOME_S):
            self._client.loop_stop()
            raise Unreachable(f"the broker does not let the unit in: {self._said}")
        return self

    def _answered(
        self, _: mqtt.Client, __: object, ___: mqtt.ConnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._said = str(reason)
        if not reason.is_failure:
            self._welcome.set()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, messages: Iterable[tuple[str, bytes]]) -> int:
        """Publish (topic, payload) pairs in order, wait for every acknowledgement, and return how many there were.

        Raises Unreachable when the broker stops acknowledging.
        """
        waiting: list[mqtt.MQTTMessageInfo] = []
        count = 0
        for topic, payload in messages:
            waiting.append(self._client.publish(topic, payload, qos=1))
            count += 1
            if len(waiting) >= UNDER_WAY:
                self._settle(waiting)
        self._settle(waiting)
        return count

    @staticmethod
    def _settle(waiting: list[mqtt.MQTTMessageInfo]) -> None:
        for info in waiting:
            info.wait_for_publish(PATIENCE_S)
            if not info.is_published():
                raise Unreachable("the broker does not acknowledge what is published; is the credential known to it?")
        waiting.clear()
