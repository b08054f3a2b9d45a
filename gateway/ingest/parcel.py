"""What travels down the pipeline: one message with what was found out about it, and what a batch of them asks for."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.ingest.content import Batch, Content
from gateway.ingest.counters import Highs, Reset
from gateway.ingest.directory import Shelf
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
    duplicates: int = 0
    events: int = 0
    gaps_opened: int = 0
    gaps_filled: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    messages: list[Message] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take in the outcome of another part of the batch."""
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.events += other.events
        self.gaps_opened += other.gaps_opened
        self.gaps_filled += other.gaps_filled
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
    outcome: Outcome = field(default_factory=Outcome)
