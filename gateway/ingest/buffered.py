"""paho's client, made quick for many small messages: it connects, subscribes, pings and comes back as ever.

It is given a socket that keeps messages from it (sieve.py), and bytes to send that it did not make. These are the two
places where it reaches into paho; tests/integration/test_ingest_service.py holds for both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from paho.mqtt.client import PUBACK, Client
from paho.mqtt.enums import MQTTProtocolVersion

from gateway.ingest.mail import Mail
from gateway.ingest.posting import Posting
from gateway.ingest.sieve import Sieve

CHUNK = 262_144  # bytes read at once
ACKNOWLEDGEMENT = np.dtype([("kind", "u1"), ("length", "u1"), ("mid", ">u2")])  # a PUBACK packet


class SievedSocket:
    """A socket that hands messages on by itself and lets its reader see all other packets."""

    def __init__(self, socket: Any, sieve: Sieve) -> None:
        self._socket = socket
        self._sieve = sieve
        self._left = b""
        self.fileno, self.send, self.close = socket.fileno, socket.send, socket.close
        self.setblocking = socket.setblocking

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; raises what the socket raises, and BlockingIOError where all were messages."""
        if not self._left:
            data = self._socket.recv(CHUNK)
            if not data:
                return b""  # the broker hung up
            self._left = self._sieve.feed(data)
            if not self._left:
                raise BlockingIOError
        found, self._left = self._left[:size], self._left[size:]
        return found

    def pending(self) -> int:
        """Return how many bytes can be read without asking the network: what select cannot see."""
        return len(self._left) or (self._socket.pending() if hasattr(self._socket, "pending") else 0)


class BufferedClient(Client):
    """A client whose messages of QoS 0 and 1 go, many at once and in order, to `arrived`, in the client's thread.

    `posting` publishes; what it is told of acknowledgements comes from that thread as well.
    """

    opened: Callable[[], int]  # numbers a connection before its first byte: messages may come with its CONNACK
    arrived: Callable[[Mail], None]
    posting: Posting

    def _create_socket(self) -> Any:
        five = self._protocol == MQTTProtocolVersion.MQTTv5
        plain = super()._create_socket()
        connection = self.opened()
        return SievedSocket(plain, Sieve(self.arrived, self.posting.acknowledged, five=five, connection=connection))

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1."""
        numbers = np.fromiter(mids, ">u2")
        if numbers.size:
            packets = np.empty(numbers.size, ACKNOWLEDGEMENT)
            packets["kind"], packets["length"], packets["mid"] = PUBACK, 2, numbers
            self.send_packets(packets.tobytes())

    def send_packets(self, packets: bytes) -> None:
        """Send packets as they are, from any thread."""
        self._packet_queue(PUBACK, packets, 0, 0)  # type: ignore[no-untyped-call, unused-ignore]  # paho's own, untyped
