"""The demo's story, as the tables tell it: where each prompted slot stands on its way to the next cycle."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

COUNTS = """
select (select coalesce(sum(n), 0)::bigint from reading_hourly) as readings,
       (select count(*) from unit where connection = 'online') as online,
       (select count(*) from unit where device is not null) as units,
       (select count(*) from forecast) as forecasts,
       (select count(*) from gap where closed_at is null) as gaps,
       (select count(*) from quarantine where released_at is null) as quarantined,
       (select count(*) from prompt) as prompts,
       (select count(*) from purchase) as orders,
       (select count(*) from cycle where not upper_inf(period)) as finished,
       (select count(*) from outbox where channel = 'email' and sent_at is not null) as mails"""

SLOTS = """
with every as (
  select coalesce(u.name, u.serial) as unit, s.name as slot, t.stage, t.pct_left,
         t.eol_q10, t.eol_q50, t.eol_q90, t.basis, o.state as ordered,
         case when o.state is not null then 'ordered' when t.eol_q50 > %(now)s then 'running' else 'overdue' end as how
  from unit u join slot_state t using (unit_id) join slot s using (slot_id)
  left join lateral (select state from purchase p where p.unit_id = u.unit_id and p.slot_id = t.slot_id
                     and p.cycle_id = t.cycle_id and p.state not in ('cancelled', 'fitted')
                     order by order_id desc limit 1) o on true
  where t.eol_q50 is not null),
placed as (select *, row_number() over (partition by how order by case how when 'overdue' then -1 else 1 end
                                                                 * extract(epoch from eol_q50), unit) as place,
                  count(*) over (partition by how) as alike from every)
select * from placed where how <> 'overdue' or place <= %(overdue)s
order by array_position(array['ordered', 'running', 'overdue'], how), place"""

NEWS = """
select e.occurred_at, e.type, coalesce(u.name, u.serial) as unit, s.name as slot
from event e join unit u using (unit_id) left join slot s on s.slot_id = e.slot_id
where e.type = any(%s) order by e.event_id desc limit %s"""
TOLD = ["order_placed", "order_paid", "order_cancelled", "order_shipped", "order_delivered", "part_fitted"]

UP_TO_DATE = """
select count(*) from unit u where u.device is not null
  and exists (select from reading_hourly h where h.unit_id = u.unit_id and h.last_ts > %s)"""

PROMPTED = """
select p.prompt_id, p.unit_id, p.slot_id, p.cycle_id, p.created_at, coalesce(u.name, u.serial) as unit, s.name as slot,
       m.rendered ->> 'subject' as subject, m.rendered ->> 'text' as text
from prompt p join unit u using (unit_id) join slot s using (slot_id)
join outbox m on m.kind = 'prompt' and m.party_id = p.party_id and m.sent_at is not null
     and m.payload -> 'prompts' @> to_jsonb(p.prompt_id)
join forecast f on f.forecast_id = p.forecast_id
where u.device is not null and p.state = 'open' and m.rendered is not null and f.eol_q50 > f.made_at
order by p.prompt_id limit 1"""

WAITING = """
select count(*) over () as count, m.rendered ->> 'subject' as subject
from prompt p join slot_state t using (unit_id, slot_id)
join outbox m on m.kind = 'prompt' and m.party_id = p.party_id and m.sent_at is not null and m.rendered is not null
     and m.payload -> 'prompts' @> to_jsonb(p.prompt_id)
where p.state = 'open'
order by t.eol_q50 > %s desc, p.prompt_id desc limit 1"""

FORECAST = """
select made_at, eol_q10, eol_q50, eol_q90, pct_left, basis, predictor, reasons ->> 'sentence' as sentence,
       (select count(*) from forecast f where f.cycle_id = forecast.cycle_id) as made,
       (select eol_q90 - eol_q10 from forecast f where f.cycle_id = forecast.cycle_id
        order by f.made_at limit 1) as first_width
