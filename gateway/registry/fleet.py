"""The fleet: the table of every slot in the field, and what in it needs attention."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from gateway.registry import history

SILENT = timedelta(days=3)  # a unit with a radio that says nothing for so long


@dataclass(frozen=True, slots=True)
class Filter:
    """What a fleet table is narrowed to; empty fields narrow nothing."""

    search: str = ""
    stage: str = ""
    link: str = ""  # online, sleeping, lost, never or silent
    model_id: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One slot of one unit; a unit that has no forecast yet stands with what is known."""

    unit_id: int
    slot_id: int
    serial: str
    device: str | None
    model: str
    unit_name: str | None
    slot: str
    connection: str
    last_seen_at: datetime | None
    firmware: str | None
    stage: str | None
    pct_left: float | None
    eol_q10: datetime | None
    eol_q50: datetime | None
    eol_q90: datetime | None
    basis: str | None
    order_state: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the table; `after` is where the next begins, None on the last."""

    rows: list[Row]
    after: str | None


ROWS = """select u.unit_id, s.slot_id, u.serial, u.device, m.name as model, u.name as unit_name, s.name as slot,
      u.connection, u.last_seen_at, u.firmware, st.stage, st.pct_left, st.eol_q10, st.eol_q50, st.eol_q90, st.basis,
      (select o.state from purchase o where o.unit_id = u.unit_id and o.slot_id = s.slot_id
        and o.state in ('created', 'paying', 'paid', 'released', 'shipped', 'delivered')
        and not (o.party_id is null and o.state in ('created', 'paying')) limit 1) as order_state """
# Due dates come from slot_state's own index, so a page costs the same wherever in the fleet it is.
FORECAST = """from slot_state st join unit u on u.unit_id = st.unit_id join slot s on s.slot_id = st.slot_id
    join product_model m on m.model_id = u.model_id
    where st.eol_q50 is not null and (%(eol)s::timestamptz is null
      or (st.eol_q50, st.unit_id, st.slot_id) > (%(eol)s, %(unit)s, %(slot)s)) """
UNKNOWN = """from unit u join slot s on s.model_id = u.model_id join product_model m on m.model_id = u.model_id
    left join slot_state st on st.unit_id = u.unit_id and st.slot_id = s.slot_id
    where st.eol_q50 is null and (u.unit_id, s.slot_id) > (%(unit)s, %(slot)s) """
NARROW = """and (%(search)s = '' or u.serial ilike %(like)s or u.device ilike %(like)s or u.name ilike %(like)s)
    and (%(stage)s = '' or st.stage = %(stage)s) and (%(model)s::int is null or u.model_id = %(model)s)
    and (%(link)s = '' or u.connection = %(link)s
      or (%(link)s = 'silent' and u.device is not null and u.last_seen_at < %(silent)s)) """


def page(conn: psycopg.Connection, wanted: Filter, *, after: str | None = None, limit: int = 50, now: datetime) -> Page:
    """Return one page of the fleet, the soonest due first and those without a forecast last.

    `after` comes from the page before; one that is none of ours begins at the start.
    """
    eol, unit, slot = _cursor(after)
    rows: list[Row] = []
    if eol != "-":
        order, place = "st.eol_q50, st.unit_id, st.slot_id", (eol, unit, slot)
        rows = _rows(conn, wanted, FORECAST, order=order, place=place, limit=limit + 1, now=now)
        unit, slot = 0, 0
    if len(rows) <= limit:
        order, place, room = "u.unit_id, s.slot_id", (None, unit, slot), limit + 1 - len(rows)
        rows += _rows(conn, wanted, UNKNOWN, order=order, place=place, limit=room, now=now)
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _place(rows[-1]) if more else None)


def every(conn: psycopg.Connection, wanted: Filter, now: datetime) -> Iterator[Row]:
    """Yield the whole of a narrowed fleet, a page of 10,000 at a time."""
    after: str | None = None
    while True:
        found = page(conn, wanted, after=after, limit=10_000, now=now)
        yield from found.rows
        after = found.after
        if after is None:
            return


def _rows(
    conn: psycopg.Connection,
    wanted: Filter,
    source: str,
    *,
    order: str,
    place: tuple[str | None, int, int],
    limit: int,
    now: datetime,
) -> list[Row]:
    like = "%" + wanted.search.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        cursor.execute(
            f"{ROWS} {source} {NARROW} order by {order} limit %(limit)s",
            {
                "eol": place[0],
                "unit": place[1],
                "slot": place[2],
                "limit": limit,
                "search": wanted.search,
                "like": like,
                "stage": wanted.stage,
                "link": wanted.link,
                "model": wanted.model_id,
                "silent": now - SILENT,
            },
        )
        return cursor.fetchall()


def _place(row: Row) -> str:
    return f"{row.eol_q50.isoformat() if row.eol_q50 else '-'}~{row.unit_id}~{row.slot_id}"


def _cursor(after: str | None) -> tuple[str | None, int, int]:
    try:
        eol, unit, slot = (after or "").split("~")
        if eol != "-":
            eol = datetime.fromisoformat(eol).isoformat()
        return eol, int(unit), int(slot)
    except ValueError:
        return None, 0, 0


@dataclass(frozen=True, slots=True)
class Counts:
    """The fleet in numbers: units by how they are heard, slots by when they are due, prompts by what came of them."""

    units: int
    online: int
    silent: int
    without_radio: int
    overdue: int
    due_7: int
    due_30: int
    due_90: int
    prompts: int
    ordered: int
    last_word: datetime | None


@dataclass(frozen=True, slots=True)
class Wants:
    """What needs somebody's attention, each as a number of rows."""

    silent: int
    gaps: int
    quarantined: int
    overdue: int
    failed_mail: int
    unpaid: int
    to_ship: int
    stuck: int
    drift: int


