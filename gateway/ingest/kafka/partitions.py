"""The partitions that one member of the group has at this moment, and how far each of them is done."""

import threading
from collections.abc import Collection, Iterable
from itertools import count

from aiokafka import TopicPartition

from gateway.ingest.envelope import Envelope, Handle
from gateway.ingest.kafka import records
from gateway.ingest.kafka.watermark import Watermark


class Partitions:
    """Taken from by the source's thread, acknowledged by the one that stores."""

    def __init__(self) -> None:
        self._assignments = count(1)
        self._marks: dict[tuple[str, int], Watermark] | None = None
        self._lock = threading.Lock()

    @property
    def assigned(self) -> bool:
        """Whether we are a member of the group, be it one without a partition."""
        return self._marks is not None

    def begin(self, parts: Collection[TopicPartition]) -> None:
        """Have these, from now on; handles of earlier assignments mean nothing any more."""
        number = next(self._assignments)
        with self._lock:
            self._marks = {tuple(part): Watermark(number) for part in parts}

    def forget(self) -> None:
        """Have none."""
        with self._lock:
            self._marks = None

    def take(self, part: TopicPartition, found: Iterable[records.Record]) -> list[Envelope] | None:
        """Return records as messages that are open from now on; None where we do not have the partition."""
        with self._lock:
            mark = (self._marks or {}).get(tuple(part))
            if mark is None:
                return None
            envelopes = [records.envelope(record, mark.assignment) for record in found]
            for envelope in envelopes:
                if envelope.handle:
                    mark.take(envelope.handle.mid)
            return envelopes

    def acknowledge(self, handles: Iterable[Handle | None]) -> None:
        """Note what is committed; handles of partitions that were lost meanwhile are passed over."""
        with self._lock:
            marks = self._marks or {}
            for handle in handles:
                mark = marks.get(handle.part) if handle and handle.part else None
                if handle and mark and mark.assignment == handle.connection:
                    mark.acknowledge(handle.mid)

    def due(self) -> dict[TopicPartition, int]:
        """Return the offsets to commit: in each partition, the one before which nothing is open."""
        with self._lock:
            marks = (self._marks or {}).items()
            return {TopicPartition(*part): offset for part, mark in marks if (offset := mark.due) is not None}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """Note that these offsets are committed."""
        with self._lock:
            for part, offset in offsets.items():
                if mark := (self._marks or {}).get(tuple(part)):
                    mark.committed = offset
