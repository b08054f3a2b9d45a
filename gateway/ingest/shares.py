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
from gateway.ingest.mail import Mail
from gateway.ingest.outcome import Outcome

WORTH_IT = 1_000  # messages from which on a batch is shared out: below, a commit costs more than it saves


def settle(lane: Lane, annex: Annex | None, batch: Sequence[Envelope]) -> Outcome:
    """Commit a batch; raises what a lane raises, once both have ended.

    What one of them committed is a duplicate when the batch is tried again because of the other.
    """
    if len(batch) < WORTH_IT or annex is None or not annex.serves():
        return lane.settle(batch)
    mail = Mail.of(batch)
    sides = {topic: topics.spread(topic) % 2 == 1 for topic in set(mail.topics)}
    there = [sides[topic] for topic in mail.topics]
    annex.begin(mail.chosen(there))
    began = time.monotonic()
    try:
        outcome = lane.settle(mail.chosen([not side for side in there]))
    finally:  # where the store is slow, it is slow for both
        elsewhere = annex.end(PATIENCE + 4 * (time.monotonic() - began))
    outcome.add(elsewhere)
    return outcome
