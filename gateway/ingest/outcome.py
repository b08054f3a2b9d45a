"""What a batch came to: what is counted, and what is said back."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.receipts import Message


@dataclass(slots=True)
class Outcome:
    """What one batch came to; `messages` are to be published once it is committed."""

    stored: int = 0
    redelivered: int = 0  # readings that the broker delivered again
    resent: int = 0  # readings that the unit sent again
    events: int = 0
    gaps_opened: int = 0
    gaps_filled: int = 0
    ages: list[NDArray[np.float64]] = field(default_factory=list)  # of the readings, on arrival, in seconds
    refused: Counter[str] = field(default_factory=Counter)  # kept in quarantine, by reason
    dropped: Counter[str] = field(default_factory=Counter)  # said nothing that is kept, by reason
    messages: list[Message] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """Readings that were here already."""
        return self.redelivered + self.resent

    def add(self, other: "Outcome") -> None:
        """Take in the outcome of another part of the batch."""
        self.stored += other.stored
        self.redelivered += other.redelivered
        self.resent += other.resent
        self.events += other.events
        self.gaps_opened += other.gaps_opened
        self.gaps_filled += other.gaps_filled
        self.ages += other.ages
        self.refused += other.refused
        self.dropped += other.dropped
        self.messages += other.messages
