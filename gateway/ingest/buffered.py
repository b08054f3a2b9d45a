"""paho's client, made quick for many small messages.

It reads from a buffer (one system call for many packets, where paho makes four for each), takes plain QoS 1 messages
apart itself (paho builds a property table for each), and acknowledges many in one packet. Everything else is paho's.
tests/integration/test_ingest_service.py holds for both ways.
"""

import struct
from collections.abc import Iterable
from typing import Any, Protocol

from paho.mqtt.client import PUBACK, Client
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

CHUNK = 65_536  # bytes read at once
RETAIN, QOS_1, DUP = 0x01, 0x02, 0x08  # bits of a PUBLISH packet's first byte
AT_ONCE = 200  # packets handled before paho looks at what is to be written


class BufferedSocket:
    """A socket that reads ahead; `pending` tells paho, as for TLS, that there is more than select can see."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._held = memoryview(b"")
        self.fileno, self.send, self.close = socket.fileno, socket.send, socket.close
        self.setblocking = socket.setblocking

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; raises what the socket raises when it has none."""
        if not self._held:
            self._held = memoryview(self._socket.recv(CHUNK))
        found = self._held[:size]
        self._held = self._held[size:]
        return bytes(found)

    def pending(self) -> int:
        """Return how many bytes can be read without asking the network."""
        return len(self._held) or (self._socket.pending() if hasattr(self._socket, "pending") else 0)


class Arrived(Protocol):
    """What is called, in the client's thread, with each plain message of QoS 1."""

    def __call__(self, topic: bytes, payload: bytes, mid: int, *, again: bool, retained: bool) -> None: ...


class BufferedClient(Client):
    """A client over a buffered socket; messages with properties, or of another QoS, go to `on_message`."""

    arrived: Arrived | None = None

    def _handle_publish(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        five = self._protocol == MQTTProtocolVersion.MQTTv5
        end = 2 + (packet[0] << 8 | packet[1])  # of the topic; message id and, in MQTT 5, properties' length follow
        body = end + (3 if five else 2)
        if self.arrived is None or command & 0x06 != QOS_1 or len(packet) < body or (five and packet[body - 1]):
            return super()._handle_publish()
        self.arrived(
            bytes(packet[2:end]),
            bytes(packet[body:]),
            packet[end] << 8 | packet[end + 1],
            again=bool(command & DUP),
            retained=bool(command & RETAIN),
        )
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle what was read ahead before looking at the network again."""
        result = super().loop_read(max_packets)
        for _ in range(AT_ONCE):
            socket: Any = self._sock
            if result != MQTTErrorCode.MQTT_ERR_SUCCESS or socket is None or not socket.pending():
                break
            result = super().loop_read(max_packets)
        return result

    def ack_all(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1, as `ack` does one of them."""
        packets = b"".join(struct.pack("!BBH", PUBACK, 2, mid) for mid in mids)
        if packets:
            self._packet_queue(PUBACK, packets, 0, 1)
