"""What a unit's own words change on the unit: seen, its newest reading, online, asleep, lost, its firmware."""

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from gateway.ingest import rejection
from gateway.ingest.arrays import MICROS, NO_TIME, Float8s, Int4s, Int8s, Times, columns
from gateway.ingest.arrivals import Newest
from gateway.ingest.clocks import SECOND
from gateway.ingest.content import UNNUMBERED, UnitState

LOCK = f"""select unit_id, connection, connection_session, {MICROS.format("last_seen_at")}, {MICROS.format("latest_at")}
    from unit where unit_id = any(%s) order by unit_id for no key update"""
# Clock 0 says that there is no newer reading: what stands of it stays.
SEEN = """update unit u set last_seen_at = t.seen,
        latest_at = case when t.clock = 0 then u.latest_at else t.latest end,
        clock = case when t.clock = 0 then u.clock else chr(t.clock)::"char" end,
        clock_off_s = case when t.clock = 0 then u.clock_off_s else nullif(t.off, 'NaN') end
    from unnest(%s, %s, %s, %s, %s) t(unit_id, seen, latest, clock, off) where u.unit_id = t.unit_id"""
NAN = float("nan")
STATE = """update unit set connection = %s, connection_session = %s, firmware = coalesce(%s, firmware),
    hw_rev = coalesce(%s, hw_rev) where unit_id = %s"""


@dataclass(slots=True)
class Presence:
    """One locked unit; times are microseconds since 2000."""

    unit_id: int
    connection: str
    session: int | None
    seen: int | None
    was_seen: int | None
    latest: int | None = None  # its newest reading
    news: Newest | None = None  # of this batch, where that is newer
    firmware: str | None = None
    hardware: str | None = None
    changed: bool = False

    def hear(self, received: int) -> None:
        """Note that the unit spoke."""
        if self.seen is None or received > self.seen:
            self.seen = received

    def reach(self, newest: Newest) -> None:
        """Note a unit's newest reading of a batch; a replay of what is older says nothing of where it stands."""
        if self.latest is None or newest.ts > self.latest:
            self.news = newest

    def become(self, state: UnitState) -> None:
        """Take over a birth, a farewell or a will; raises StaleState for one of an earlier session."""
        if state.session != UNNUMBERED and self.session is not None and state.session < self.session:
            raise rejection.StaleState(f"It says {state.session}, known is {self.session}.")
        self.connection = state.state
        self.session = state.session
        self.firmware, self.hardware = state.firmware or self.firmware, state.hardware or self.hardware
        self.changed = True


def lock(conn: psycopg.Connection, unit_ids: Collection[int]) -> dict[int, Presence]:
    """Lock the units, in one order for every process, so that whatever belongs to a unit has one writer at a time."""
    rows = conn.execute(LOCK, (Int8s(sorted(unit_ids)),), binary=True)
    return {row[0]: Presence(row[0], row[1], row[2], row[3], row[3], row[4]) for row in rows}


def save(conn: psycopg.Connection, presences: Collection[Presence]) -> None:
    """Write what changed; being seen again, or reading again, within a second is no news."""
    seen = [
        (this.unit_id, this.seen, *(this.news[1:] if this.news else (NO_TIME, 0, NAN)))
        for this in presences
        if this.seen is not None
        and (_later(this.seen, this.was_seen) or (this.news is not None and _later(this.news.ts, this.latest)))
    ]
    if seen:
        conn.execute(SEEN, columns(seen, Int8s, Times, Times, Int4s, Float8s))
    for this in presences:
        if this.changed:
            conn.execute(STATE, (this.connection, this.session, this.firmware, this.hardware, this.unit_id))


def _later(at: int, before: int | None) -> bool:
    return before is None or at - before >= SECOND
