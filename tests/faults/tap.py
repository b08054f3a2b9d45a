"""What goes over a wire, heard at a proxy: how many messages the broker has sent at QoS 1 and nobody acknowledged."""

import threading

CONNECT, PUBLISH, PUBACK = 1, 3, 4


class Outstanding:
    """Counts messages under way on one connection; `most` is the most that there were, on any that came after."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._rest = {True: b"", False: b""}
        self._lock = threading.Lock()

    def hear(self, inward: bool, chunk: bytes) -> None:
        """Take what was sent, to the broker (`inward`) or by it; a packet may come in pieces."""
        with self._lock:
            rest = self._rest[inward] + chunk
            while (size := _size(rest)) is not None and len(rest) >= size:
                self._count(inward, rest[0])
                rest = rest[size:]
            self._rest[inward] = rest

    def _count(self, inward: bool, first: int) -> None:
        kind, quality = first >> 4, first >> 1 & 3
        if inward and kind == CONNECT:
            self.now, self._rest[False] = 0, b""
        elif inward and kind == PUBACK:
            self.now -= 1
        elif not inward and kind == PUBLISH and quality == 1:
            self.now += 1
            self.most = max(self.most, self.now)


def _size(raw: bytes) -> int | None:
    """Return how long the packet is that begins here, None while that is not known."""
    length = 0
    for place, digit in enumerate(raw[1:5]):
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return 2 + place + length
    return None
