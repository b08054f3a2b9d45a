"""Messages on their way to the broker at QoS 1, made into bytes by the thousand.

What the broker has not acknowledged when its connection is lost is dropped, and so is what waits: receipts are
cumulative, and a unit that hears nothing asks again.
"""

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable

from gateway.ingest.receipts import WAITING, Message

FIRST, LAST = 1_024, 65_535  # message ids; the MQTT library numbers its own few packets from 1 on
QOS_1 = 0x32  # a PUBLISH packet's first byte


class Posting:
    """What one client publishes: never more under way than the broker takes, in order, from any thread."""

    def __init__(self, send: Callable[[bytes], object], *, five: bool) -> None:
        self.send = send
        self.five = five
        self._limit = 0  # messages that may be on their way unacknowledged; 0 without a connection
        self._waiting: deque[Message] = deque(maxlen=WAITING)  # the oldest goes first where there is no room
        self._under_way: set[int] = set()
        self._number = FIRST
        self._lock = threading.Lock()

    def open(self, limit: int) -> None:
        """Begin on a new connection, on which the broker takes so many unacknowledged messages; 0: it is lost."""
        with self._lock:
            self._limit = min(limit, LAST - FIRST)
            self._waiting.clear()
            self._under_way.clear()

    def publish(self, messages: Iterable[Message]) -> None:
        """Send messages, now or when the broker has acknowledged others."""
        with self._lock:
            if self._limit:
                self._waiting.extend(messages)
                self._send_some()

    def acknowledged(self, mids: Iterable[int]) -> None:
        """Note what the broker has; it may refuse a message in the same words, and nothing can be done about that."""
        with self._lock:
            self._under_way.difference_update(mids)
            self._send_some()

    def _send_some(self) -> None:
        packets: list[bytes] = []
        while self._waiting and len(self._under_way) < self._limit:
            while self._number in self._under_way:
                self._number = self._number + 1 if self._number < LAST else FIRST
            packets.append(packet(self._waiting.popleft(), self._number, five=self.five))
            self._under_way.add(self._number)
            self._number = self._number + 1 if self._number < LAST else FIRST
        if packets:
            self.send(b"".join(packets))


def packet(message: Message, mid: int, *, five: bool) -> bytes:
    """Return a PUBLISH packet of QoS 1 without properties."""
    topic = message.topic.encode()
    head = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + (b"\x00" if five else b"")
    size = len(head) + len(message.payload)
    length = bytearray()
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return b"".join((bytes((QOS_1,)), length, head, message.payload))
