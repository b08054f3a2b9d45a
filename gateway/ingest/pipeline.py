"""A batch of messages on its way into the store, step by step, in one transaction that the caller commits."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import psycopg

from gateway import clock
from gateway.ingest import (
    arrivals,
    counters,
    duplicates,
    gaps,
    happenings,
    hourly,
    opening,
    presence,
    quarantine,
    receipts,
    rejection,
    samples,
    sessions,
    store,
)
from gateway.ingest.content import UNNUMBERED, Batch, Content, DeviceEvent, Reply, UnitState
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.haul import Haul
from gateway.ingest.mail import Mail
from gateway.ingest.outcome import Outcome
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.readings import Readings
from gateway.ingest.rejection import Fate, Rejected
from gateway.ingest.runs import Runs
from gateway.registry import units
from gateway.registry.units import Unit

_turn = attrgetter("turn")


def take(conn: psycopg.Connection, directory: Directory, envelopes: Sequence[Envelope]) -> Outcome:
    """Store a batch of messages, whatever they are; the caller commits, then publishes the outcome's messages.

    Raises only what the database raises.
    """
    mail = Mail.of(envelopes)
    plain, parcels = opening.opened_all(mail)
    devices = {parcel.address.device for parcel in parcels if parcel.address}
    senders = senders_of(conn, directory, devices | {address.device for address in plain.addresses})
    aside = {parcel.address.device for parcel in parcels if parcel.address and in_line(parcel)}
    runs = Runs(mail, plain, senders, aside)
    parcels = in_turn(parcels, runs.others())
    know_senders(parcels, senders)
    haul, parcels = locked(conn, parcels, runs)
    parcels = in_turn(parcels, runs.take_in(haul))
    leave_out_repeats(conn, haul, parcels)
    for parcel in parcels:
        for content in parcel.contents:
            try:
                file(conn, haul, parcel, content)
            except Rejected as reason:
                parcel.leave_out(reason)
    readings = samples.judged(haul, directory.catalogue)
    stood = store.append(conn, readings, all_fresh=haul.all_fresh)
    hourly.roll_up(conn, readings, all_new=not stood)
    if stood:
        haul.duplicates.note_found(stood, haul.gathered.not_resent())
    haul.outcome.stored = len(readings) - stood.total()
    note_changes(conn, haul, readings)
    keep_refused(conn, haul.outcome, [*parcels, *haul.gathered.unfolded])
    return haul.outcome


def in_turn(parcels: list[Parcel], more: list[Parcel]) -> list[Parcel]:
    """Put parcels together, as they came: what a unit says is taken in in its order."""
    return sorted(parcels + more, key=_turn) if more else parcels


def in_line(parcel: Parcel) -> bool:
    """Whether it matters what its unit said before and after; states and replies stand by themselves."""
    return any(isinstance(content, Batch | DeviceEvent) for content in parcel.contents)


def senders_of(conn: psycopg.Connection, directory: Directory, devices: set[str]) -> dict[str, Sender]:
    """Return whose names these are; unknown ones are absent."""
    known = directory.units(conn, devices)
    return {
        device: Sender(unit, device, directory.shelf(conn, unit)) for device in devices if (unit := known.get(device))
    }


def know_senders(parcels: Iterable[Parcel], senders: Mapping[str, Sender]) -> None:
    """Find each message's unit by its topic; a message of an unknown one is refused whole."""
    for parcel in parcels:
        if parcel.address is None:
            continue
        sender = parcel.sender = senders.get(parcel.address.device)
        if parcel.refused:
            continue
        if sender is None:
            parcel.refuse(rejection.UnknownUnit(f"It says {parcel.address.device!r}."))
        elif sender.unit.adapter != parcel.address.adapter:
            parcel.refuse(rejection.OtherAdapter(f"The unit speaks {sender.unit.adapter!r}."))


def locked(conn: psycopg.Connection, parcels: list[Parcel], runs: Runs) -> tuple[Haul, list[Parcel]]:
    """Lock everything that these messages may change, always in the same order: units, then their sessions.

    Returns the parcels as well, with those of units that were removed since we looked.
    """
    spans = runs.spans
    wanted = {unit_id for _, unit_id, _ in spans} | {
        parcel.sender.unit.unit_id for parcel in parcels if parcel.sender and parcel.contents
    }
    if not wanted:
        return Haul({}, counters.Highs({})), parcels
    presences = presence.lock(conn, wanted)
    if removed := wanted - presences.keys():
        parcels = in_turn(parcels, runs.without(removed))
        for parcel in parcels:
            if parcel.contents and parcel.sender and parcel.sender.unit.unit_id in removed:
                parcel.refuse(rejection.UnknownUnit(f"It says {parcel.sender.device!r}."))
        spans = runs.spans
    haul = Haul(presences, counters.load(conn, list(presences)))
    for parcel in parcels:
        if parcel.sender:
            for content in parcel.contents:
                note_numbers(conn, spans, parcel.sender.unit, content)
    if spans:
        haul.sessions = sessions.load(conn, spans)
    return haul, parcels


