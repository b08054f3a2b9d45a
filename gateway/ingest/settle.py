"""Committing a batch: in one transaction if it can be, in as few as its worst message allows if not."""

from collections import Counter
from collections.abc import Sequence

import psycopg
import structlog

from gateway.ingest import pipeline, quarantine
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.outcome import Outcome
from gateway.ingest.rejection import Indigestible

log = structlog.get_logger()

# The database is away, in recovery, full or shutting down; or it is not (yet) of this version, or not ours to write.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
NOT_OURS = frozenset(("42P01", "42P07", "42703", "42883", "42501", "3F000"))  # undefined, duplicate, privilege, schema


def settle(conn: psycopg.Connection, directory: Directory, envelopes: Sequence[Envelope]) -> Outcome:
    """Store a batch of messages and commit.

    A message that the database or our own code chokes on is found by halving and put into quarantine, so that it
    never holds up its neighbours. Raises a psycopg.Error where the fault is no message's; nothing is lost then, and
    what was committed before is a duplicate when the batch is tried again.
    """
    try:
        with conn.transaction():
            return pipeline.take(conn, directory, envelopes)
    except Exception as error:  # whatever it is, it must not stop the others
        directory.forget()
        if isinstance(error, AWAY) or (isinstance(error, psycopg.Error) and error.sqlstate in NOT_OURS):
            raise
        if len(envelopes) == 1:
            return _indigestible(conn, envelopes[0], error)
    outcome = Outcome()
    middle = len(envelopes) // 2
    for half in (envelopes[:middle], envelopes[middle:]):
        outcome.add(settle(conn, directory, half))
    return outcome


def _indigestible(conn: psycopg.Connection, envelope: Envelope, error: Exception) -> Outcome:
    log.error("message refused by the store", topic=envelope.topic, exc_info=error)
    reason = Indigestible.because(error)
    with conn.transaction():
        quarantine.keep(conn, [quarantine.Refusal(None, None, envelope, reason)])
    return Outcome(refused=Counter({reason.code: 1}))
