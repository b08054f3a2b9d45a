"""Events that units tell: recorded once, and what they change here at once."""

import psycopg

from gateway.events import Event, EventType
from gateway.ingest import clocks, receipts
from gateway.ingest.content import UNNUMBERED, DeviceEvent
from gateway.ingest.counters import Reset
from gateway.ingest.haul import Haul
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.rejection import UnknownSlot, WrongShape
from gateway.registry import history

ABOUT_A_SLOT = (EventType.PART_FITTED, EventType.PART_REMOVED)


def record(conn: psycopg.Connection, haul: Haul, parcel: Parcel, sender: Sender, told: DeviceEvent) -> None:
    """Record a unit's event, once; raises UnknownSlot or WrongShape."""
    slot_id = sender.shelf.slots.get(told.slot) if told.slot else None
    if told.slot and slot_id is None:
        if not sender.hears:
            return  # an adapter tells of every slot its family has
        raise UnknownSlot(f"It says {told.slot[:40]!r}.")
    if told.type in ABOUT_A_SLOT and slot_id is None:
        raise WrongShape(f"A {told.type} event names its slot.")
    ts = _when(haul, parcel, sender, told)
    unit = sender.unit
    key = f"unit:{unit.unit_id}:{told.id}"
    new = history.record(
        conn, Event(unit.tenant_id, unit.unit_id, slot_id, told.type, key, clocks.moment(ts), told.payload)
    )
    if sender.hears:
        haul.outcome.messages.append(receipts.event(sender.device, told.id))
    if new is not None:
        haul.outcome.events += 1
        _change(haul, sender, told, slot_id, ts)


def _when(haul: Haul, parcel: Parcel, sender: Sender, told: DeviceEvent) -> int:
    zero = None
    if told.session != UNNUMBERED:
        session = haul.sessions[sender.unit.unit_id, told.session]
        if told.clock == "relative" and session.anchor is None:
            session.anchor = clocks.anchor(told.t, 0.0, parcel.received)
        zero = session.anchor
    return clocks.place(told.clock, told.t, 0.0, last=0.0, received=parcel.received, zero=zero).ts


def _change(haul: Haul, sender: Sender, told: DeviceEvent, slot_id: int | None, ts: int) -> None:
    """Let counters begin again where a part was fitted or the unit says so; note new firmware."""
    unit = sender.unit
    if told.type is EventType.PART_FITTED and slot_id is not None:
        haul.resets.append(Reset(len(haul.gathered), unit.tenant_id, unit.unit_id, slot_id, None, 0.0, ts))
    elif told.type is EventType.COUNTER_RESET:
        name = str(told.payload.get("channel", ""))
        if target := sender.shelf.target(f"{told.slot}.{name}" if told.slot else name):
            channel_id, value = target.channel.channel_id, float(told.payload.get("value", 0.0))
            after = len(haul.gathered)
            haul.resets.append(Reset(after, unit.tenant_id, unit.unit_id, target.slot_id, channel_id, value, ts))
    elif told.type is EventType.FIRMWARE_UPDATED and "version" in told.payload:
        here = haul.presences[unit.unit_id]
        here.firmware, here.changed = str(told.payload["version"]), True
