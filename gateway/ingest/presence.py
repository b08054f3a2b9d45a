"""What a unit's own words change on the unit: seen, its newest reading, online, asleep, lost, its firmware."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.ingest import rejection
from gateway.ingest.arrays import MICROS, NO_TIME, Float8s, Int4s, Int8s, Times
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
    firmware: str | None = None
    hardware: str | None = None
    changed: bool = False

    def hear(self, received: int) -> None:
        """Note that the unit spoke."""
        if self.seen is None or received > self.seen:
            self.seen = received

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
    rows = conn.execute(LOCK, (Int8s(sorted(unit_ids)),), binary=True).fetchall()
    return {row[0]: Presence(row[0], row[1], row[2], row[3], row[3], row[4]) for row in rows}


def save(conn: psycopg.Connection, presences: Mapping[int, Presence], newest: Newest) -> None:
    """Write what changed over units as `lock` returned them; `newest` are the readings of some of them.

    Being heard again, or reading again, within a second is no news; nor is a replay of what is older than what stands.
    """
    if not presences:
        return
    unit_ids = np.fromiter(presences, np.int64, len(presences))
    times = [(this.seen, this.was_seen, this.latest) for this in presences.values()]
    seen, was_seen, was_latest = np.array([[NO_TIME if at is None else at for at in row] for row in times]).T
    latest, clock, off = np.full(len(seen), NO_TIME), np.zeros(len(seen), np.int32), np.full(len(seen), np.nan)
    places = np.searchsorted(unit_ids, newest.unit_id)
    latest[places], clock[places], off[places] = newest.ts, newest.clock, newest.off_s
    clock[latest <= was_latest] = 0
    news = _later(seen, was_seen) | ((clock != 0) & _later(latest, was_latest))
    if news.any():
        columns = ((Int8s, unit_ids), (Times, seen), (Times, latest), (Int4s, clock), (Float8s, off))
        conn.execute(SEEN, [kind(values[news]) for kind, values in columns])
    for this in presences.values():
        if this.changed:
            conn.execute(STATE, (this.connection, this.session, this.firmware, this.hardware, this.unit_id))


def _later(at: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say what is later by a second or more; everything is later than never, and never is later than nothing."""
    found: NDArray[np.bool_] = (at != NO_TIME) & ((before == NO_TIME) | (at - before >= SECOND))
    return found
