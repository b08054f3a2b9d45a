"""What a history came to, slot by slot."""

from dataclasses import dataclass

import psycopg

from gateway.bench import read
from gateway.registry import models
from gateway.replay.history.files import History

STORED = """
select m.gtin, coalesce(s.code, ''), count(*) from reading r
join unit u using (unit_id) join product_model m using (model_id) left join slot s on s.slot_id = r.slot_id
group by 1, 2"""
SLOTS = """
select s.slot_id, m.gtin, s.code, (select count(*) from unit u where u.model_id = m.model_id),
  c.ended, c.censored, c.untaught, c.running, (select count(*) from forecast f where f.slot_id = s.slot_id)
from slot s join product_model m using (model_id) cross join lateral (
  select count(*) filter (where (label ->> 'witnessed')::boolean and not (label ->> 'censored')::boolean) as ended,
    count(*) filter (where (label ->> 'witnessed')::boolean and (label ->> 'censored')::boolean) as censored,
    count(*) filter (where not upper_inf(period) and not coalesce((label ->> 'witnessed')::boolean, false)) as untaught,
    count(*) filter (where upper_inf(period)) as running
  from cycle c where c.slot_id = s.slot_id) c
order by m.gtin, s.code"""


@dataclass(frozen=True, slots=True)
class Row:
    """One slot: its readings are its own and those of its whole units.

    ended: finished cycles whose end was seen. censored: parts that were taken out before. untaught: finished cycles
    whose end nothing would have shown, or whose beginning nobody heard of.
    """

    slot: str
    units: int
    readings: int
    refused: int
    ended: int
    censored: int
    untaught: int
    running: int
    forecasts: int


def rows(conn: psycopg.Connection, history: History) -> list[Row]:
    """Return a row for each slot."""
    stored = {(gtin, slot): count for gtin, slot, count in conn.execute(STORED)}
    found = []
    for slot_id, gtin, code, count, *counts in conn.execute(SLOTS).fetchall():
        told = sum(history.told[gtin, of] for of in ("", code))
        kept = sum(stored.get((gtin, of), 0) for of in ("", code))
        name = read.called(conn, models.get_slot(conn, slot_id))
        found.append(Row(name, count, kept, told - kept, *counts))
    return found
