"""Our own protocol, v1 (docs/protocol.md), and plain SenML on its telemetry topic."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from gateway.events import EventType
from gateway.ingest import payload, rejection, senml
from gateway.ingest.content import LAST, Batch, Clock, Content, Count, DeviceEvent, Reply, UnitState
from gateway.ingest.envelope import Envelope
from gateway.ingest.topics import Address

Text = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
JSON_LIST, CBOR_LISTS = b"[", range(0x80, 0xA0)

# What each event carries into the registry's row: the wire's name, then the row's.
CARRIED: dict[EventType, tuple[tuple[str, str], ...]] = {
    EventType.PART_FITTED: (("part", "part_sku"), ("tag", "tag"), ("by", "by")),
    EventType.PART_REMOVED: (("by", "by"),),
    EventType.COUNTER_RESET: (("channel", "channel"), ("value", "value")),
    EventType.FAULT_SET: (("code", "code"), ("text", "text")),
    EventType.FAULT_CLEARED: (("code", "code"),),
    EventType.BUTTON_PRESSED: (("button", "button"),),
    EventType.FIRMWARE_UPDATED: (("version", "version"),),
    EventType.FACTORY_RESET: (),
}


class StateOnWire(Struct):
    """`…/state`."""

    v: Literal[1]
    s: Count
    state: Literal["online", "sleeping", "lost"]
    fw: Text | None = None
    hw: Text | None = None


class EventOnWire(Struct):
    """`…/evt`."""

    v: Literal[1]
    s: Count
    id: Id
    t: float
    c: Clock
    type: str
    slot: Text | None = None
    part: Text | None = None
    tag: Text | None = None
    by: Text | None = None
    channel: Text | None = None
    value: float | None = None
    code: Text | None = None
    text: Text | None = None
    button: Text | None = None
    version: Text | None = None


class ReplyOnWire(Struct):
    """`…/up/reply`."""

    v: Literal[1]
    id: Id
    status: Literal["accepted", "in_progress", "done", "failed", "rejected", "timed_out"]
    detail: Text = ""


def read(address: Address, envelope: Envelope) -> list[Content]:
    """Read one message of the protocol; raises a Rejected."""
    if address.kind == "tlm":
        return _telemetry(envelope)
    if address.kind == "state" and not envelope.payload:
        raise rejection.Cleared
    if envelope.retained and address.kind == "evt":
        raise rejection.RetainedTelemetry
    plain = payload.plain(envelope.payload, envelope.content_type)
    if address.kind == "state":
        return [_state(plain)]
    return [_event(plain)] if address.kind == "evt" else [_reply(plain)]


def _telemetry(envelope: Envelope) -> list[Content]:
    if envelope.retained:
        raise rejection.RetainedTelemetry
    batch: Batch | None = None if envelope.content_type else payload.quick(envelope.payload)
    if batch is None:
        first = envelope.payload.lstrip()[:1]
        if first and (first == JSON_LIST or first[0] in CBOR_LISTS):
            return list(senml.read(envelope))
        batch = payload.batch(envelope.payload, envelope.content_type)
    if batch.s < 1 or batch.q + len(batch.r) > LAST:
        raise rejection.WrongShape("Sessions and sequence numbers lie between 1 and 2^53.")
    return [batch]


def _state(plain: Any) -> UnitState:
    wire = payload.ours(plain, StateOnWire)
    return UnitState(wire.s, wire.state, wire.fw, wire.hw)


def _event(plain: Any) -> DeviceEvent:
    wire = payload.ours(plain, EventOnWire)
    carried = CARRIED.get(EventType(wire.type)) if wire.type in set(EventType) else None
    if carried is None:
        raise rejection.UnknownEvent(f"It says {wire.type[:40]!r}.")
    fields = structs.asdict(wire)
    told = {name: fields[on_wire] for on_wire, name in carried if fields[on_wire] is not None}
    return DeviceEvent(wire.s, wire.id, wire.t, wire.c, EventType(wire.type), wire.slot, told)


def _reply(plain: Any) -> Reply:
    wire = payload.ours(plain, ReplyOnWire)
    return Reply(wire.id, wire.status, wire.detail)
