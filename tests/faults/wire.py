"""As much of MQTT 3.1.1 as a unit needs, for thousands of them in one event loop."""

import asyncio
import struct
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK = 2, 3, 4


class Packet(NamedTuple):
    """One packet: its kind, its flags, its body."""

    kind: int
    flags: int
    body: bytes


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def _packet(first: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def connect(client: str, keepalive: int = 300) -> bytes:
    """Return CONNECT with a session that lasts."""
    return _packet(0x10, _text("MQTT") + bytes([4, 0]) + struct.pack("!H", keepalive) + _text(client))


def subscribe(topic: str) -> bytes:
    """Return SUBSCRIBE at QoS 1, as message 1."""
    return _packet(0x82, struct.pack("!H", 1) + _text(topic) + b"\x01")


def publish(topic: str, payload: bytes, mid: int) -> bytes:
    """Return PUBLISH at QoS 1."""
    return _packet(0x32, _text(topic) + struct.pack("!H", mid) + payload)


def puback(mid: bytes) -> bytes:
    """Return PUBACK for a message id as it came."""
    return _packet(0x40, mid)


async def read(reader: asyncio.StreamReader) -> Packet:
    """Return the next packet; raises asyncio.IncompleteReadError at the end of the connection."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return Packet(first >> 4, first & 0x0F, await reader.readexactly(length))


def message(packet: Packet) -> tuple[str, bytes, bytes]:
    """Return topic, payload and message id (empty at QoS 0) of a PUBLISH."""
    end = 2 + int.from_bytes(packet.body[:2])
    start = end + (2 if packet.flags & 0x06 else 0)
    return packet.body[2:end].decode(), packet.body[start:], packet.body[end:start]
