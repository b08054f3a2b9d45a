"""Samples to readings: which are new, and what of a batch had to be left out."""

import numpy as np

from gateway.ingest import believe, clocks
from gateway.ingest.content import UNNUMBERED, Batch
from gateway.ingest.directory import Catalogue
from gateway.ingest.gathered import Said
from gateway.ingest.haul import Haul
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.readings import Readings, chosen, in_order
from gateway.ingest.rejection import PARTIAL, Unbelievable, UnknownChannel


def file(haul: Haul, parcel: Parcel, sender: Sender, batch: Batch) -> None:
    """Add a batch's new samples to the haul."""
    said = Said(parcel, sender, batch)
    if batch.s == UNNUMBERED:
        haul.all_fresh = False
        haul.gathered.said.append(said)
        return
    key = sender.unit.unit_id, batch.s
    session = haul.sessions[key]
    haul.heard[key] = sender
    if batch.c == "relative" and session.anchor is None:
        session.anchor = clocks.anchor(batch.t, max(offset for offset, _ in batch.r), parcel.received)
    said.zero = session.anchor
    last = batch.q + len(batch.r) - 1
    if not session.sequence.follow(batch.q, last):
        fresh = session.sequence.arrive(batch.q, last)
        released = parcel.envelope.released
        if released and released.reason in PARTIAL:  # what was left out has its number here already
            haul.all_fresh = False
            said.places = released.places
        elif fresh != [(batch.q, last)]:
            said.places = [number - batch.q for begin, end in fresh for number in range(begin, end + 1)]
            twice = sum(len(values) for _, values in batch.r) - sum(len(batch.r[place][1]) for place in said.places)
            haul.duplicates.note(sender.unit.unit_id, twice, resent=parcel.envelope.resent)
            if not said.places:
                return
    haul.gathered.said.append(said)


def judged(haul: Haul, catalogue: Catalogue) -> Readings:
    """Return the haul's readings in order, those that went back flagged, and refuse what cannot be stored."""
    readings, kept, origin = haul.gathered.readings(catalogue)
    readings["counter"] &= kept
    begin = 0
    for reset in haul.resets:  # counters are told in the order that units said things
        end = int(np.searchsorted(origin, reset.after))
        haul.highs.flag(readings[begin:end])
        haul.highs.reset(reset)
        begin = end
    haul.highs.flag(readings[begin:])
    for place in np.unique(origin[~kept]).tolist():
        refuse(haul.gathered.at(place))
    return in_order(chosen(readings, kept))


def refuse(said: Said) -> None:
    """Note the channels and values of a batch that were left out."""
    parcel, sender, batch = said.parcel, said.sender, said.batch
    parcel.places = said.places
    unknown: dict[str, None] = {}
    unbelievable: dict[str, object] = {}
    for place in range(len(batch.r)) if said.places is None else said.places:
        for name, value in batch.r[place][1].items():
            if (target := sender.shelf.target(name)) is None:
                unknown[name] = None
            elif believe.judge(value, target.channel) is None:
                unbelievable[name] = value
    if unbelievable:
        shown = [f"{name[:40]} = {str(value)[:40]}" for name, value in unbelievable.items()]
        parcel.leave_out(Unbelievable(f"{', '.join(shown[:5])}."))
    if unknown and sender.hears:  # an adapter offers all it knows, and not every model has it
        parcel.leave_out(UnknownChannel(f"{', '.join(name[:40] for name in list(unknown)[:5])}."))
