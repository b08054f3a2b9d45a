"""Sequence sessions and their gaps as rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

from gateway.ingest.arrays import MICROS, NO_TIME, Int4s, Int8s, Times, columns
from gateway.ingest.content import Batch, Content
from gateway.ingest.sequence import Changes, Gap, Sequence, changes

SELECT = f"""select s.unit_id, s.session, s.high_seq, {MICROS.format("s.anchor")}
    from unit_session s join unnest(%s, %s) k(unit_id, session)
        on s.unit_id = k.unit_id and s.session = k.session
    order by s.unit_id, s.session"""
# Of a session's gaps, which may be many: the first open one, at which its receipt stands, and those that a span of
# numbers meets, with the first open one after the span, at which the receipt may stand then. Each search repeats the
# condition of the index (gap_in_order), without which it would not be asked.
FIRST = """select k.unit_id, k.session, lower(g.seqs), upper(g.seqs) - 1, g.gap_id, false
    from unnest(%s, %s) k(unit_id, session)
    cross join lateral (select seqs, gap_id from gap g
        where g.unit_id = k.unit_id and g.session = k.session and g.outcome is null
            and g.outcome is distinct from 'filled'
        order by lower(g.seqs) limit 1) g"""
MET = """select k.unit_id, k.session, lower(g.seqs), upper(g.seqs) - 1, g.gap_id, g.outcome is not null
    from unnest(%s, %s, %s, %s) k(unit_id, session, low, high) cross join lateral (
        (select seqs, gap_id, outcome from gap g
         where g.unit_id = k.unit_id and g.session = k.session and g.outcome is distinct from 'filled'
             and lower(g.seqs) <= k.high and upper(g.seqs) > k.low and lower(g.seqs) >= coalesce(
                 (select lower(b.seqs) from gap b
                  where b.unit_id = k.unit_id and b.session = k.session and b.outcome is distinct from 'filled'
                      and lower(b.seqs) <= k.low order by lower(b.seqs) desc limit 1), k.low))
        union all
        (select seqs, gap_id, outcome from gap g
         where g.unit_id = k.unit_id and g.session = k.session and g.outcome is null
             and g.outcome is distinct from 'filled' and lower(g.seqs) > k.high
         order by lower(g.seqs) limit 1)) g"""
BY_INDEX, AS_USUAL = "set local enable_seqscan = off", "set local enable_seqscan = on"
UPSERT = """insert into unit_session (tenant_id, unit_id, session, high_seq, anchor, opened_at)
    select tenant_id, unit_id, session, high, nullif(anchor, '-infinity'), %s from unnest(%s, %s, %s, %s, %s)
        t(tenant_id, unit_id, session, high, anchor)
    on conflict (unit_id, session) do update set high_seq = excluded.high_seq, anchor = excluded.anchor"""
OPEN = """insert into gap (tenant_id, unit_id, session, seqs, found_at)
    select tenant_id, unit_id, session, int8range(low, high, '[]'), %s
    from unnest(%s, %s, %s, %s, %s) t(tenant_id, unit_id, session, low, high)"""
SHRINK = """update gap set seqs = int8range(low, high, '[]')
    from unnest(%s, %s, %s) t(low, high, row) where gap_id = row"""
SPLIT = """insert into gap (tenant_id, unit_id, session, seqs, found_at, asked_at, asks, lost_at, closed_at, outcome)
    select tenant_id, unit_id, session, int8range(low, high, '[]'), found_at, asked_at, asks, lost_at, closed_at,
        outcome
    from unnest(%s, %s, %s) t(low, high, row) join gap on gap_id = row"""
FILL = "update gap set closed_at = %s, outcome = 'filled' where gap_id = any(%s)"

SessionKey = tuple[int, int]  # unit, session
Spans = list[tuple[int, int]]  # first and last sequence number of what comes one right after another


def add_to(spans: Spans, content: Content) -> None:
    """Note the numbers of what a unit says, as it says them; most come right after the last."""
    if isinstance(content, Batch):
        last = content.q + len(content.r) - 1
        if spans and spans[-1][1] == content.q - 1:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((content.q, last))


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


def load(conn: psycopg.Connection, spans: Mapping[tuple[int, int, int], Spans]) -> dict[SessionKey, Session]:
    """Return the sessions of (tenant, unit, session) keys, ready to take in the numbers of these spans.

    Those that have no row yet are new ones. The caller holds the units' locks, so that nobody else can change them, or
    open the same new one.
    """
    found = {(unit, session): Session(tenant, unit, session, Sequence(), []) for tenant, unit, session in spans}
    whose = columns(found, Int8s, Int8s)
    for unit, session, high, anchor in conn.execute(SELECT, whose, binary=True).fetchall():
        this = found[unit, session]
        this.sequence.high, this.anchor, this.new, this.was = high, anchor, False, (high, anchor)
    if any(not session.new for session in found.values()):
        for key, gaps in _missing(conn, spans, found).items():
            found[key].stored = sorted(gaps)
    for this in found.values():
        this.sequence.gaps = list(this.stored)
    return found


def _missing(
    conn: psycopg.Connection, spans: Mapping[tuple[int, int, int], Spans], found: Mapping[SessionKey, Session]
) -> dict[SessionKey, set[Gap]]:
    """Return the gaps that matter to these spans, by the index whatever the planner knows of a table that grows."""
    known = [key for key, session in found.items() if not session.new]
    met = [
        (unit, session, *span)
        for (_, unit, session), told in spans.items()
        for span in told
        if span[0] <= found[unit, session].sequence.high  # later numbers meet no gap
    ]
    conn.execute(BY_INDEX)
    rows = conn.execute(FIRST, columns(known, Int8s, Int8s), prepare=False).fetchall()
    if met:
        rows += conn.execute(MET, columns(met, *[Int8s] * 4), prepare=False).fetchall()
    conn.execute(AS_USUAL)
    missing: dict[SessionKey, set[Gap]] = {}
    for unit, session, first, last, row, lost in rows:
        missing.setdefault((unit, session), set()).add(Gap(first, last, row, lost))
    return missing


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
