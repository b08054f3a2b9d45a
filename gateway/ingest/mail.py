"""Messages on their way into the store, as columns: to make an object of each costs more than to carry it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Self, overload

from gateway.ingest import clocks
from gateway.ingest.envelope import Envelope, Handle, Released

Told = tuple[str | None, bool, bool, Released | None, str | None, bool]
"""An envelope's fields from content_type to tried."""


def told_of(envelope: Envelope) -> Told:
    """Return what the broker says of a message beyond its columns."""
    return envelope[3:-1]


new = tuple.__new__  # a named tuple's own constructor costs more than what is put into it

NOTHING = told_of(Envelope("", b"", clocks.EPOCH))
AGAIN = told_of(Envelope("", b"", clocks.EPOCH, again=True))


@dataclass(slots=True)
class Mail(Sequence[Envelope]):
    """n messages in the order in which they came: a sequence of envelopes, each of which is made when it is asked for.

    topics, payloads, received, handles: (n,) as in an envelope; received in microseconds since 2000. odd: what there is
    to say of a message beyond these, by its place, where there is anything.
    """

    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    handles: list[Handle | None] = field(default_factory=list)
    odd: dict[int, Told] = field(default_factory=dict)

    @classmethod
    def of(cls, envelopes: Iterable[Envelope]) -> Self:
        """Make mail of messages; what is mail already stays what it is."""
        if isinstance(envelopes, cls):
            return envelopes
        mail = cls()
        for envelope in envelopes:
            mail.add(envelope)
        return mail

    def add(self, envelope: Envelope) -> None:
        """Put one message behind the others."""
        if (told := told_of(envelope)) != NOTHING:
            self.odd[len(self)] = told
        self.topics.append(envelope.topic)
        self.payloads.append(envelope.payload)
        self.received.append(clocks.micros(envelope.received_at))
        self.handles.append(envelope.handle)

    def extend(self, more: Self) -> None:
        """Put messages behind these."""
        here = len(self)
        self.odd.update((here + place, told) for place, told in more.odd.items())
        self.topics += more.topics
        self.payloads += more.payloads
        self.received += more.received
        self.handles += more.handles

    def chosen(self, some: Sequence[bool]) -> Self:
        """Return the messages for which `some`, (n,), is true."""
        return type(self)(
            list(compress(self.topics, some)),
            list(compress(self.payloads, some)),
            list(compress(self.received, some)),
            list(compress(self.handles, some)),
            self._odd_among(compress(range(len(self)), some)),
        )

    def without_handles(self) -> Self:
        """Return the messages as whoever only stores them needs them."""
        return type(self)(self.topics, self.payloads, self.received, [None] * len(self), self.odd)

    def __len__(self) -> int:
        return len(self.topics)

    @overload
    def __getitem__(self, place: int) -> Envelope: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Envelope | Self:
        every = range(len(self))
        if not isinstance(place, slice):
            return self._envelope(every[place])
        odd = self._odd_among(every[place])
        return type(self)(self.topics[place], self.payloads[place], self.received[place], self.handles[place], odd)

    def __iter__(self) -> Iterator[Envelope]:
        return map(self._envelope, range(len(self)))

    def _envelope(self, place: int) -> Envelope:
        moment = clocks.moment(self.received[place])
        told = self.odd.get(place, NOTHING)
        return new(Envelope, (self.topics[place], self.payloads[place], moment, *told, self.handles[place]))

    def _odd_among(self, places: Iterable[int]) -> dict[int, Told]:
        """Return what there is to say of the messages at these places, by the places that they have among them."""
        return {at: self.odd[place] for at, place in enumerate(places) if place in self.odd} if self.odd else {}
