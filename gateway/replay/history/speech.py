"""What a unit of a history says, as messages of the protocol: its samples numbered in the order of their arrival."""

from collections.abc import Iterator

from gateway.ingest.envelope import Envelope
from gateway.replay.history import cells
from gateway.replay.history.ledger import Entry

SAMPLES, BYTES = 1_000, 60_000  # of one message; the protocol takes 64 KiB


class Speech:
    """One unit's voice; it remembers how many samples it has said."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.samples = 0

    def readings(self, entries: list[Entry]) -> Iterator[Envelope]:
        """Yield samples as batches, each received when its last sample had arrived."""
        some: list[Entry] = []
        size = 0
        for entry in entries:
            if some and (len(some) == SAMPLES or size + len(entry.body) + 40 > BYTES):
                yield self._batch(some)
                some, size = [], 0
            some.append(entry)
            size += len(entry.body) + 40  # its offset and brackets
        if some:
            yield self._batch(some)

    def event(self, entry: Entry) -> Envelope:
        """Return an event as its message."""
        return Envelope(f"ww/v1/{self.device}/evt", entry.body.encode(), cells.at(entry.arrived))

    def _batch(self, some: list[Entry]) -> Envelope:
        begin = min(entry.time for entry in some)
        samples = ",".join(f"[{(entry.time - begin) / 1_000!r},{entry.body}]" for entry in some)
        head = f'"v":1,"s":1,"q":{self.samples + 1},"t":{begin / 1_000!r},"c":"synced"'
        self.samples += len(some)
        payload = f'{{{head},"r":[{samples}]}}'.encode()
        return Envelope(f"ww/v1/{self.device}/tlm", payload, cells.at(max(entry.arrived for entry in some)))
