"""Samples to readings: which are new, and what of a batch had to be left out."""

import numpy as np

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import UNNUMBERED, Batch, Numbers
from gateway.ingest.directory import Catalogue
from gateway.ingest.gathered import CLOCK, Origin
from gateway.ingest.parcel import Haul, Parcel, Said, Sender
from gateway.ingest.readings import Readings, in_order
from gateway.ingest.rejection import PARTIAL, Unbelievable, UnknownChannel


def file(haul: Haul, parcel: Parcel, sender: Sender, batch: Batch) -> None:
    """Add a batch's new samples to the haul."""
    unit, samples, first = sender.unit, batch.r, batch.q
    last = samples[0][0] if len(samples) == 1 else max(offset for offset, _ in samples)
    places: range | list[int] = range(len(samples))
    seqs: range | list[int] = range(first, first + len(samples))
    zero: int | None = None
    if batch.s == UNNUMBERED:
        seqs = [first] * len(samples)
        haul.all_fresh = False
    else:
        fresh, zero = _arrive(haul, parcel, sender, batch, last)
        if parcel.envelope.released in PARTIAL:  # what was left out has its number here already
            haul.all_fresh = False
        elif len(fresh) < len(samples):
            places, seqs = fresh, [first + place for place in fresh]
            haul.outcome.duplicates += len(samples) - len(fresh)
            samples = [samples[place] for place in fresh]
            if not samples:
                return
    origin = Origin(
        unit.tenant_id, unit.unit_id, batch.s, CLOCK[batch.c], batch.t, last, parcel.received,
        NO_TIME if zero is None else zero,
    )  # fmt: skip
    haul.said.append(Said(parcel, sender, batch, places))
    haul.gathered.add(origin, seqs, samples, sender.shelf, numbers=type(batch) is Numbers)


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


def _arrive(
    haul: Haul, parcel: Parcel, sender: Sender, batch: Batch, last: float
) -> tuple[range | list[int], int | None]:
    """Count a batch's numbers as here; return the places of its samples that are new, and the session's anchor."""
    key = (sender.unit.unit_id, batch.s)
    session = haul.sessions[key]
    if batch.c == "relative" and session.anchor is None:
        session.anchor = clocks.anchor(batch.t, last, parcel.received)
    haul.heard[key] = sender
    fresh = session.sequence.arrive(batch.q, batch.q + len(batch.r) - 1)
    if len(fresh) == 1:
        return range(fresh[0][0] - batch.q, fresh[0][1] - batch.q + 1), session.anchor
    return [place - batch.q for first, end in fresh for place in range(first, end + 1)], session.anchor
