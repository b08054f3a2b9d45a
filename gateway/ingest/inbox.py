"""What the broker delivered and nobody has stored yet: bounded, handed over in batches."""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from operator import add, attrgetter

from gateway.ingest.envelope import Envelope

LINGER = 0.02  # seconds that a small batch waits for company
SMALL = 2_000  # messages from which on it need not: the next one takes what comes meanwhile
PATIENCE = 10.0  # seconds that the broker's thread waits for room, well within the keepalive
WEIGHTY = 8_388_608  # bytes of topics and payloads in a batch: what is made of them takes up to thirty times as much
HEAVY = 134_217_728  # bytes of them that are held at most, one read of the network aside

_topic, _payload = attrgetter("topic"), attrgetter("payload")


class Inbox:
    """A buffer between the broker's thread and the one that stores.

    When it is full, the broker's thread waits, so that the broker is slowed down; brokers have been seen to send far
    more than the window they were told. While nothing is stored for long, messages are let go unacknowledged: the
    broker keeps them and delivers them again on the next connection, and `spilled` says that one is needed.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.spilled = 0
        self._held: deque[Envelope] = deque()
        self._weight = [0, 0]  # bytes that came and bytes that left: each counted by one thread alone
        self._news, self._room = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> datetime | None:
        """When the message was received that has lain here longest."""
        with suppress(IndexError):  # the other thread took it meanwhile
            return self._held[0].received_at
        return None

    @property
    def full(self) -> bool:
        """Whether no more should come in."""
        return len(self._held) >= self.size or self._weight[0] - self._weight[1] >= HEAVY

    def put(self, envelopes: Sequence[Envelope]) -> None:
        """Add messages, when there is room; what finds none within `PATIENCE` seconds is counted as spilled."""
        for first in range(0, len(envelopes), self.size):
            some = envelopes[first : first + self.size]
            if self.full and not self._wait_for_room():
                self.spilled += len(some)
                continue
            self._held.extend(some)
            self._weight[0] += _weight(some)
            if not self._news.is_set():
                self._news.set()

    def take(self, limit: int, wait: float) -> list[Envelope]:
        """Return up to `limit` messages, oldest first; none where none came within `wait` seconds, fewer heavy ones."""
        if not self._held and not self._news.wait(wait):
            return []
        if 0 < len(self._held) < min(limit, SMALL):
            time.sleep(LINGER)
        self._news.clear()
        found = [self._held.popleft() for _ in range(min(limit, len(self._held)))]
        weight = _weight(found)
        if weight > WEIGHTY:
            upto = list(accumulate(map(add, map(len, map(_topic, found)), map(len, map(_payload, found)))))
            fit = max(bisect_right(upto, WEIGHTY), 1)
            self._held.extendleft(reversed(found[fit:]))
            del found[fit:]
            weight = upto[fit - 1]
        self._weight[1] += weight
        if self._held:
            self._news.set()
        self._room.set()
        return found

    def _wait_for_room(self) -> bool:
        end = time.monotonic() + PATIENCE
        while not self.spilled and self.full:  # once some are gone, their followers are of no use
            self._room.clear()
            if self.full and not self._room.wait(max(end - time.monotonic(), 0)):
                return False
        return not self.spilled


def _weight(envelopes: Sequence[Envelope]) -> int:
    return sum(map(len, map(_topic, envelopes))) + sum(map(len, map(_payload, envelopes)))
