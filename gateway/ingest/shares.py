"""Large batches are shared out between this process and its annex: two interpreters, two connections.

A unit's messages all lie in one share, in order, so that neither waits for the other's units. A batch is settled when
both have committed.
"""

import time
from collections.abc import Sequence

from gateway.ingest import topics
from gateway.ingest.annex import PATIENCE, Annex
from gateway.ingest.envelope import Envelope
from gateway.ingest.lane import Lane
from gateway.ingest.outcome import Outcome

WORTH_IT = 1_000  # messages from which on a batch is shared out: below, a commit costs more than it saves


def settle(lane: Lane, annex: Annex | None, batch: Sequence[Envelope]) -> Outcome:
    """Commit a batch; raises what a lane raises, once both have ended.

    What one of them committed is a duplicate when the batch is tried again because of the other.
    """
    if len(batch) < WORTH_IT or annex is None or not annex.serves():
        return lane.settle(batch)
    shares: tuple[list[Envelope], list[Envelope]] = ([], [])
    for envelope in batch:
        shares[topics.spread(envelope.topic) % 2].append(envelope)
    annex.begin(shares[1])
    began = time.monotonic()
    try:
        outcome = lane.settle(shares[0])
    finally:  # where the store is slow, it is slow for both
        there = annex.end(PATIENCE + 4 * (time.monotonic() - began))
    outcome.add(there)
    return outcome
