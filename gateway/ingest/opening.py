"""Messages are opened: who speaks, and what is said.

Most are batches of numbers in JSON. Of these, a handful of hundreds are read in one go, which costs less than half of
what reading one after another does; where any of a handful is of another kind, each is read by itself.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter

import structlog

from gateway.ingest import clocks, payload, rejection, topics
from gateway.ingest.adapters import ADAPTERS
from gateway.ingest.envelope import Envelope
from gateway.ingest.mail import Mail
from gateway.ingest.parcel import Parcel
from gateway.ingest.plain import Plain
from gateway.ingest.rejection import Rejected

log = structlog.get_logger()

HANDFUL = 250  # messages read at once: so many lose that where one of them is odd
TELEMETRY = {"tlm"}  # the kind that our own protocol alone knows

_kind = attrgetter("kind")


def opened_all(mail: Mail) -> tuple[Plain, list[Parcel]]:
    """Read messages: the plain ones, and the others; whatever is wrong with one stands in its parcel's `refused`."""
    plain: list[Plain] = []
    others: list[Parcel] = []
    for first in range(0, len(mail), HANDFUL):
        some = mail[first : first + HANDFUL]
        if (alike := _alike(first, some)) is not None:
            plain.append(alike)
            continue
        parcels = [opened(envelope, turn) for turn, envelope in enumerate(some, first)]
        plain.append(Plain.among(parcels))
        others += [parcel for parcel in parcels if not parcel.plain]
    return Plain.joined(plain), others


def opened_again(mail: Mail, turns: Sequence[int]) -> Iterator[Parcel]:
    """Read messages that were plain once more, as they say by themselves; turns: their places in the mail."""
    for first in range(0, len(turns), HANDFUL):
        some = turns[first : first + HANDFUL]
        batches = payload.quick_all([mail.payloads[turn] for turn in some])
        if batches is None:  # not all are JSON
            yield from (opened(mail[turn], turn) for turn in some)
            continue
        for turn, batch in zip(some, batches, strict=True):
            yield Parcel(mail[turn], mail.received[turn], topics.parse(mail.topics[turn]), (batch,), turn=turn)


def opened(envelope: Envelope, turn: int = 0) -> Parcel:
    """Read a message; whatever is wrong with it stands in `refused`. turn: its place among those that came with it."""
    parcel = Parcel(envelope, clocks.micros(envelope.received_at), turn=turn)
    try:
        _open(parcel, envelope)
    except Rejected as reason:
        parcel.refuse(reason)
    except Exception as error:  # what an adapter did not expect is one message's fault, and holds up no other
        log.exception("a message cannot be read", topic=envelope.topic)
        parcel.refuse(rejection.Indigestible.because(error))
    return parcel


def _open(parcel: Parcel, envelope: Envelope) -> None:
    """Find out who speaks, and what is said; raises a Rejected."""
    address = topics.parse(envelope.topic)
    if envelope.key is not None and envelope.key != address.device:
        raise rejection.OtherKey(f"Its key says {envelope.key[:64]!r}, its topic {address.device!r}.")
    parcel.address = address
    parcel.contents = ADAPTERS[address.adapter](address, envelope)


def _alike(first: int, mail: Mail) -> Plain | None:
    """Read messages that are all plain telemetry of our own protocol; None: look at each."""
    try:
        addresses = list(map(topics.parse, mail.topics))
    except rejection.UnknownTopic:
        return None
    for place, (encoding, retained, _, _, key, _) in mail.odd.items():
        if encoding or retained or key not in {None, addresses[place].device}:
            return None
    if set(map(_kind, addresses)) != TELEMETRY or (batches := payload.quick_all(mail.payloads)) is None:
        return None
    return Plain.of(range(first, first + len(mail)), mail.received, addresses, batches)
