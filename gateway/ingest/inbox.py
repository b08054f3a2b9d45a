"""What the broker delivered and nobody has stored yet: bounded, handed over in batches."""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from operator import add

from gateway.ingest import clocks
from gateway.ingest.mail import Mail

LINGER = 0.02  # seconds that a small batch waits for company
SMALL = 2_000  # messages from which on it need not: the next one takes what comes meanwhile
PATIENCE = 10.0  # seconds that the broker's thread waits for room, well within the keepalive
WEIGHTY = 8_388_608  # bytes of topics and payloads in a batch: what is made of them takes up to thirty times as much
HEAVY = 134_217_728  # bytes of them that are held at most, one read of the network aside


class Inbox:
    """A buffer between the broker's thread and the one that stores.

    When it is full, the broker's thread waits, so that the broker is slowed down; brokers have been seen to send far
    more than the window they were told. While nothing is stored for long, messages are let go unacknowledged: the
    broker keeps them and delivers them again on the next connection, and `spilled` says that one is needed.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.spilled = 0
        self._held: deque[tuple[Mail, int]] = deque()  # what came together, and its bytes
        # Each counted by one thread alone.
        self._came = self._left = self._bytes_came = self._bytes_left = 0
        self._news, self._room = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return self._came - self._left

    @property
    def oldest(self) -> datetime | None:
        """When the message was received that has lain here longest."""
        with suppress(IndexError):  # the other thread took it meanwhile
            return clocks.moment(self._held[0][0].received[0])
        return None

    @property
    def full(self) -> bool:
        """Whether no more should come in."""
        return len(self) >= self.size or self._bytes_came - self._bytes_left >= HEAVY

    def put(self, mail: Mail) -> None:
        """Add messages, when there is room; what finds none within `PATIENCE` seconds is counted as spilled."""
        for first in range(0, len(mail), self.size):
            some = mail[first : first + self.size]
            if self.full and not self._wait_for_room():
                self.spilled += len(some)
                continue
            weight = sum(_weights(some))
            self._came += len(some)  # before they can be taken: a length is never below zero
            self._bytes_came += weight
            self._held.append((some, weight))
            if not self._news.is_set():
                self._news.set()

    def take(self, limit: int, wait: float) -> Mail:
        """Return up to `limit` messages, oldest first; none where none came within `wait` seconds, fewer heavy ones."""
        found = Mail()
        if not self._held and not self._news.wait(wait):
            return found
        if 0 < len(self) < min(limit, SMALL):
            time.sleep(LINGER)
        self._news.clear()
        weight = 0
        whole = True
        while whole and self._held and len(found) < limit:
            some, weighs = self._held.popleft()
            whole = len(some) <= limit - len(found) and weight + weighs <= WEIGHTY
            if not whole:
                some, weighs = self._split(some, weighs, limit - len(found), WEIGHTY - weight, one=not found)
            found.extend(some)
            weight += weighs
        self._left += len(found)
        self._bytes_left += weight
        self._room.set()
        return found

    def _split(self, mail: Mail, weighs: int, most: int, weight: int, *, one: bool) -> tuple[Mail, int]:
        """Hold again what is more than `most` messages or heavier than `weight`; return the others and their weight.

        one: at least one is returned, however heavy.
        """
        upto = list(accumulate(_weights(mail[:most])))
        fit = max(bisect_right(upto, weight), int(one))
        taken = upto[fit - 1] if fit else 0
        if fit < len(mail):
            self._held.appendleft((mail[fit:], weighs - taken))
        return mail[:fit], taken

    def _wait_for_room(self) -> bool:
        end = time.monotonic() + PATIENCE
        while not self.spilled and self.full:  # once some are gone, their followers are of no use
            self._room.clear()
            if self.full and not self._room.wait(max(end - time.monotonic(), 0)):
                return False
        return not self.spilled


def _weights(mail: Mail) -> Iterable[int]:
    return map(add, map(len, mail.topics), map(len, mail.payloads))
