"""How long rows are kept that have done their work: what was sent, what was answered, what was refused.

Each look takes the oldest rows of a table that are done, a bounded number, and lets go those that are old enough: it
costs the same however long the table is, and what waits, as a mail does whose day comes in half a year, keeps nothing
behind it. Readings go otherwise (aging.py); cycles, forecasts and orders are not touched.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from gateway.settings import Settings

BATCH = 5_000


class Rule(NamedTuple):
    """One table: which setting says for how many days, and what lets go of its oldest rows."""

    table: str
    setting: str
    query: str


RULES = (
    Rule(
        "outbox",
        "keep_messages_d",
        """with oldest as (select message_id from outbox where coalesce(sent_at, failed_at) < %(before)s
                           order by coalesce(sent_at, failed_at) limit %(batch)s)
           delete from outbox o using oldest where o.message_id = oldest.message_id""",
    ),
    Rule(
        "event",
        "keep_events_d",
        """with oldest as (select event_id, greatest(recorded_at, handled_at) as done_at from event
                           where handled_at is not null order by event_id limit %(batch)s)
           delete from event e using oldest where e.event_id = oldest.event_id and done_at < %(before)s""",
    ),
    Rule(
        "quarantine",
        "keep_quarantine_d",
        """with oldest as (select quarantine_id, greatest(received_at, released_at) as done_at from quarantine
                           order by quarantine_id limit %(batch)s)
           delete from quarantine q using oldest
           where q.quarantine_id = oldest.quarantine_id and done_at < %(before)s""",
    ),
    Rule(
        "duplicate_hourly",
        "keep_quarantine_d",
        """with oldest as (select unit_id, hour from duplicate_hourly order by hour limit %(batch)s)
           delete from duplicate_hourly d using oldest
           where d.unit_id = oldest.unit_id and d.hour = oldest.hour and d.hour < %(before)s""",
    ),
    Rule(
        "gap",  # one that is lost stays: its numbers may still come, and nothing else would know them from repeats
        "keep_quarantine_d",
        """with oldest as (select gap_id from gap where outcome = 'filled' and closed_at < %(before)s
                           order by closed_at limit %(batch)s)
           delete from gap g using oldest where g.gap_id = oldest.gap_id""",
    ),
)


def let_go(conn: psycopg.Connection, settings: Settings, now: datetime) -> dict[str, int]:
    """Delete what is old enough and return how many rows of each table that were; the caller commits."""
    return dict(_each(conn, settings, now))


def _each(conn: psycopg.Connection, settings: Settings, now: datetime) -> Iterator[tuple[str, int]]:
    for rule in RULES:
        days = int(getattr(settings, rule.setting))
        if days:
            given = {"before": now - timedelta(days=days), "batch": BATCH}
            yield rule.table, conn.execute(rule.query.encode(), given).rowcount
