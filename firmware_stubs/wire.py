"""The protocol's messages as bytes, read from docs/protocol.md alone.

`python -m firmware_stubs.wire < message.json > message.cbor` turns one encoding into the other, either way.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cbor2

VERSION = 1
LARGEST = 2**53  # session, sequence number
MAX_BYTES = 65_536  # of one payload
MAX_SAMPLES = 1_000  # of one batch
MAX_CHANNELS = 64  # of one sample
FIRST_CBOR_BYTE = 0xA0  # CBOR maps begin here and JSON below
CBOR = "application/cbor"
JSON = "application/json"

# Refusals of a whole message that will be refused again; others pass (unknown_unit) or concern single readings.
SETTLED = frozenset(
    (
        "bad_cbor",
        "bad_json",
        "bad_text",
        "duplicate_key",
        "not_finite",
        "too_deep",
        "too_large",
        "unknown_event",
        "unknown_slot",
        "unknown_version",
        "wrong_shape",
    )
)

Clock = Literal["synced", "relative", "none"]
Sentinel = Literal["INV", "NONE", "FAIL", "OFF", "INIT"]
Value = float | bool | Sentinel | None
Message = dict[str, Any]


class WireError(ValueError):
    """A payload is not one message of protocol v1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a unit read at one moment; `at` is in seconds of the clock that took it."""

    session: int
    sequence: int
    at: float
    clock: Clock
    values: Mapping[str, Value]


def topic(device: str, leaf: str) -> str:
    """Return a topic of this device's, such as `ww/v1/acme.A1/tlm`."""
    return f"ww/v{VERSION}/{device}/{leaf}"


def encode(message: Message, *, cbor: bool = False) -> bytes:
    """Return a message as JSON or CBOR; raises WireError when it is larger than the protocol allows."""
    data = cbor2.dumps(message) if cbor else json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    if len(data) > MAX_BYTES:
        raise WireError(f"a message of {len(data)} bytes is above {MAX_BYTES}")
    return data


def decode(payload: bytes, content_type: str | None = None) -> Message:
    """Read a payload, JSON or CBOR as its content type or first byte tells; raises WireError."""
    try:
        if content_type == CBOR or (content_type is None and payload[:1] >= bytes([FIRST_CBOR_BYTE])):
            message = cbor2.loads(payload)
        else:
            message = json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError, cbor2.CBORDecodeError) as error:
        raise WireError(f"neither JSON nor CBOR: {error}") from None
    if not isinstance(message, Mapping) or message.get("v") != VERSION:
        raise WireError("not a message of protocol v1")
    return dict(message)


def batch(samples: Sequence[Sample]) -> Message:
    """Return one batch of samples that follow each other in one session on one clock."""
    first = samples[0]
    readings = [[milliseconds(sample.at - first.at), dict(sample.values)] for sample in samples]
    return {
        "v": VERSION,
        "s": first.session,
        "q": first.sequence,
        "t": milliseconds(first.at),
        "c": first.clock,
        "r": readings,
    }


def samples(message: Message) -> list[Sample]:
    """Return the samples of a batch; `batch` puts them together again."""
    session, sequence, base, clock = message["s"], message["q"], message["t"], message["c"]
    return [
        Sample(session, sequence + k, milliseconds(base + offset), clock, values)
        for k, (offset, values) in enumerate(message["r"])
    ]


def milliseconds(seconds: float) -> float:
    """Return a time as the wire carries it: to the millisecond, so that a re-cut batch gives the same moments."""
    rounded = round(seconds, 3)
    return int(rounded) if float(rounded).is_integer() else rounded


def follows(earlier: Sample, later: Sample) -> bool:
    """Say whether a sample may stand behind another in one batch."""
    return (
        later.session == earlier.session
        and later.sequence == earlier.sequence + 1
        and later.clock == earlier.clock
        and later.at >= earlier.at
    )


def state(session: int, word: Literal["online", "sleeping", "lost"], **facts: object) -> Message:
    """Return a birth, a good night or a will; `online` takes fw, hw, slots and channels."""
    return {"v": VERSION, "s": session, "state": word, **facts}


def event(session: int, identity: str, at: float, clock: Clock, kind: str, **facts: object) -> Message:
    """Return an event; facts that are None are left out."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return {"v": VERSION, "s": session, "id": identity, "t": milliseconds(at), "c": clock, "type": kind, **known}


def reply(command: str, status: str, detail: str = "") -> Message:
    """Return the answer to the command of this id."""
    return {"v": VERSION, "id": command, "status": status, **({"detail": detail} if detail else {})}


def whole_number(value: object, low: int = 1, high: int = LARGEST) -> int | None:
    """Return a field as the integer it must be, or None when it is anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def _refuse(constant: str) -> float:
    raise WireError(f"{constant} is no number of JSON's")


def main() -> None:
    """Turn the message on standard input into the other encoding."""
    payload = sys.stdin.buffer.read()
    sys.stdout.buffer.write(encode(decode(payload), cbor=payload[:1] < bytes([FIRST_CBOR_BYTE])))


if __name__ == "__main__":
    main()
