"""Gaps in units' sequence numbers, as an operator reads them: one by one, or as sums of each unit."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

Rows = list[dict[str, Any]]

# A gap is found; asked for, again and again; and in the end filled, or lost where its unit says so.
STATE = "coalesce(g.outcome, case when g.asks > 0 then 'asked' else 'found' end)"

GAPS = f"""
select u.device, g.session, lower(g.seqs) as first, upper(g.seqs) - 1 as last, upper(g.seqs) - lower(g.seqs) as missing,
       {STATE} as state, g.found_at, g.asked_at, g.asks, g.closed_at
from gap g join unit u using (unit_id)
where (%(all)s or g.closed_at is null) and (%(device)s::text is null or u.device = %(device)s)
order by g.closed_at desc nulls first, g.found_at limit %(limit)s"""

BY_UNIT = f"""
select u.device,
       count(*) filter (where {STATE} = 'found') as found, count(*) filter (where {STATE} = 'asked') as asked,
       coalesce(sum(upper(g.seqs) - lower(g.seqs)) filter (where g.outcome is null), 0)::bigint as missing,
       min(g.found_at) filter (where g.outcome is null) as oldest,
       count(*) filter (where g.outcome = 'filled') as filled, count(*) filter (where g.outcome = 'lost') as lost,
       coalesce(sum(upper(g.seqs) - lower(g.seqs)) filter (where g.outcome = 'lost'), 0)::bigint as numbers_lost,
       u.last_seen_at
from gap g join unit u using (unit_id)
where %(device)s::text is null or u.device = %(device)s
group by u.unit_id
having %(all)s or count(*) filter (where g.outcome is null) > 0
order by missing desc, numbers_lost desc, u.device limit %(limit)s"""

OPEN = """
select count(*) as open, count(distinct unit_id) as units,
       coalesce(sum(upper(seqs) - lower(seqs)), 0)::bigint as missing,
       count(*) filter (where asks = 0) as not_asked, min(found_at) as oldest
from gap where closed_at is null and (%(unit)s::bigint is null or unit_id = %(unit)s)"""


def listed(conn: psycopg.Connection, *, device: str | None, closed: bool, limit: int) -> Rows:
    """Return gaps, those that are open longest first; then, when asked, the closed ones, newest first."""
    return _asked(conn, GAPS, all=closed, device=device, limit=limit)


def by_unit(conn: psycopg.Connection, *, device: str | None, closed: bool, limit: int) -> Rows:
    """Return the sums of each unit's gaps, most missing numbers first; when asked, also where none is open."""
    return _asked(conn, BY_UNIT, all=closed, device=device, limit=limit)


def open_ones(conn: psycopg.Connection, unit_id: int | None = None) -> dict[str, Any]:
    """Return how many gaps are open, over how many units, and how many numbers they miss."""
    return _asked(conn, OPEN, unit=unit_id)[0]


def _asked(conn: psycopg.Connection, query: str, **given: object) -> Rows:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), given).fetchall()