def note_numbers(
    conn: psycopg.Connection, spans: dict[tuple[int, int, int], sessions.Spans], unit: Unit, content: Content
) -> None:
    """Note which numbers of which session a unit brings; what it replies to is answered at once."""
    session = UNNUMBERED
    if isinstance(content, Batch):
        session = content.s
    elif isinstance(content, DeviceEvent):
        session = content.session
    elif isinstance(content, Reply):
        gaps.answer(conn, unit.unit_id, content, clock.now())
    if session != UNNUMBERED:
        sessions.add_to(spans.setdefault((unit.tenant_id, unit.unit_id, session), []), content)


def leave_out_repeats(conn: psycopg.Connection, haul: Haul, parcels: Iterable[Parcel]) -> None:
    """Empty redelivered messages that have neither sequence nor time, so that no key would find them again.

    Only the broker's own word that it may have delivered them before tells them from news that read the same.
    """
    for parcel in parcels:
        if not parcel.envelope.again or parcel.sender is None:
            continue
        for content in parcel.contents:
            if isinstance(content, Batch) and content.s == UNNUMBERED and content.c == "none":
                unit, shelf = parcel.sender.unit, parcel.sender.shelf
                channels = [target.channel.channel_id for name in content.r[0][1] if (target := shelf.target(name))]
                if store.holds(conn, unit.unit_id, channels, content.q, parcel.envelope.received_at):
                    haul.duplicates.note(unit.unit_id, sum(len(values) for _, values in content.r), resent=False)
                    parcel.contents = ()


def file(conn: psycopg.Connection, haul: Haul, parcel: Parcel, content: Content) -> None:
    """Do what one content asks for; raises a Rejected for what of it cannot be done."""
    sender = parcel.sender
    if sender is None:
        return
    here = haul.presences[sender.unit.unit_id]
    if isinstance(content, Batch):
        here.hear(parcel.received)
        samples.file(haul, parcel, sender, content)
    elif isinstance(content, UnitState):
        here.become(content)
        if content.state != "lost" and not parcel.envelope.retained:
            here.hear(parcel.received)  # a will is the broker's word, and a retained state is old
    else:
        here.hear(parcel.received)
        if isinstance(content, DeviceEvent):
            happenings.record(conn, haul, parcel, sender, content)


def note_changes(conn: psycopg.Connection, haul: Haul, readings: Readings) -> None:
    """Write counters, sessions, gaps, presences and what came twice, ask for forecasts, and say what is safe."""
    now, outcome = clock.now(), haul.outcome
    counters.save(conn, haul.highs)
    outcome.gaps_opened, outcome.gaps_filled = sessions.save(conn, haul.sessions.values(), now)
    outcome.ages.append(arrivals.ages(readings))
    presence.save(conn, haul.presences, arrivals.newest(readings))
    duplicates.save(conn, haul.duplicates, now)
    outcome.redelivered = haul.duplicates.redelivered.total()
    outcome.resent = haul.duplicates.resent.total()
    for tenant_id in np.unique(readings["tenant_id"]).tolist():
        unit_ids = np.unique(readings["unit_id"][readings["tenant_id"] == tenant_id])
        units.want_score(conn, tenant_id, unit_ids.tolist(), now)
    for key, sender in haul.heard.items():
        outcome.messages.append(receipts.through(sender.device, key[1], haul.sessions[key].sequence.through))


def keep_refused(conn: psycopg.Connection, outcome: Outcome, parcels: Iterable[Parcel]) -> None:
    """Put what was refused into quarantine with its reason, and tell the unit."""
    kept: list[quarantine.Refusal] = []
    for parcel in parcels:
        for reason in parcel.refused:
            if reason.fate is Fate.DROP:
                outcome.dropped[reason.code] += 1
                continue
            outcome.refused[reason.code] += 1
            tenant = parcel.sender.unit.tenant_id if parcel.sender else None
            device = parcel.address.device if parcel.address else None
            kept.append(quarantine.Refusal(tenant, device, parcel.envelope, reason, parcel.places))
            if parcel.address and parcel.address.adapter == "wearwell":
                outcome.messages.append(receipts.refusal(parcel.address.device, parcel.envelope, reason))
    quarantine.keep(conn, kept)
