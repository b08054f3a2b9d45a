"""Comparing a ledger with the store: one unit after another, in one snapshot of the database, reading only."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.db import pool
from tests.faults.ledger import told
from tests.faults.ledger.book import fingerprint
from tests.faults.ledger.verdict import Verdict

FETCHED = 20_000  # rows at once
OPEN, FILLED, LOST = None, "filled", "lost"
NO_COUNT = 1 | 8  # flags of readings that no rollup counts: a counter went back, or there is no value

# The key of `reading` begins with the unit, on plain partitions and on a hypertable, compressed or not.
READINGS = """select r.session, r.seq, case when r.slot_id = 0 then c.name else r.slot_id || '.' || c.name end, r.value,
        (extract(epoch from r.device_ts) * 1000)::bigint
    from reading r join channel c using (channel_id) where r.unit_id = %s order by r.session, r.seq"""
GAPS = """select session, lower(seqs), upper(seqs) - 1, outcome from gap
    where unit_id = %s and session = any(%s) order by gap_id"""
COUNTED = f"""with own as (
        select value, flags & {NO_COUNT} = 0 as counts,
            lag(value) over (partition by flags & {NO_COUNT} = 0 order by ts, session, seq) as before
        from reading join channel using (channel_id) where unit_id = %(unit)s and slot_id = 0 and name = 'runtime')
    select (select count(*) from own), (select count(*) from own where counts),
        (select coalesce(sum(greatest(value - before, 0)), 0) from own where counts),
        (select max(value) - min(value) from own),
        coalesce(sum(n), 0), coalesce(sum(rise), 0)
    from reading_hourly join channel using (channel_id) where unit_id = %(unit)s and slot_id = 0 and name = 'runtime'"""
PROMPTED = """select u.device, p.cycle_id from prompt p join unit u using (unit_id)
    where u.device = any(%s) group by u.device, p.cycle_id having count(*) > 1"""
QUARANTINED = """select reason, count(*) from quarantine
    where device = any(%s) and released_at is null group by reason order by reason"""


def check(
    paths: Path | Iterable[Path],
    dsn: str,
    *,
    others: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Verdict:
    """Compare ledgers with the store; `others` lets readings of sessions pass that no ledger given knows.

    Raises OSError for a file that cannot be read and psycopg.Error for a database that cannot.
    """
    ledger, silence = told.read([paths] if isinstance(paths, Path) else paths)
    found = Verdict(longest_silence_s=round(silence, 1))
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        conn.isolation_level, conn.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        devices = sorted(ledger)
        units = dict(conn.execute("select device, unit_id from unit where device = any(%s)", (devices,)).fetchall())
        for place, device in enumerate(devices):
            progress(place, len(devices))
            _unit(conn, device, units.get(device), ledger[device], found, others=others)
        found.add("prompted_twice", conn.execute(PROMPTED, (devices,)).fetchall())
        found.quarantined = dict(conn.execute(QUARANTINED, (devices,)).fetchall())
    return found


def _unit(
    conn: psycopg.Connection,
    device: str,
    unit_id: int | None,
    sessions: dict[int, told.Session],
    found: Verdict,
    *,
    others: bool,
) -> None:
    stored = {number: np.zeros(len(session.marks), bool) for number, session in sessions.items()}
    strange = 0
    for (number, seq), rows in _samples(conn, unit_id):
        session = sessions.get(number)
        if session is None or not 0 < seq <= len(session.marks) or not session.marks[seq - 1]:
            strange += 1
            if session is not None or not others:
                found.add("invented", [(device, number, seq)])
            continue
        found.stored += 1
        stored[number][seq - 1] = True
        values = {row[2]: row[3] for row in rows}
        if len(values) < len(rows):
            found.add("doubled", [(device, number, seq)])
        if len({row[4] for row in rows}) > 1 or fingerprint(rows[0][4], values) != session.marks[seq - 1]:
            found.add("altered", [(device, number, seq)])
    missing = _gaps(conn, unit_id, sessions, found)
    for number, session in sessions.items():
        _session((device, number), session, stored[number], missing[number], found)
    _count(conn, device, unit_id, found, alone=not strange)


def _samples(
    conn: psycopg.Connection, unit_id: int | None
) -> Iterator[tuple[tuple[int, int], list[tuple[int, int, str, float, int | None]]]]:
    """Return a unit's stored samples, each with its rows, in the order of their numbers; few are held at once."""
    with conn.cursor("samples", binary=True) as cursor:
        cursor.itersize = FETCHED
        cursor.execute(READINGS, (unit_id,))
        for mark, rows in groupby(cursor, key=lambda row: (row[0], row[1])):
            yield mark, list(rows)


def _gaps(
    conn: psycopg.Connection, unit_id: int | None, sessions: dict[int, told.Session], found: Verdict
) -> dict[int, dict[Any, NDArray[np.bool_]]]:
    """Return, by session and outcome, which numbers the gateway calls missing."""
    missing: dict[int, dict[Any, NDArray[np.bool_]]] = {
        number: {outcome: np.zeros(len(session.marks), bool) for outcome in (OPEN, FILLED, LOST)}
        for number, session in sessions.items()
    }
    for number, low, high, outcome in conn.execute(GAPS, (unit_id, list(sessions))):
        missing[number][outcome][low - 1 : high] = True
        found.gaps += outcome is OPEN
        found.gaps_filled += outcome == FILLED
        found.gaps_given_up += outcome == LOST
    return missing


def _session(
    whose: tuple[str, int],
    session: told.Session,
    stored: NDArray[np.bool_],
    missing: dict[Any, NDArray[np.bool_]],
    found: Verdict,
) -> None:
    attempted = session.attempted() != 0
    absent = attempted & ~stored
    place = np.arange(1, len(stored) + 1)
    newest = int(place[stored].max(initial=0))
    given_up = missing[LOST]

    def marks(which: NDArray[np.bool_]) -> Iterator[tuple[str, int, int]]:
        return ((*whose, int(seq)) for seq in place[which])

    found.attempted += int(attempted.sum())
    found.missing += int(absent.sum())
    found.add("lost", marks(absent & (place <= session.through) & ~given_up))
    unknown = session.acknowledged() & absent & (place < newest) & ~missing[OPEN] & ~given_up
    found.add("unreported", marks(unknown))
    found.add("misreported", marks(stored & missing[OPEN]))


def _count(conn: psycopg.Connection, device: str, unit_id: int | None, found: Verdict, *, alone: bool) -> None:
    """Compare the hourly sums with the readings and, where the unit spoke to nobody else, with its own counter."""
    row = conn.execute(COUNTED, {"unit": unit_id}).fetchone()
    if row is None or not row[0]:
        return
    total, counted, ran, own, hourly, rise = row
    right = hourly == counted and abs(rise - ran) < 1e-6
    if alone:  # its counter never went back
        right = right and counted == total and abs(rise - own) < 1e-6
    if not right:
        found.add("miscounted", [device])
