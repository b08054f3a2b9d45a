"""A lane into the store: one connection, and what it knows of units. Large batches go down several at once.

A unit's messages always take the same lane, in order, so that lanes never wait for each other's units; while one waits
for the database, the other computes. A batch is settled when every lane has committed its share.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.db import pool
from gateway.ingest import topics
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.outcome import Outcome
from gateway.ingest.rejection import UnknownTopic
from gateway.ingest.settle import settle

ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
WORTH_IT = 1_000  # messages from which on a batch is shared out: below, a commit costs more than it saves


class Lane:
    """One connection to the database, made anew where it broke."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.directory = Directory()
        self._conn: psycopg.Connection | None = None

    def connection(self) -> psycopg.Connection:
        """Return the connection; raises psycopg.OperationalError while none can be had."""
        if self._conn is None or self._conn.closed or self._conn.broken:
            self.hang_up()
            self._conn = pool.connect(make_conninfo(self.dsn, **ALIVE), pool.Role.GATEWAY)
            self._conn.autocommit = True
        return self._conn

    def settle(self, batch: Sequence[Envelope]) -> Outcome:
        """Commit messages; raises psycopg.Error while the database cannot take them."""
        return settle(self.connection(), self.directory, batch)

    def hang_up(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()


def settle_in(lanes: Sequence[Lane], batch: Sequence[Envelope], executor: Executor) -> Outcome:
    """Commit a batch down these lanes; raises what the first of them raised, once all have ended.

    What one lane committed is a duplicate when the batch is tried again because of another.
    """
    first, *others = lanes
    if len(batch) < WORTH_IT or not others:
        return first.settle(batch)
    shares: list[list[Envelope]] = [[] for _ in lanes]
    for envelope in batch:
        shares[_place(envelope.topic) % len(lanes)].append(envelope)
    running = [executor.submit(lane.settle, share) for lane, share in zip(others, shares[1:], strict=True)]
    try:
        outcome = first.settle(shares[0])
    finally:
        for one in running:
            with suppress(Exception):  # it is raised below, where the first lane's own does not come before
                one.result()
    for one in running:
        outcome.add(one.result())
    return outcome


def _place(topic: str) -> int:
    try:
        return hash(topics.parse(topic).device)
    except UnknownTopic:
        return 0
