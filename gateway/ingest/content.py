"""What a message says, whatever it was encoded in: the adapters' common language."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.events import EventType

Clock = Literal["synced", "relative", "none"]
Value = float | str | bool | None

MOST = 1000  # samples of a batch
LAST = 2**53  # session, and sequence number
UNNUMBERED = 0  # the session of units that keep no sequence
Count = Annotated[int, Meta(ge=1, le=LAST)]


class Batch(Struct, forbid_unknown_fields=False):
    """Samples of one unit; field names are those on the wire (docs/protocol.md).

    `t` is Unix seconds (synced), seconds of uptime (relative) or 0 (none); sample k of `r` happened `r[k][0]`
    seconds after `t` and has sequence number `q + k` in session `s`. In session 0 the whole message has the one
    number `q`, a digest of itself, because its unit keeps no sequence.
    """

    v: Literal[1]
    s: Annotated[int, Meta(ge=0, le=LAST)]
    q: Annotated[int, Meta(ge=1, le=2**62)]
    t: float
    c: Clock
    r: Annotated[
        list[tuple[float, Annotated[dict[str, Value], Meta(min_length=1, max_length=64)]]],
        Meta(min_length=1, max_length=MOST),
    ]


class Numbers(Batch):
    """A numbered batch whose every value is a number, as most are: its values need no look at one by one."""

    s: Count
    q: Annotated[int, Meta(ge=1, le=LAST - MOST)]
    r: Annotated[  # type: ignore[assignment]  # nobody writes into a batch that was read
        list[tuple[float, Annotated[dict[str, float], Meta(min_length=1, max_length=64)]]],
        Meta(min_length=1, max_length=MOST),
    ]


@dataclass(frozen=True, slots=True)
class UnitState:
    """A birth, a farewell or a will; `session` is 0 where the unit keeps none."""

    session: int
    state: Literal["online", "sleeping", "lost"]
    firmware: str | None = None
    hardware: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something that happened to the unit; `id` is unique per device, `t` and `clock` as in a batch."""

    session: int
    id: str
    t: float
    clock: Clock
    type: EventType
    slot: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A unit's answer to a command."""

    id: str
    status: Literal["accepted", "in_progress", "done", "failed", "rejected", "timed_out"]
    detail: str = ""


Content = Batch | UnitState | DeviceEvent | Reply
