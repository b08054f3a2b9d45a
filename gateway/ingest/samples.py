"""Samples to readings: which are new, and what of a batch had to be left out."""

import numpy as np

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import UNNUMBERED, Batch, Numbers
from gateway.ingest.directory import Catalogue
from gateway.ingest.gathered import CLOCK
from gateway.ingest.parcel import Haul, Parcel, Said, Sender
from gateway.ingest.readings import Readings, in_order
from gateway.ingest.rejection import PARTIAL, Unbelievable, UnknownChannel


def file(haul: Haul, parcel: Parcel, sender: Sender, batch: Batch) -> None:
    """Add a batch's new samples to the haul."""
    samples, unit_id, first = batch.r, sender.unit.unit_id, batch.q
    offsets = [offset for offset, _ in samples]
    said = [values for _, values in samples]
    last = max(offsets)
    count = len(said)
    places: range | list[int] = range(count)
    if not (resent := parcel.envelope.resent):
        haul.duplicates.again.add(unit_id)
    seqs: range | list[int] = range(first, first + count)
    zero: int | None = None
    if batch.s == UNNUMBERED:
        seqs = [first] * count
        haul.all_fresh = False
    else:
        session = haul.sessions[unit_id, batch.s]
        haul.heard[unit_id, batch.s] = sender
        if batch.c == "relative" and session.anchor is None:
            session.anchor = clocks.anchor(batch.t, last, parcel.received)
        zero = session.anchor
        fresh = session.sequence.arrive(first, first + count - 1)
        if parcel.envelope.released in PARTIAL:  # what was left out has its number here already
            haul.all_fresh = False
        elif fresh != [(first, first + count - 1)]:
            seqs = [number for begin, end in fresh for number in range(begin, end + 1)]
            places = [number - first for number in seqs]
            kept = [said[place] for place in places]
            twice = sum(map(len, said)) - sum(map(len, kept))
            haul.duplicates.note(unit_id, twice, resent=resent)
            offsets, said = [offsets[place] for place in places], kept
            if not said:
                return
    haul.said.append((parcel, sender, batch, places))
    haul.gathered.add(
        (
            sender.unit.tenant_id, unit_id, batch.s, CLOCK[batch.c], batch.t, last, parcel.received,
            NO_TIME if zero is None else zero,
        ),
        seqs, offsets, said, sender.shelf, numbers=type(batch) is Numbers,
    )  # fmt: skip


def judged(haul: Haul, catalogue: Catalogue) -> Readings:
    """Return the haul's readings in order, those that went back flagged, and refuse what cannot be stored."""
    readings, kept, origin = haul.gathered.readings(catalogue)
    readings["counter"] &= kept
    begin = 0
    for reset in haul.resets:  # counters are told in the order that units said things
        haul.highs.flag(readings[begin : reset.after])
        haul.highs.reset(reset)
        begin = reset.after
    haul.highs.flag(readings[begin:])
    for place in np.unique(origin[~kept]).tolist():
        refuse(haul.said[place])
    return in_order(readings[kept])


def refuse(said: Said) -> None:
    """Note the channels and values of a batch that were left out."""
    parcel, sender, batch, places = said
    unknown: dict[str, None] = {}
    unbelievable: dict[str, object] = {}
    for place in places:
        for name, value in batch.r[place][1].items():
            if (target := sender.shelf.target(name)) is None:
                unknown[name] = None
            elif believe.judge(value, target.channel) is None:
                unbelievable[name] = value
    if unbelievable:
        shown = [f"{name[:40]} = {str(value)[:40]}" for name, value in unbelievable.items()]
        parcel.refused.append(Unbelievable(f"{', '.join(shown[:5])}."))
    if unknown and sender.hears:  # an adapter offers all it knows, and not every model has it
        parcel.refused.append(UnknownChannel(f"{', '.join(name[:40] for name in list(unknown)[:5])}."))
