"""Takes PUBLISH and PUBACK packets out of the bytes that a broker sends, in one pass over what one read brought.

What else comes, a few packets an hour, is left to the MQTT library, byte for byte: it would make an object of each
message, and a system call for each part of it, which costs several times what storing the message does.
MQTT 3.1.1 and MQTT 5.0, sections 3.3 and 3.4.
"""

from collections.abc import Callable
from datetime import datetime

from gateway import clock
from gateway.ingest import clocks
from gateway.ingest.envelope import Envelope, Handle
from gateway.ingest.mail import AGAIN, Mail

PUBLISH, PUBACK = 0x30, 0x40  # of a packet's first byte
QOS, RETAIN, DUP = 0x06, 0x01, 0x08  # likewise, of a PUBLISH
LARGEST = 2 * 1_048_576  # bytes of a packet that is taken; the broker was told that we take half of it
USUAL = 0x32  # first byte of most packets: QoS 1, not retained
REDELIVERED = USUAL | DUP

# Properties of a PUBLISH in MQTT 5, by how long they are.
CONTENT_TYPE, TEXTS, PAIR, WHOLE = 0x03, (0x03, 0x08, 0x09), 0x26, 0x0B
FIXED = {0x01: 1, 0x02: 4, 0x23: 2}

KNOWN, SHORT = 65_536, 128  # topics that are remembered, each of so many bytes at most
MIDS = 65_536  # message ids


class Malformed(ValueError):
    """The packet is none that the standard knows."""


class Sieve:
    """One connection's bytes: `feed` hands on, in order, messages and the ids of those that the broker has of us.

    `connection` is its number, which stands in each message's handle; at QoS 0 there is none.
    """

    def __init__(
        self,
        arrived: Callable[[Mail], None],
        acknowledged: Callable[[list[int]], None],
        *,
        five: bool,
        connection: int = 0,
    ) -> None:
        self.arrived = arrived
        self.acknowledged = acknowledged
        self.five = five
        self.connection = connection
        self._held = b""  # the beginning of a packet
        self._through = 0  # bytes of a packet that are still to be left to the library
        self._topics: dict[bytes, str] = {}  # as text: the same each time, so that whoever looks it up need not hash it
        self._handles: list[Handle | None] = [None] * MIDS  # made when they are first wanted

    def feed(self, data: bytes) -> bytes:
        """Take in what the broker sent; hand on the messages that are whole and return the other packets' bytes."""
        data = self._held + data if self._held else data
        end, at, now = len(data), 0, clock.now()
        found = Mail()
        mids: list[int] = []
        other: list[bytes] = []
        while at < end:
            if self._through:
                step = min(self._through, end - at)
                other.append(data[at : at + step])
                self._through -= step
                at += step
                continue
            at = self._usual(data, at, now, found)
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
                found.add(self._published(data, at, body, whole, now))
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

    def _usual(self, data: bytes, at: int, now: datetime, found: Mail) -> int:
        """Take messages of QoS 1 without properties and retaining, as most are; return where something else begins."""
        five, known, handles, last = self.five, self._topics, self._handles, len(data) - 5
        topics, payloads = found.topics, found.payloads  # not by `add`: columns are to save a call for each
        while at < last and (first := data[at]) in (USUAL, REDELIVERED):
            size = data[at + 1]
            body = at + 2
            if size >= 0x80:
                if data[body] >= 0x80:
                    break
                size += (data[body] << 7) - 0x80
                body += 1
            whole = body + size
            mid = body + 2 + (data[body] << 8 | data[body + 1])
            begin = mid + 3 if five else mid + 2
            if begin > whole or whole > len(data) or (five and data[begin - 1]):
                break
            name = data[body + 2 : mid]
            number = data[mid] << 8 | data[mid + 1]
            handle = handles[number] or self._handle(number)
            topic, payload = known.get(name) or self._topic(name), data[begin:whole]
            if first == REDELIVERED:
                found.odd[len(topics)] = AGAIN
            topics.append(topic)
            payloads.append(payload)
            found.handles.append(handle)
            at = whole
        found.received += [clocks.micros(now)] * (len(topics) - len(found.received))
        return at

    def _published(self, data: bytes, at: int, body: int, whole: int, now: datetime) -> Envelope:
        flags = data[at]
        begin = body + 2
        end = begin + (data[body] << 8 | data[body + 1]) if begin <= whole else whole + 1
        topic, handle, kind = data[begin:end], None, None
        if flags & QOS:
            if flags & QOS != 0x02:
                raise Malformed("we never asked for QoS 2")
            end += 2
            handle = Handle(self.connection, data[end - 2] << 8 | data[end - 1] if end <= whole else 0)
        if self.five and end < whole:
            if data[end]:
                end, kind = _content_type(data, end, whole)
            else:
                end += 1
        elif self.five:
            raise Malformed("it ends before its properties")
        if end > whole:
            raise Malformed("it ends too early")
        retained, again = flags & RETAIN != 0, flags & DUP != 0
        return Envelope(self._topic(topic), data[end:whole], now, kind, retained, again, handle=handle)

    def _handle(self, mid: int) -> Handle:
        """Return what acknowledges the message of this id on this connection."""
        handle = self._handles[mid] = Handle(self.connection, mid)
        return handle

    def _topic(self, name: bytes) -> str:
        """Return a topic as text, and remember it: later ones that read the same are the same, and hashed already."""
        topic = self._topics.get(name) or name.decode("utf-8", "replace")
        if len(name) <= SHORT:
            if len(self._topics) >= KNOWN:
                self._topics.clear()
            self._topics[name] = topic
        return topic


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ended; -1 where more is to come. Four bytes are the longest."""
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