from forecast where cycle_id = %s order by made_at desc limit 1"""

ORDER = """
select o.order_id, o.number, o.state, o.total_minor, o.currency, p.name as part, pay.state as payment, pay.kind,
       sh.shipped_at, sh.delivered_at
from purchase o join quote q using (quote_id) join part p on p.part_id = q.part_id
left join lateral (select state, kind from payment where payment.order_id = o.order_id
                   order by attempt desc limit 1) pay on true
left join shipment sh on sh.order_id = o.order_id
where o.cycle_id = %s order by o.order_id desc limit 1"""

NEXT = """
select n.cycle_id, lower(n.period) as began_at, n.source, upper(old.period) is not null as closed,
       old.label is not null as labelled, p.sku
from cycle old
join cycle n on n.unit_id = old.unit_id and n.slot_id = old.slot_id and lower(n.period) >= upper(old.period)
left join part p on p.part_id = n.part_id
where old.cycle_id = %s order by lower(n.period) limit 1"""


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt that was sent and waits for its owner, with the mail that carries it."""

    prompt_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    created_at: datetime
    unit: str
    slot: str
    subject: str
    text: str


def counts(conn: psycopg.Connection) -> dict[str, int]:
    """Return how many of each thing there are."""
    return _row(conn, COUNTS) or {}


def up_to_date(conn: psycopg.Connection, since: datetime) -> int:
    """Return how many units have a reading later than `since`."""
    row = conn.execute(UP_TO_DATE, (since,)).fetchone()
    return int(row[0]) if row else 0


def slots(conn: psycopg.Connection, now: datetime, limit: int, overdue: int) -> tuple[list[dict[str, Any]], int]:
    """Return at most `limit` slots, and how many that are overdue are not among them.

    First what is ordered, then what runs and ends soonest, then `overdue` at most of those whose end is over.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(SLOTS, {"now": now, "overdue": overdue}).fetchall()
    ended = [row for row in found if row["how"] == "overdue"]
    first = [row for row in found if row["how"] != "overdue"][: limit - len(ended)]
    return first + ended, (ended[0]["alike"] - len(ended) if ended else 0)


def news(conn: psycopg.Connection, limit: int) -> list[dict[str, Any]]:
    """Return what happened last to orders and parts, newest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(NEWS, (TOLD, limit)).fetchall()


def left(forecast: dict[str, Any], now: datetime) -> str:
    """Say when a forecast sees the end of life: its median, and 80 % of the chance."""
    early, median, late = ((forecast[q] - now).days for q in ("eol_q10", "eol_q50", "eol_q90"))
    return f"{median} days ({max(early, 0)} to {late})" if median > 0 else "now"


def prompted(conn: psycopg.Connection) -> Prompted | None:
    """Return the first prompt for a unit with a radio whose part still lasts, whose mail is out and unanswered."""
    with conn.cursor(row_factory=class_row(Prompted)) as cursor:
        return cursor.execute(PROMPTED).fetchone()


def waiting(conn: psycopg.Connection, now: datetime) -> tuple[int, str]:
    """Return how many prompts lie in owners' mail unanswered, and the latest's subject: of one in time, if any."""
    found = _row(conn, WAITING, now)
    return (found["count"], found["subject"]) if found else (0, "")


def forecast(conn: psycopg.Connection, cycle_id: int) -> dict[str, Any] | None:
    """Return a cycle's latest forecast, how many there were, and how wide the first was."""
    return _row(conn, FORECAST, cycle_id)


def order(conn: psycopg.Connection, cycle_id: int) -> dict[str, Any] | None:
    """Return the order placed in a cycle, with its payment and its parcel."""
    return _row(conn, ORDER, cycle_id)


def following(conn: psycopg.Connection, cycle_id: int) -> dict[str, Any] | None:
    """Return the cycle that began when this one ended."""
    return _row(conn, NEXT, cycle_id)


def _row(conn: psycopg.Connection, query: str, *arguments: object) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, arguments).fetchone()
