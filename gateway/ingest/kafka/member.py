"""One member of the consumer group, in asyncio, as aiokafka is: it receives, commits, produces and knocks side by side.

Heartbeats go on whatever else waits, so that a database that is away costs no rebalance.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from gateway import metrics
from gateway.ingest.inbox import Inbox
from gateway.ingest.kafka import clients, records
from gateway.ingest.kafka.partitions import Partitions
from gateway.ingest.mail import Mail
from gateway.ingest.receipts import Message
from gateway.settings import Settings

log = structlog.get_logger()

AT_ONCE = 2_000  # records taken in one go
TURN = 0.2  # seconds that a look for records takes at most, and that offsets wait to be committed together
LINGER = 0.02  # seconds that messages to units wait for company
KNOCK_EVERY = 5.0  # seconds between questions whether the brokers answer, and for the answer
GRACE = 5.0  # seconds for the last offsets and receipts
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts


class Member(ConsumerRebalanceListener):  # type: ignore[misc, unused-ignore]  # aiokafka is untyped
    """Fills an inbox until told to stop; with `only_what_is_here`, with nothing that came after it joined."""

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        partitions: Partitions,
        waiting: deque[Message],
        *,
        only_what_is_here: bool,
    ) -> None:
        self.settings = settings
        self.inbox = inbox
        self.partitions = partitions
        self.waiting = waiting
        self.only_what_is_here = only_what_is_here
        self.answered = False  # the brokers did, when last asked
        self.left: set[TopicPartition] = set()  # partitions in which there is more of what was here
        self.stopping = asyncio.Event()
        self._ends: dict[TopicPartition, int] = {}
        self._consumer: AIOKafkaConsumer = None
        self._producer: AIOKafkaProducer = None

    async def serve(self) -> None:
        """Take part, and come back whenever the brokers are lost."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                async with contextlib.AsyncExitStack() as stack:
                    self._producer, self._consumer = clients.producer(self.settings), clients.consumer(self.settings)
                    for client in (self._producer, self._consumer):
                        stack.push_async_callback(client.stop)
                    await self._producer.start()
                    await self._consumer.start()
                    self._consumer.subscribe(self.settings.kafka_topics, listener=self)
                    metrics.count("broker_reconnects_total")
                    pause = FIRST_PAUSE
                    await self._take_part()
            except* (KafkaError, OSError) as errors:
                told = [repr(error) for error in errors.exceptions]
                log.warning("the Kafka brokers are lost, or refuse us", errors=told, kafka=self.settings.kafka_url)
            except* Exception as errors:  # whatever it was, this thread is the only one that comes back
                told = [repr(error) for error in errors.exceptions]
                log.exception("the log could not be read", errors=told, kafka=self.settings.kafka_url)
            finally:
                self._answers(False)
                self.partitions.forget()
            await self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter is no secret
            pause = min(2 * pause, LONGEST_PAUSE)

    async def on_partitions_revoked(self, _: set[TopicPartition]) -> None:
        """Commit what was acknowledged of partitions that others may get; from then on nothing of them is ours."""
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(clients.HEARTBEAT):
                await self._commit()
        self.partitions.forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin with these partitions, where their offsets were committed."""
        if self.only_what_is_here:
            self._ends = await self._consumer.end_offsets(assigned)
            self.left = set(self._ends)
        self.partitions.begin(assigned)
        self._answers(True)
        log.info("subscribed at the broker", kafka=self.settings.kafka_topics, partitions=len(assigned))

    async def _take_part(self) -> None:
        async with asyncio.TaskGroup() as group:
            for every, work in (
                (0.0, self._receive),
                (TURN, self._commit),
                (LINGER, self._produce),
                (KNOCK_EVERY, self._knock),
            ):
                group.create_task(self._again(every, work), name=work.__name__)
        async with asyncio.timeout(GRACE):
            await self._commit()
            await self._produce()

    async def _again(self, every: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self.stopping.is_set():
            await work()
            await self._rest(every)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def _receive(self) -> None:
        """Put what the brokers hand over into the inbox; while that is full, leave it with them."""
        if self.inbox.full:
            await self._rest(TURN)
            return
        try:
            found = await self._consumer.getmany(
                timeout_ms=round(TURN * 1_000), max_records=min(AT_ONCE, self.inbox.size)
            )
        except KafkaError as error:  # what the group's coordinator had to say, such as a rebalance that went wrong
            log.warning("the Kafka brokers have trouble with this group", error=repr(error))
            await self._rest(FIRST_PAUSE)
            return
        came = []
        for part, some in found.items():
            end = self._ends.get(part)
            wanted = some if end is None else [record for record in some if record.offset < end]
            taken = self.partitions.take(part, wanted)
            if taken is not None:
                came += taken
                continue
            with contextlib.suppress(IllegalStateError):  # it is not ours yet, or not any more: then others get these
                self._consumer.seek(part, some[0].offset)
            await self._rest(LINGER)
        self.inbox.put(Mail.of(came))  # at once: there was room, and no more than that was asked for, so it never waits
        for part in tuple(self.left):
            if await self._consumer.position(part) >= self._ends[part]:
                self.left.discard(part)

    async def _commit(self) -> None:
        """Commit the offsets before which nothing is open."""
        if due := self.partitions.due():
            with contextlib.suppress(CommitFailedError, IllegalStateError):  # others have them, and get these again
                await self._consumer.commit(due)
                self.partitions.committed(due)

    async def _produce(self) -> None:
        """Hand the messages that wait to the brokers; what they do not take is dropped, later receipts say the same."""
        sent = []
        while self.waiting:
            topic, told = self.settings.kafka_down_topic, records.outward(self.waiting.popleft())
            try:
                sent.append(await self._producer.send(topic, told.value, key=told.key, headers=told.headers))
            except KafkaError as error:  # said at once: no such topic, no right to write there, too large
                log.warning("the Kafka brokers did not take a message to a unit", error=repr(error))
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(answer, Exception):
                log.warning("the Kafka brokers did not take a message to a unit", error=repr(answer))

    async def _knock(self) -> None:
        try:
            async with asyncio.timeout(KNOCK_EVERY):
                known = await self._consumer.topics()
        except (KafkaError, TimeoutError):
            self._answers(False)
            return
        if self.settings.kafka_down_topic not in known:
            log.warning("units get no receipts: there is no such topic", topic=self.settings.kafka_down_topic)
        if missing := set(self.settings.kafka_topics) - known:
            log.error("the Kafka brokers have no such topic, or hide it from us", topics=sorted(missing))
        self._answers(not missing)

    def _answers(self, answered: bool) -> None:
        self.answered = answered
        metrics.put("broker_connected", answered and self.partitions.assigned)
