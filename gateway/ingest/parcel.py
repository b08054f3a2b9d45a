"""What travels down the pipeline: one message with what was found out about it, and what a batch of them asks for."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.ingest.content import Batch, Content
from gateway.ingest.counters import Highs, Reset
from gateway.ingest.directory import Shelf
from gateway.ingest.duplicates import Duplicates
from gateway.ingest.envelope import Envelope
from gateway.ingest.gathered import Gathered
from gateway.ingest.presence import Presence
from gateway.ingest.receipts import Message
from gateway.ingest.rejection import Rejected
from gateway.ingest.sessions import Session, SessionKey
from gateway.ingest.topics import Address
from gateway.registry.units import Unit


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose message it is, under which name, and where its values go."""

    unit: Unit
    device: str
    shelf: Shelf

    @property
    def hears(self) -> bool:
        """Whether it listens for receipts: units behind an adapter do not."""
        return self.unit.adapter == "wearwell"


@dataclass(slots=True)
class Parcel:
    """A message, what it says, whose it is, and what of it was refused."""

    envelope: Envelope
    received: int  # microseconds since 2000
    address: Address | None = None
    contents: list[Content] = field(default_factory=list)
    sender: Sender | None = None
    refused: list[Rejected] = field(default_factory=list)

    def refuse(self, reason: Rejected) -> None:
        """Refuse the whole message."""
        self.refused.append(reason)
        self.contents = []


# Whose batch it is, and which of its samples are new.
Said = tuple[Parcel, Sender, Batch, range | list[int]]


@dataclass(slots=True)
class Outcome:
    """What one batch came to; `messages` are to be published once it is committed."""

    stored: int = 0
    redelivered: int = 0  # readings that the broker delivered again
    resent: int = 0  # readings that the unit sent again
    events: int = 0
    gaps_opened: int = 0
    gaps_filled: int = 0
    gaps_lost: int = 0
    ages: list[NDArray[np.float64]] = field(default_factory=list)  # of the readings, on arrival, in seconds
    refused: Counter[str] = field(default_factory=Counter)
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
        self.gaps_lost += other.gaps_lost
        self.ages += other.ages
        self.refused += other.refused
        self.messages += other.messages


@dataclass(slots=True)
class Haul:
    """What the messages of one batch together ask of the store, over locked units."""

    presences: dict[int, Presence]
    highs: Highs
    sessions: dict[SessionKey, Session] = field(default_factory=dict)
    gathered: Gathered = field(default_factory=Gathered)
    said: list[Said] = field(default_factory=list)  # whose batches they are, in the same order
    resets: list[Reset] = field(default_factory=list)
    all_fresh: bool = True  # by their sequence numbers, none of the readings is in the store yet
    heard: dict[SessionKey, Sender] = field(default_factory=dict)  # who gets a receipt
    duplicates: Duplicates = field(default_factory=Duplicates)
    outcome: Outcome = field(default_factory=Outcome)