COUNTS = """select u.*, s.*, p.* from
    (select count(*) as units, count(*) filter (where connection = 'online') as online,
       count(*) filter (where device is not null and last_seen_at < %(silent)s) as silent,
       count(*) filter (where device is null) as without_radio, max(last_seen_at) as last_word from unit) u,
    (select count(*) filter (where eol_q50 < %(now)s) as overdue,
       count(*) filter (where eol_q50 >= %(now)s and eol_q50 < %(d7)s) as due_7,
       count(*) filter (where eol_q50 >= %(now)s and eol_q50 < %(d30)s) as due_30,
       count(*) filter (where eol_q50 >= %(now)s) as due_90 from slot_state where eol_q50 < %(d90)s) s,
    (select count(*) as prompts, count(*) filter (where answer = 'order' or state = 'ordered') as ordered
       from prompt where created_at > %(d_90)s) p"""

WANTS = """select
    (select count(*) from unit where device is not null and last_seen_at < %(silent)s) as silent,
    (select count(distinct unit_id) from gap where closed_at is null) as gaps,
    (select count(*) from quarantine where released_at is null) as quarantined,
    (select count(*) from slot_state st where stage = 'overdue' and not exists
       (select from purchase o where o.unit_id = st.unit_id and o.slot_id = st.slot_id
        and o.state in ('created', 'paying', 'paid', 'released', 'shipped', 'delivered')
        and not (o.party_id is null and o.state in ('created', 'paying')))) as overdue,
    (select count(*) from outbox where channel = 'email' and failed_at is not null
       and error not like 'not sent:%%') as failed_mail,
    (select count(*) from payment where state = 'indeterminate') as unpaid,
    (select count(*) from purchase where state = 'released') as to_ship,
    (select count(*) from event where handled_at is null and recorded_at < %(stuck)s) as stuck,
    (select count(*) from drift where alarm) as drift"""


def counts(conn: psycopg.Connection, now: datetime) -> Counts:
    """Return the fleet in numbers; prompts are those of the last 90 days."""
    spans = {f"d{n}": now + timedelta(days=n) for n in (7, 30, 90)}
    with conn.cursor(row_factory=class_row(Counts)) as cursor:
        found = cursor.execute(
            COUNTS, {"now": now, "silent": now - SILENT, "d_90": now - timedelta(days=90), **spans}
        ).fetchone()
    assert found  # noqa: S101  # an aggregate always answers
    return found


def wants(conn: psycopg.Connection, now: datetime) -> Wants:
    """Return what needs attention."""
    with conn.cursor(row_factory=class_row(Wants)) as cursor:
        found = cursor.execute(WANTS, {"silent": now - SILENT, "stuck": history.stuck_before(now)}).fetchone()
    assert found  # noqa: S101  # likewise
    return found


@dataclass(frozen=True, slots=True)
class ModelCount:
    model_id: int
    name: str
    units: int


def models(conn: psycopg.Connection) -> list[ModelCount]:
    """Return the tenant's product models with their numbers of units."""
    with conn.cursor(row_factory=class_row(ModelCount)) as cursor:
        return cursor.execute(
            """select m.model_id, m.name, count(u.unit_id) as units from product_model m
               left join unit u using (tenant_id, model_id) group by m.model_id, m.name order by m.name"""
        ).fetchall()


@dataclass(frozen=True, slots=True)
class Refused:
    """A message in quarantine, its payload as text as far as it is any."""

    quarantine_id: int
    device: str | None
    topic: str
    reason: str
    detail: str
    received_at: datetime
    payload: bytes


def quarantined(conn: psycopg.Connection, limit: int = 100) -> list[Refused]:
    """Return the latest messages that were refused and not released, newest first; payloads cut to 2,000 bytes."""
    with conn.cursor(row_factory=class_row(Refused)) as cursor:
        return cursor.execute(
            """select quarantine_id, device, topic, reason, detail, received_at, substr(payload, 1, 2000) as payload
               from quarantine where released_at is null order by quarantine_id desc limit %s""",
            (limit,),
        ).fetchall()
