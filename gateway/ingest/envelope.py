"""One message as it came from the broker, before anybody looked into it."""

from datetime import datetime
from typing import NamedTuple


class Handle(NamedTuple):
    """What acknowledges a message: its id, and the connection on which alone that id means anything.

    Of a message from a log: its offset, the assignment of partitions that it came under, and its partition.
    """

    connection: int
    mid: int
    part: tuple[str, int] | None = None


class Released(NamedTuple):
    """For which reason a message lay in quarantine, and which of its samples were new when it came, where not all."""

    reason: str
    places: list[int] | None = None


class Envelope(NamedTuple):
    """A message and what the broker said about it.

    `again` is the broker's own word that it may have delivered this before; `released` says for what it lay in
    quarantine until somebody let it through; `tried` says that we may have stored it already, when the
    database broke off. `key` is the device that a log filed it under; None where a broker's access rules have seen to
    who speaks.
    """

    topic: str
    payload: bytes
    received_at: datetime
    content_type: str | None = None
    retained: bool = False
    again: bool = False
    released: Released | None = None
    key: str | None = None
    tried: bool = False
    handle: Handle | None = None  # the last: it means nothing to whoever only stores

    @property
    def resent(self) -> bool:
        """Whether it is the unit itself that sent this again, if it was here before; a log does not tell."""
        return not (self.again or self.tried or self.released or self.key is not None)
