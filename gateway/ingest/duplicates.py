"""What came again and was not stored again, by unit and hour; nothing is written where nothing did."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from gateway.ingest.arrays import Int4s, Int8s, columns

SAVE = """insert into duplicate_hourly (tenant_id, unit_id, hour, redelivered, resent)
    select u.tenant_id, t.unit_id, date_trunc('hour', %s::timestamptz, 'UTC'), t.redelivered, t.resent
    from unnest(%s, %s, %s) t(unit_id, redelivered, resent) join unit u using (unit_id)
    on conflict (unit_id, hour) do update set redelivered = duplicate_hourly.redelivered + excluded.redelivered,
        resent = duplicate_hourly.resent + excluded.resent"""


@dataclass(slots=True)
class Duplicates:
    """Readings of one haul that were here before, by unit."""

    redelivered: Counter[int] = field(default_factory=Counter)
    resent: Counter[int] = field(default_factory=Counter)

    def note(self, unit_id: int, readings: int, *, resent: bool) -> None:
        """Count readings of a message that were here before, and whether the unit itself sent it again."""
        (self.resent if resent else self.redelivered)[unit_id] += readings

    def note_found(self, found: Counter[int], again: Collection[int]) -> None:
        """Count readings that only the store knew; their messages are not known any more, their units are.

        again: units of which something came again that they did not send again.
        """
        for unit_id, readings in found.items():
            self.note(unit_id, readings, resent=unit_id not in again)


def save(conn: psycopg.Connection, duplicates: Duplicates, now: datetime) -> None:
    """Add what came again to its hour."""
    units = sorted(duplicates.redelivered.keys() | duplicates.resent.keys())
    if units:
        rows = [(unit, duplicates.redelivered[unit], duplicates.resent[unit]) for unit in units]
        conn.execute(SAVE, (now, *columns(rows, Int8s, Int4s, Int4s)))
