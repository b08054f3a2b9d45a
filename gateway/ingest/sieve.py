"""Takes PUBLISH and PUBACK packets out of the bytes that a broker sends, in one pass over what one read brought.

What else comes, a few packets an hour, is left to the MQTT library, byte for byte: it would make an object of each
message, and a system call for each part of it, which costs several times what storing the message does.
MQTT 3.1.1 and MQTT 5.0, sections 3.3 and 3.4.
"""

from collections.abc import Callable
from typing import NamedTuple

PUBLISH, PUBACK = 0x30, 0x40  # of a packet's first byte
QOS, RETAIN, DUP = 0x06, 0x01, 0x08  # likewise, of a PUBLISH
LARGEST = 2 * 1_048_576  # bytes of a packet that is taken; the broker was told that we take half of it

# Properties of a PUBLISH in MQTT 5, by how long they are.
CONTENT_TYPE, TEXTS, PAIR, WHOLE = 0x03, (0x03, 0x08, 0x09), 0x26, 0x0B
FIXED = {0x01: 1, 0x02: 4, 0x23: 2}

new = tuple.__new__  # a named tuple's own constructor costs more than what is put into it


class Published(NamedTuple):
    """One message; `mid` is None at QoS 0, and `flags` are the packet's first byte."""

    topic: bytes
    payload: bytes
    mid: int | None
    flags: int
    content_type: str | None


class Malformed(ValueError):
    """The packet is none that the standard knows."""


class Sieve:
    """One connection's bytes: `feed` hands on, in order, messages and the ids of those that the broker has of us."""

    def __init__(
        self,
        arrived: Callable[[list[Published]], None],
        acknowledged: Callable[[list[int]], None],
        *,
        five: bool,
    ) -> None:
        self.arrived = arrived
        self.acknowledged = acknowledged
        self.five = five
        self._held = b""  # the beginning of a packet
        self._through = 0  # bytes of a packet that are still to be left to the library

    def feed(self, data: bytes) -> bytes:
        """Take in what the broker sent; hand on the messages that are whole and return the other packets' bytes."""
        data = self._held + data if self._held else data
        end, at = len(data), 0
        found: list[Published] = []
        mids: list[int] = []
        other: list[bytes] = []
        while at < end:
            if self._through:
                step = min(self._through, end - at)
                other.append(data[at : at + step])
                self._through -= step
                at += step
                continue
            size, body = _length(data, at + 1, end)
            if body < 0:
                break
            whole = body + size
            kind = data[at] & 0xF0
            if kind not in {PUBLISH, PUBACK} or not 2 <= size <= LARGEST:
                self._through = whole - at
                continue
            if whole > end:
                break
            if kind == PUBACK:
                mids.append(data[body] << 8 | data[body + 1])
                at = whole
                continue
            try:
                found.append(self._published(data, at, body, whole))
            except Malformed:  # the library says so, and hangs up
                self._through = whole - at
                continue
            at = whole
        self._held = data[at:]
        if mids:
            self.acknowledged(mids)
        if found:
            self.arrived(found)
        return b"".join(other)

    def _published(self, data: bytes, at: int, body: int, whole: int) -> Published:
        flags = data[at]
        begin = body + 2
        end = begin + (data[body] << 8 | data[body + 1]) if begin <= whole else whole + 1
        topic, mid, kind = data[begin:end], None, None
        if flags & QOS:
            if flags & QOS != 0x02:
                raise Malformed("we never asked for QoS 2")
            end += 2
            mid = data[end - 2] << 8 | data[end - 1] if end <= whole else 0
        if self.five and end < whole:
            if data[end]:
                end, kind = _content_type(data, end, whole)
            else:
                end += 1
        elif self.five:
            raise Malformed("it ends before its properties")
        if end > whole:
            raise Malformed("it ends too early")
        return new(Published, (topic, data[end:whole], mid, flags, kind))


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ended; -1 where more is to come. Four bytes are the longest."""
    if at + 1 < end and data[at + 1] < 0x80 <= data[at]:  # two bytes, as most have
        return data[at] & 0x7F | data[at + 1] << 7, at + 2
    value = shift = 0
    for place in range(at, min(at + 4, end)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    return (LARGEST + 1, at + 4) if end >= at + 4 else (0, -1)


def _content_type(data: bytes, at: int, whole: int) -> tuple[int, str | None]:
    """Return where the properties end and the content type among them; raises Malformed."""
    size, at = _length(data, at, whole)
    end = at + size
    if at < 0 or end > whole:
        raise Malformed("its properties are longer than itself")
    kind: str | None = None
    while at < end:
        name = data[at]
        at += 1
        if name in FIXED:
            at += FIXED[name]
        elif name == WHOLE:
            at = _length(data, at, end)[1]
            if at < 0:
                raise Malformed("a number does not end")
        elif name in TEXTS or name == PAIR:
            for _ in range(2 if name == PAIR else 1):
                begin = at + 2
                at = begin + int.from_bytes(data[at:begin])
                if name == CONTENT_TYPE:
                    kind = data[begin:at].decode("utf-8", "replace")
        else:
            raise Malformed("it has a property that no message has")
    if at != end:
        raise Malformed("its properties end too early")
    return end, kind
