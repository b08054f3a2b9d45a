"""A publisher that costs the machine next to nothing: MQTT 3.1.1 packets made beforehand, written from a socket.

What is measured is the broker and who listens to it, so that the publisher must not be what is slow.
"""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Self

from tests.benchmarks.ingest.load import Message

UNDER_WAY = 2_000  # messages that the broker may owe an acknowledgement for
PUBLISH_QOS_1, ACK_BYTES = 0x32, 4


class Publisher:
    """One client that publishes at QoS 1; a context manager."""

    def __init__(self, port: int, name: str = "bench-publisher") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        told = name.encode()
        body = b"\x00\x04MQTT\x04\x02" + struct.pack("!HH", 600, len(told)) + told
        self._socket.sendall(bytes((0x10, len(body))) + body)
        if self._read(4)[3]:
            raise ConnectionError("the broker refuses the publisher")
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def publish(self, messages: Sequence[Message], per_s: float | None = None) -> list[float]:
        """Publish messages, as fast as the broker takes them or at a steady rate; return when each was handed over.

        Times are those of time.time(). Returns once the broker has acknowledged them all.
        """
        packets = [self._packet(message) for message in messages]
        acknowledged = threading.Semaphore(UNDER_WAY)
        reader = threading.Thread(target=self._acknowledgements, args=(len(packets), acknowledged))
        reader.start()
        at: list[float] = []
        began = time.monotonic()
        step = 200 if per_s is None else max(1, round(per_s / 500))
        for first in range(0, len(packets), step):
            some = packets[first : first + step]
            if per_s is not None:
                time.sleep(max(0.0, began + first / per_s - time.monotonic()))
            for _ in some:
                acknowledged.acquire()
            at += [time.time()] * len(some)
            self._socket.sendall(b"".join(some))
        reader.join()
        return at

    def _packet(self, message: Message) -> bytes:
        self._number = self._number % 65_535 + 1
        topic = message.topic.encode()
        body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", self._number) + message.payload
        return bytes((PUBLISH_QOS_1,)) + _length(len(body)) + body

    def _acknowledgements(self, count: int, acknowledged: threading.Semaphore) -> None:
        left = count * ACK_BYTES
        odd = 0
        while left:
            got = len(self._socket.recv(65_536))
            if not got:
                raise ConnectionError("the broker hung up on the publisher")
            left -= got
            whole, odd = divmod(odd + got, ACK_BYTES)
            if whole:
                acknowledged.release(whole)

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            found += self._socket.recv(size - len(found))
        return found


def _length(size: int) -> bytes:
    """Return a length as MQTT writes it: seven bits a byte, the lowest first."""
    found = bytearray()
    while True:
        size, low = divmod(size, 128)
        found.append(low | (0x80 if size else 0))
        if not size:
            return bytes(found)
