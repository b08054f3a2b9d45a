"""Ingest without a broker, for what arrives in a strange order: batches are settled, receipts go into the ledger."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg

from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.settle import settle
from tests.faults import fleet, ledger

Sample = tuple[datetime, dict[str, float]]


class Direct:
    """Attempts samples of one unit and settles them in whatever messages the test makes of them."""

    def __init__(self, conn: psycopg.Connection, path: Path) -> None:
        self.conn = conn
        self.path = path
        self.book = ledger.Book(path)

    def attempt(self, samples: Sequence[Sample], *, session: int = 7, first: int = 1) -> None:
        """Note samples in the ledger."""
        told = [(round(at.timestamp() * 1_000), values) for at, values in samples]
        self.book.attempted("acme.1", session, first, told)

    def settle(self, envelopes: Sequence[Envelope], together: int = 7) -> None:
        """Settle messages, some at a time, and note the receipts."""
        for begin in range(0, len(envelopes), together):
            outcome = settle(self.conn, Directory(), envelopes[begin : begin + together])
            self.conn.commit()
            for message in outcome.messages:
                told = json.loads(message.payload)
                if "through" in told:
                    self.book.receipted("acme.1", told["s"], told["through"])


def cut(samples: Sequence[Sample], size: int, *, session: int = 7, received: datetime | None = None) -> list[Envelope]:
    """Return samples, numbered from 1 on, as messages of so many each; their times are evenly spaced."""
    step = (samples[1][0] - samples[0][0]).total_seconds()
    return [
        fleet.batch(
            begin + 1,
            [values for _, values in samples[begin : begin + size]],
            session=session,
            at=samples[begin][0],
            step=step,
            received=received,
        )
        for begin in range(0, len(samples), size)
    ]
