"""Samples to rows: those that are new, where they belong, when they happened, and whether they can be believed."""

from gateway.ingest import believe, clocks
from gateway.ingest.content import UNNUMBERED, Batch
from gateway.ingest.parcel import Haul, Parcel, Sender
from gateway.ingest.rejection import PARTIAL, Unbelievable, UnknownChannel
from gateway.ingest.store import Row


def file(haul: Haul, parcel: Parcel, sender: Sender, batch: Batch) -> None:
    """Add a batch's new readings to the haul, and note the channels and values that had to be left out."""
    unit, target_of, received, samples = sender.unit, sender.shelf.target, parcel.received, batch.r
    last = max(offset for offset, _ in samples)
    places: range | list[int] = range(len(samples))
    zero: int | None = None
    numbered = batch.s != UNNUMBERED
    if numbered:
        fresh, zero = _arrive(haul, parcel, sender, batch, last)
        if parcel.envelope.released not in PARTIAL:  # what was left out has its number here already
            places = fresh
    unknown: dict[str, None] = {}
    unbelievable: dict[str, object] = {}
    for place in places:
        offset, values = samples[place]
        seq = batch.q + place if numbered else batch.q
        ts, how, flags, raw = clocks.place(batch.c, batch.t, offset, last=last, received=received, zero=zero)
        for name, value in values.items():
            if (target := target_of(name)) is None:
                unknown[name] = None
                continue
            slot_id, channel = target
            if (judged := believe.judge(value, channel)) is None:
                unbelievable[name] = value
                continue
            number, why = judged
            row = Row(
                unit.tenant_id, unit.unit_id, slot_id, channel.channel_id, ts, number, batch.s, seq, raw, received, how,
                flags | why,
            )  # fmt: skip
            if channel.kind == "counter" and not why:
                haul.counters.add(channel.channel_id)
                row = haul.highs.flagged(row)
            haul.rows.append(row)
    haul.outcome.duplicates += len(samples) - len(places)
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
