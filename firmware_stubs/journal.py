"""A unit's journal: what it has read and not yet been told is safe.

A sample leaves the journal by a receipt that covers it, and in no other way. A full journal takes no new sample: the
oldest stay, no sequence number is used up, and the counters, being cumulative, carry the sum across the hole.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from firmware_stubs import wire
from firmware_stubs.wire import Sample

CAP = 20_000  # samples: more than two years of one an hour; about 2 MB packed on a real unit's flash


@dataclass(slots=True)
class Lane:
    """The samples of one session, in sequence; `cursor` was sent since the last rewind, `told` was ever sent.

    Sequence numbers in `refused` lie in the gateway's quarantine: they stay here, and are not sent again.
    """

    samples: deque[Sample] = field(default_factory=deque)
    cursor: int = 0
    told: int = 0
    refused: set[int] = field(default_factory=set)

    def after(self, sequence: int) -> Iterator[Sample]:
        """Iterate over the samples behind a sequence number."""
        first = self.samples[0].sequence if self.samples else 0
        return islice(self.samples, max(0, sequence + 1 - first), None)


class Journal:
    """Samples by session, until their receipt."""

    def __init__(self, cap: int = CAP) -> None:
        self.cap = cap
        self.receipted = 0  # samples that have left
        self._lanes: dict[int, Lane] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Sample]:
        return (sample for lane in self._lanes.values() for sample in lane.samples)

    def memory(self) -> list[list[Any]]:
        """Return, for JSON, every sample that is here."""
        return [[sample.session, sample.sequence, sample.at, sample.clock, dict(sample.values)] for sample in self]

    def recall(self, memory: list[list[Any]]) -> None:
        """Take in the samples of a memory, whose sessions are over.

        It may be older than the last that was sent of them: any receipt for these sessions counts.
        """
        for fields in memory:
            self.append(Sample(*fields))
        for lane in self._lanes.values():
            lane.told = wire.LARGEST

    @property
    def full(self) -> bool:
        """Whether it takes no further sample."""
        return self._size >= self.cap

    @property
    def outstanding(self) -> int:
        """How many samples were sent and wait for their receipt."""
        return sum(max(0, lane.cursor - lane.samples[0].sequence + 1) for lane in self._lanes.values() if lane.samples)

    @property
    def unsent(self) -> int:
        """How many samples wait to be sent."""
        return self._size - self.outstanding

    def append(self, sample: Sample) -> None:
        """Keep a sample; those of a session come in sequence. Raises ValueError when it is full or out of sequence."""
        if self.full:
            raise ValueError("the journal is full")
        lane = self._lanes.setdefault(sample.session, Lane())
        if lane.samples and sample.sequence != lane.samples[-1].sequence + 1:
            raise ValueError(f"sequence {sample.sequence} does not follow {lane.samples[-1].sequence}")
        lane.samples.append(sample)
        self._size += 1

    def take(self, limit: int) -> list[Sample]:
        """Return up to `limit` unsent samples that may stand in one batch, the oldest first; they count as sent."""
        for lane in self._lanes.values():
            taken: list[Sample] = []
            waiting = (sample for sample in lane.after(lane.cursor) if sample.sequence not in lane.refused)
            for sample in islice(waiting, limit):
                if taken and not wire.follows(taken[-1], sample):
                    break
                taken.append(sample)
            if taken:
                lane.cursor = taken[-1].sequence
                lane.told = max(lane.told, lane.cursor)
                return taken
        return []

    def rewind(self) -> None:
        """Count everything as unsent: the connection was lost, or the receipt stayed away."""
        for lane in self._lanes.values():
            lane.cursor = 0

    def receipt(self, session: int, through: int) -> int:
        """Drop what is safe and return how many samples that were.

        A receipt for what was never sent is not about this journal: nothing is dropped.
        """
        lane = self._lanes.get(session)
        if lane is None or through > lane.told:
            return 0
        dropped = 0
        while lane.samples and lane.samples[0].sequence <= through:
            lane.refused.discard(lane.samples.popleft().sequence)
            dropped += 1
        self._size -= dropped
        self.receipted += dropped
        return dropped

    def refuse(self, session: int, first: int, last: int) -> None:
        """Set a refused batch aside, until the gateway gives it up and its receipt moves on."""
        for sample in self.between(session, first, last):
            self._lanes[session].refused.add(sample.sequence)

    def close(self, current: int) -> None:
        """Forget sessions that are over and wholly safe."""
        for session in [s for s, lane in self._lanes.items() if s != current and not lane.samples]:
            del self._lanes[session]

    def between(self, session: int, first: int, last: int) -> list[Sample]:
        """Return what can still be sent of a range, for a replay."""
        lane = self._lanes.get(session)
        if lane is None:
            return []
        found = takewhile(lambda sample: sample.sequence <= last, lane.after(first - 1))
        return [sample for sample in found if sample.sequence not in lane.refused]
