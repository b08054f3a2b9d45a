"""What the messages of one batch together ask of the store."""

from dataclasses import dataclass, field

from gateway.ingest.counters import Highs, Reset
from gateway.ingest.duplicates import Duplicates
from gateway.ingest.gathered import Gathered
from gateway.ingest.outcome import Outcome
from gateway.ingest.parcel import Sender
from gateway.ingest.presence import Presence
from gateway.ingest.sessions import Session, SessionKey


@dataclass(slots=True)
class Haul:
    """What a batch changes, over locked units."""

    presences: dict[int, Presence]
    highs: Highs
    sessions: dict[SessionKey, Session] = field(default_factory=dict)
    gathered: Gathered = field(default_factory=Gathered)
    resets: list[Reset] = field(default_factory=list)
    all_fresh: bool = True  # by their sequence numbers, none of the readings is in the store yet
    heard: dict[SessionKey, Sender] = field(default_factory=dict)  # who gets a receipt
    duplicates: Duplicates = field(default_factory=Duplicates)
    outcome: Outcome = field(default_factory=Outcome)
