"""What travels down the pipeline: one message with what was found out about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from gateway.ingest.content import Content, Numbers
from gateway.ingest.directory import Shelf
from gateway.ingest.envelope import Envelope
from gateway.ingest.rejection import Rejected
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


class Parcel(Struct):
    """A message, what it says, whose it is, what of it was refused, and of which samples, where not of all."""

    envelope: Envelope
    received: int  # microseconds since 2000
    address: Address | None = None
    contents: Sequence[Content] = ()
    sender: Sender | None = None
    refused: tuple[Rejected, ...] = ()
    places: list[int] | None = None
    turn: int = 0  # among those that came with it

    @property
    def plain(self) -> bool:
        """Whether it is one batch of our own protocol, of numbers alone."""
        return len(self.contents) == 1 and type(self.contents[0]) is Numbers

    def refuse(self, reason: Rejected) -> None:
        """Refuse the whole message."""
        self.contents = ()
        self.leave_out(reason)

    def leave_out(self, reason: Rejected) -> None:
        """Refuse a part of the message; where that was found out is forgotten, since its frames hold the message."""
        reason.__traceback__ = reason.__context__ = None
        self.refused = (*self.refused, reason)
