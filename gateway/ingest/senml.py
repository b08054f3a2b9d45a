"""Plain SenML (RFC 8428), JSON or CBOR, as it stands: units that speak it keep no sequence."""

from hashlib import blake2b
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from gateway.ingest import payload, rejection
from gateway.ingest.content import UNNUMBERED, Batch, Clock, Value
from gateway.ingest.envelope import Envelope

ABSOLUTE = 2**28  # seconds: times from here on are Unix times, smaller ones are relative to now (RFC 8428, 4.5.3)
VERSION = 10
LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip  # RFC 8428, table 4


class Record(Struct):
    """One SenML record; base values hold from the record that names them on."""

    bver: int | UnsetType = UNSET
    bn: str | UnsetType = UNSET
    bt: float | UnsetType = UNSET
    bv: float | UnsetType = UNSET
    n: str = ""
    v: float | UnsetType = UNSET
    vs: str | UnsetType = UNSET
    vb: bool | UnsetType = UNSET
    t: float = 0.0
    total: float | UnsetType = field(default=UNSET, name="s")


def digest(envelope: Envelope) -> int:
    """Return the number of a message whose unit keeps no sequence: the same bytes always have the same."""
    told = blake2b(envelope.topic.encode() + b"\x00" + envelope.payload, digest_size=8).digest()
    return (int.from_bytes(told) >> 2) | 1


def read(envelope: Envelope) -> list[Batch]:
    """Return the records as batches, one for each way of telling the time; raises a Rejected."""
    plain = payload.plain(envelope.payload, envelope.content_type)
    if not isinstance(plain, list) or not 1 <= len(plain) <= 64_000:
        raise rejection.WrongShape("A SenML pack is a list of records.")
    samples: dict[Clock, dict[float, dict[str, Value]]] = {"synced": {}, "none": {}}
    base_name, base_time, base_value = "", 0.0, 0.0
    for position, told in enumerate(plain):
        record = payload.shaped(_named(told, position), Record)
        if record.bver is not UNSET and record.bver > VERSION:
            raise rejection.UnknownVersion(f"SenML version {record.bver}.")
        base_name = base_name if record.bn is UNSET else record.bn
        base_time = base_time if record.bt is UNSET else record.bt
        base_value = base_value if record.bv is UNSET else record.bv
        value = _value(record, base_value)
        if value is UNSET:
            continue
        at = base_time + record.t
        clock: Clock = "synced" if at >= ABSOLUTE else "none"
        samples[clock].setdefault(at, {})[_channel(base_name + record.n)] = value
    number = digest(envelope)
    batches = [
        Batch(1, UNNUMBERED, number, 0.0, clock, sorted(of_clock.items()))
        for clock, of_clock in samples.items()
        if of_clock
    ]
    if not batches:
        raise rejection.WrongShape("No record has a value.")
    return batches


def _named(told: Any, position: int) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise rejection.WrongShape(f"Record {position} is not a map.")
    named = {LABELS.get(key, str(key)) if isinstance(key, int) else key: value for key, value in told.items()}
    if must := [key for key in named if key.endswith("_")]:
        raise rejection.WrongShape(f"Record {position} needs to be understood with {must[0][:40]!r}, which it is not.")
    return named


def _value(record: Record, base_value: float) -> Value | UnsetType:
    if record.v is not UNSET:
        return record.v + base_value
    if record.vb is not UNSET:
        return record.vb
    return record.vs


def _channel(name: str) -> str:
    """Return the channel that a SenML name ends in: what comes before names the unit, and the topic knows better."""
    channel = name.replace("/", ":").rpartition(":")[2]
    if not channel:
        raise rejection.WrongShape("A record has no name.")
    return channel
