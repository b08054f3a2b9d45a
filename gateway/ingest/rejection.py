"""Why a message, or a part of one, is not stored: the error carries the decision, its docstring is the message."""

import re
from enum import Enum
from typing import ClassVar, Self

from gateway.errors import WearwellError


class Fate(Enum):
    """What becomes of a rejected message; it is acknowledged to the broker either way."""

    QUARANTINE = "quarantine"  # kept whole, with its reason, until somebody looks
    DROP = "drop"  # it says nothing that is still true


class Rejected(WearwellError):
    """The message cannot be used."""

    fate: ClassVar[Fate] = Fate.QUARANTINE
    partial: ClassVar[bool] = False  # the rest of the message was stored
    code: ClassVar[str] = "rejected"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, specific: str = "") -> None:
        says = (type(self).__doc__ or "").strip()
        super().__init__(f"{says} {specific}".strip())

    @property
    def detail(self) -> str:
        """Say what is wrong, for a person."""
        return str(self)[:500]


class UnknownTopic(Rejected):
    """No adapter reads this topic."""


class OtherKey(Rejected):
    """The record lies under another device's key than its topic names, and nobody knows whose it is."""


class UnknownUnit(Rejected):
    """No unit with this device name is enrolled; enrol it, and its messages are stored then."""


class OtherAdapter(Rejected):
    """The unit's product model speaks another protocol than this topic."""


class RetainedTelemetry(Rejected):
    """Telemetry and events must not be retained: the broker would tell old news as new."""


class TooLarge(Rejected):
    """The message is larger than 65536 bytes."""


class TooDeep(Rejected):
    """The message is nested deeper than any of ours."""


class BadText(Rejected):
    """The message is not valid UTF-8, or holds a NUL character."""


class BadJson(Rejected):
    """The message is not valid JSON."""


class BadCbor(Rejected):
    """The message is not valid CBOR, or uses tags or indefinite lengths."""


class DuplicateKey(Rejected):
    """The message names a key twice, so nobody can tell which value was meant."""


class NotFinite(Rejected):
    """The message holds a number that is infinite or not a number."""


class UnknownVersion(Rejected):
    """The message speaks a protocol version that this gateway does not know."""


class WrongShape(Rejected):
    """The message is readable but not what this topic carries."""


class UnknownEvent(Rejected):
    """The event has a type that this gateway does not know."""


class UnknownSlot(Rejected):
    """The unit's product model has no such slot."""


class UnknownChannel(Rejected):
    """Some channels are not declared; the readings of the others were stored."""

    partial = True


class Unbelievable(Rejected):
    """Some values lie outside what their channel can measure; the other readings were stored."""

    partial = True


class StaleState(Rejected):
    """The state belongs to an earlier session of the unit than the one known: a will that came late."""

    fate = Fate.DROP


class Cleared(Rejected):
    """A retained message was cleared; there is nothing to store."""

    fate = Fate.DROP


class NoReplayAsked(Rejected):
    """The reply answers no replay that was asked of this unit."""

    fate = Fate.DROP


class NothingToStore(Rejected):
    """The message is understood and holds nothing that is kept."""

    fate = Fate.DROP


class Indigestible(Rejected):
    """The message was understood but could not be stored; this is a fault of the gateway, please report it."""

    @classmethod
    def because(cls, error: Exception) -> Self:
        """Say what it was that the gateway choked on."""
        return cls(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")


PARTIAL = frozenset(kind.code for kind in Rejected.__subclasses__() if kind.partial)
