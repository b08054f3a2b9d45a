"""How far one partition of a log is done: everything before one offset, and nothing of what may be done behind it."""

from collections import deque


class Watermark:
    """Offsets of one partition that were taken, in order, and which of them were acknowledged, in any order.

    `through` is the offset that may be committed: the one behind the last message before which none is open. Offsets
    may have holes (compaction, transactions), so that only what was taken counts.
    """

    def __init__(self, assignment: int) -> None:
        self.assignment = assignment  # the one it belongs to: handles of an earlier one mean nothing
        self.through: int | None = None
        self.committed: int | None = None
        self._open: deque[int] = deque()
        self._early: set[int] = set()

    def take(self, offset: int) -> None:
        """Note a message that was taken; offsets only rise."""
        self._open.append(offset)

    def acknowledge(self, offset: int) -> None:
        """Note that a message is done, and move on as far as nothing before is open."""
        if not self._open or offset < self._open[0]:
            return  # done already
        self._early.add(offset)
        while self._open and self._open[0] in self._early:
            self._early.remove(done := self._open.popleft())
            self.through = done + 1

    @property
    def due(self) -> int | None:
        """The offset that is to be committed, or None where nothing is new."""
        return None if self.through == self.committed else self.through
