"""What the broker delivered and nobody has stored yet: bounded, handed over in batches."""

import threading
import time
from collections import deque

from gateway.ingest.envelope import Envelope

LINGER = 0.02  # seconds that a batch waits for company


class Inbox:
    """A buffer between the broker's thread and the one that stores; what finds no room is let go unacknowledged.

    The broker keeps what is not acknowledged, and delivers it again on the next connection: `spilled` says that one
    is needed.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.spilled = 0
        self._held: deque[Envelope] = deque()
        self._news = threading.Event()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, envelope: Envelope) -> None:
        """Add a message, or count it as spilled."""
        if len(self._held) >= self.size:
            self.spilled += 1
            return
        self._held.append(envelope)
        if not self._news.is_set():
            self._news.set()

    def take(self, limit: int, wait: float) -> list[Envelope]:
        """Return up to `limit` messages, oldest first; none where none came within `wait` seconds."""
        if not self._held and not self._news.wait(wait):
            return []
        if 0 < len(self._held) < limit:
            time.sleep(LINGER)
        self._news.clear()
        found = [self._held.popleft() for _ in range(min(limit, len(self._held)))]
        if self._held:
            self._news.set()
        return found
