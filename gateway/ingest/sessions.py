"""Sequence sessions and their gaps as rows."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from gateway.ingest.arrays import MICROS, NO_TIME, Int4s, Int8s, Times, columns
from gateway.ingest.sequence import Changes, Gap, Sequence, changes

SELECT = f"""select s.unit_id, s.session, s.high_seq, {MICROS.format("s.anchor")}
    from unit_session s join unnest(%s, %s) k(unit_id, session)
        on s.unit_id = k.unit_id and s.session = k.session
    order by s.unit_id, s.session"""
# The newest of a session's gaps; a unit that leaves more behind has given up the older ones.
GAPS = """select k.unit_id, k.session, lower(g.seqs), upper(g.seqs) - 1, g.gap_id, g.outcome is not null
    from unnest(%s, %s) k(unit_id, session)
    cross join lateral (select seqs, gap_id, outcome from gap
        where unit_id = k.unit_id and session = k.session and outcome is distinct from 'filled'
        order by gap_id desc limit 1000) g
    order by lower(g.seqs)"""
UPSERT = """insert into unit_session (tenant_id, unit_id, session, high_seq, anchor, opened_at)
    select tenant_id, unit_id, session, high, nullif(anchor, '-infinity'), %s from unnest(%s, %s, %s, %s, %s)
        t(tenant_id, unit_id, session, high, anchor)
    on conflict (unit_id, session) do update set high_seq = excluded.high_seq, anchor = excluded.anchor"""
OPEN = """insert into gap (tenant_id, unit_id, session, seqs, found_at)
    select tenant_id, unit_id, session, int8range(low, high, '[]'), %s
    from unnest(%s, %s, %s, %s, %s) t(tenant_id, unit_id, session, low, high)"""
SHRINK = """update gap set seqs = int8range(low, high, '[]')
    from unnest(%s, %s, %s) t(low, high, row) where gap_id = row"""
SPLIT = """insert into gap (tenant_id, unit_id, session, seqs, found_at, asked_at, asks, closed_at, outcome)
    select tenant_id, unit_id, session, int8range(low, high, '[]'), found_at, asked_at, asks, closed_at, outcome
    from unnest(%s, %s, %s) t(low, high, row) join gap on gap_id = row"""
FILL = "update gap set closed_at = %s, outcome = 'filled' where gap_id = any(%s)"

SessionKey = tuple[int, int]  # unit, session


@dataclass(slots=True)
class Session:
    """One run of a unit's sequence counter; `anchor` is when its uptime read zero, in microseconds since 2000."""

    tenant_id: int
    unit_id: int
    session: int
    sequence: Sequence
    stored: list[Gap]
    anchor: int | None = None
    new: bool = True
    was: tuple[int, int | None] = (0, None)

    @property
    def changed(self) -> bool:
        return self.new or self.was != (self.sequence.high, self.anchor)


def load(conn: psycopg.Connection, keys: Iterable[tuple[int, int, int]]) -> dict[SessionKey, Session]:
    """Return the sessions of (tenant, unit, session) keys; those that have no row yet are new ones.

    The caller holds the units' locks, so that nobody else can change them, or open the same new one.
    """
    found = {(unit, session): Session(tenant, unit, session, Sequence(), []) for tenant, unit, session in keys}
    whose = columns(found, Int8s, Int8s)
    for unit, session, high, anchor in conn.execute(SELECT, whose, binary=True):
        this = found[unit, session]
        this.sequence.high, this.anchor, this.new, this.was = high, anchor, False, (high, anchor)
    if any(not session.new for session in found.values()):
        for unit, session, first, last, row, lost in conn.execute(GAPS, whose):
            found[unit, session].stored.append(Gap(first, last, row, lost))
    for this in found.values():
        this.sequence.gaps = list(this.stored)
    return found


def save(conn: psycopg.Connection, sessions: Collection[Session], now: datetime) -> tuple[int, int]:
    """Write what changed and return how many gaps opened and how many were filled."""
    if changed := [this for this in sessions if this.changed]:
        rows = [
            (
                this.tenant_id,
                this.unit_id,
                this.session,
                this.sequence.high,
                NO_TIME if this.anchor is None else this.anchor,
            )
            for this in changed
        ]
        conn.execute(UPSERT, (now, *columns(rows, Int4s, Int8s, Int8s, Int8s, Times)))
    opened: list[tuple[int, ...]] = []
    found = Changes([], [], [], [])
    for this in sessions:
        if this.sequence.gaps != this.stored:
            news = changes(this.stored, this.sequence.gaps)
            opened += [(this.tenant_id, this.unit_id, this.session, gap.first, gap.last) for gap in news.opened]
            found.filled.extend(news.filled)
            found.shrunk.extend(news.shrunk)
            found.split.extend(news.split)
    if opened:
        conn.execute(OPEN, (now, *columns(opened, Int4s, Int8s, Int8s, Int8s, Int8s)))
    for statement, gaps in ((SPLIT, found.split), (SHRINK, found.shrunk)):
        if gaps:
            conn.execute(statement, columns([(gap.first, gap.last, gap.row) for gap in gaps], Int8s, Int8s, Int8s))
    if found.filled:
        conn.execute(FILL, (now, found.filled))
    return len(opened), len(found.filled)
