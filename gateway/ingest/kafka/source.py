"""A Kafka-protocol log as a source: records come in at the same door, offsets are committed after COMMIT.

The member of the group lives in an event loop in the one thread that this source owns. When partitions are taken from
us, what of them lies in the inbox is stored all the same, and comes again to whoever has them now: a duplicate changes
nothing.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable

import structlog

from gateway.ingest.envelope import Handle
from gateway.ingest.inbox import Inbox
from gateway.ingest.kafka.member import Member
from gateway.ingest.kafka.partitions import Partitions
from gateway.ingest.receipts import WAITING, Message
from gateway.ingest.source import Stage
from gateway.settings import Settings

log = structlog.get_logger()

FAREWELL = 10.0  # seconds for the last offsets and the goodbye


class Kafka:
    """One member of a consumer group, filling an inbox.

    DRAINING takes what lay in its partitions when it got them, and no more. ENDING does nothing: whoever stops leaves
    the group, and others get its partitions.
    """

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self.settings = settings
        self.inbox = inbox
        self.stage = Stage.SERVING
        self.stale = False
        self.partitions = Partitions()
        self._waiting: deque[Message] = deque(maxlen=WAITING)
        self._member: Member | None = None
        self._running: tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    @property
    def connected(self) -> bool:
        """Whether the brokers answer, and let us into the group."""
        return self._member is not None and self._member.answered and self.partitions.assigned

    @property
    def done(self) -> bool:
        """Whether what lay there when we came is in the inbox."""
        return self.stage is Stage.ENDING or (self.connected and self._member is not None and not self._member.left)

    def start(self) -> None:
        """Begin to connect, and to come back whenever the brokers are lost."""
        if self.stage is Stage.ENDING:
            return
        if len(self.settings.kafka_topics) > 1:
            log.warning(
                "several topics are read: each unit must have all that it says in one of them, or a receipt may pass a"
                " reading that waits in another. See docs/operating.md, A Kafka-protocol log in between.",
                topics=self.settings.kafka_topics,
            )
        draining = self.stage is Stage.DRAINING
        self._member = Member(self.settings, self.inbox, self.partitions, self._waiting, only_what_is_here=draining)
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._member.serve())

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
            loop.close()

        thread = threading.Thread(target=run, name="kafka", daemon=True)
        self._running = (thread, loop, task)
        thread.start()

    def stop(self) -> None:
        """Commit the offsets of what was acknowledged, and leave the group."""
        running, self._running = self._running, None
        member, self._member = self._member, None
        if not running or not member:
            return
        thread, loop, task = running
        with contextlib.suppress(RuntimeError):  # it is closed where the thread has ended
            loop.call_soon_threadsafe(member.stopping.set)
            thread.join(FAREWELL)
            if thread.is_alive():  # the brokers are away: there is nobody to say goodbye to
                loop.call_soon_threadsafe(task.cancel)
        thread.join()

    def restart(self, stage: Stage = Stage.SERVING) -> None:
        """Join anew, for a stage, from the committed offsets on."""
        self.stop()
        self.stage = stage
        self.start()

    def acknowledge(self, handles: Iterable[Handle | None]) -> None:
        """Let offsets be committed, up to the first message that is open."""
        self.partitions.acknowledge(handles)

    def publish(self, messages: Iterable[Message]) -> None:
        """Produce to the topic that the bridge carries to the units; dropped while the brokers are away."""
        if self.connected:
            self._waiting.extend(messages)
