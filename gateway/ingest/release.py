"""Letting messages out of quarantine: each runs through the pipeline again, once."""

from datetime import datetime

import psycopg

from gateway.errors import Conflict
from gateway.ingest import presence, quarantine
from gateway.ingest.directory import Directory
from gateway.ingest.outcome import Outcome
from gateway.ingest.quarantine import Kept
from gateway.ingest.settle import settle


def release(conn: psycopg.Connection, directory: Directory, quarantine_id: int, now: datetime) -> Outcome:
    """Let one message through; the caller commits. It stays where the same reason still holds.

    Raises NotFound, and Conflict for one that was released before, or of which only the beginning was kept.
    """
    kept = quarantine.get(conn, quarantine_id)
    if kept.released_at:
        raise Conflict(f"message {quarantine_id} was released at {kept.released_at:%Y-%m-%d %H:%M}")
    if not kept.whole:
        raise Conflict(f"message {quarantine_id} cannot be released: of what is too large only the beginning is kept")
    return _through(conn, directory, [kept], now)


def release_enrolled(conn: psycopg.Connection, directory: Directory, now: datetime, limit: int = 500) -> Outcome:
    """Let through, oldest first, what was refused only because its unit was not enrolled yet; the caller commits."""
    kept = quarantine.enrolled_since(conn, limit)
    return _through(conn, directory, kept, now) if kept else Outcome()


def _through(conn: psycopg.Connection, directory: Directory, kept: list[Kept], now: datetime) -> Outcome:
    whole = Outcome()
    known = directory.units(conn, {one.device for one in kept if one.device})
    presence.lock(conn, {known[one.device].unit_id for one in kept if one.device in known})  # all, in everybody's order
    for one in kept:
        outcome = settle(conn, directory, [one.envelope()])
        if not outcome.refused[one.reason]:
            quarantine.mark_released(conn, [one.quarantine_id], now)
        whole.add(outcome)
    return whole
