"""Gaps in units' sequence numbers, as an operator reads them."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

GAPS = """
select u.device, g.session, lower(g.seqs) as first, upper(g.seqs) - 1 as last, upper(g.seqs) - lower(g.seqs) as missing,
       g.found_at, g.asked_at, g.asks, g.closed_at, g.outcome
from gap g join unit u using (unit_id)
where (%(all)s or g.closed_at is null) and (%(device)s::text is null or u.device = %(device)s)
order by g.found_at desc limit %(limit)s"""


def listed(conn: psycopg.Connection, *, device: str | None, closed: bool, limit: int) -> list[dict[str, Any]]:
    """Return gaps, newest first; the closed ones too when asked."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(GAPS, {"all": closed, "device": device, "limit": limit}).fetchall()
