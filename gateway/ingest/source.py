"""Where messages come from and where units hear back: what ingest asks of MQTT, of Kafka, of whatever comes next.

A source fills the inbox from a thread of its own: each message with its topic, its payload, the moment at which it
arrived and a handle. It may let go of a message only once that handle was acknowledged, which ingest does after
COMMIT; what is not acknowledged it delivers again. While the inbox is full it takes nothing more and stays connected.
tests/contract/test_sources.py holds every source to this.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from gateway.ingest.envelope import Handle
from gateway.ingest.receipts import Message


class Stage(Enum):
    """What a source is there for."""

    SERVING = "take what comes, and ask for more"
    DRAINING = "ask for no more, and take what is still kept for us"
    ENDING = "keep nothing for us any more"


class Source(Protocol):
    """One client of whatever keeps messages until they are acknowledged."""

    stage: Stage
    stale: bool  # it asks to be restarted

    @property
    def connected(self) -> bool:
        """Whether messages can come in at this moment."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing more comes in this stage than what is on its way: for DRAINING and ENDING."""
        ...

    def start(self) -> None:
        """Begin to connect, and to connect again whenever that is lost; returns at once."""
        ...

    def stop(self) -> None:
        """Take no more, pass on what was acknowledged, and say goodbye; the rest is kept for the next start."""
        ...

    def restart(self, stage: Stage = Stage.SERVING) -> None:
        """Stop, and start for a stage: what was not acknowledged is delivered again."""
        ...

    def acknowledge(self, handles: Iterable[Handle | None]) -> None:
        """Let messages be forgotten that are committed; handles from before a reconnection are passed over."""
        ...

    def publish(self, messages: Iterable[Message]) -> None:
        """Tell units something, at least once; dropped while not connected, since later receipts say the same."""
        ...
