"""Wear cycles: one part in one slot, from fitting to removal. Fitting the next part closes a cycle and opens another.

- A slot that never had a cycle gets a factory one: the part came with the unit, whose counter stood at zero.
- The same fitting told twice is one: within SAME_FITTING of the running cycle's begin whoever tells it, and within
  SECOND_WITNESS when somebody else does (the unit's button, then the owner's tap two days later).
- A fitting that lies before the running cycle's begin changes nothing, unless that cycle is the assumed factory one.
- Taking a part out (part_removed) ends nothing: it may be rinsed and go back. The next fitting ends it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.errors import NotFound
from gateway.events import Event, EventType
from gateway.registry import doubts, history, models, units
from gateway.replenish import features, labels

Source = Literal["factory", "owner", "technician", "device", "inferred"]
SAME_FITTING = timedelta(minutes=30)
SECOND_WITNESS = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A row of table cycle; `began_at` and `ended_at` are its period."""

    cycle_id: int
    tenant_id: int
    model_id: int
    unit_id: int
    slot_id: int
    part_id: int | None
    began_at: datetime
    ended_at: datetime | None
    start_runtime_h: float | None
    end_runtime_h: float | None
    source: Source
    removed_reason: str | None


@dataclass(frozen=True, slots=True)
class Fitting:
    """Somebody says that a part was fitted; `sku` says which, where it is known."""

    unit_id: int
    slot_id: int
    at: datetime
    source: Source
    sku: str = ""
    evidence: dict[str, Any] | None = None  # what it rests on, where the unit's own signals tell it


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of it: the running cycle, and the one it closed; None when the fitting was known already."""

    cycle_id: int
    closed_id: int | None


class Beginning(NamedTuple):
    """How a cycle begins: when, at which counter, who said so, with which part."""

    at: datetime
    runtime_h: float | None
    source: Source
    part_id: int | None


COLUMNS = """cycle_id, tenant_id, model_id, unit_id, slot_id, part_id, lower(period) as began_at,
    upper(period) as ended_at, start_runtime_h, end_runtime_h, source, removed_reason"""
LAST_RUNTIME = """with runtime as (select channel_id from channel where name = 'runtime')
select value from (
    (select r.ts, r.value from reading r join runtime using (channel_id)
     where r.unit_id = %(unit)s and r.slot_id = 0 and r.ts <= %(at)s and r.flags in (0, 2)
     order by r.ts desc, r.session desc, r.seq desc limit 1)
    union all
    (select h.last_ts, h.last from reading_hourly h join runtime using (channel_id)
     where h.unit_id = %(unit)s and h.slot_id = 0 and h.hour <= %(at)s and h.last_ts <= %(at)s
       and h.last_ts < (select since from reading_kept)
     order by h.hour desc limit 1)) said
order by ts desc limit 1"""
FACTORY = """
insert into cycle (tenant_id, model_id, unit_id, slot_id, period, start_runtime_h, source)
select u.tenant_id, u.model_id, u.unit_id, s.slot_id, tstzrange(u.created_at, null), 0, 'factory'
from unit u join slot s on s.model_id = u.model_id
where u.unit_id = any(%s) and not exists (
  select from cycle c where c.unit_id = u.unit_id and c.slot_id = s.slot_id)
on conflict do nothing"""
OPEN = """
insert into cycle (tenant_id, model_id, unit_id, slot_id, part_id, period, start_runtime_h, source)
values (%s, %s, %s, %s, %s, tstzrange(%s, null), %s, %s) returning cycle_id"""
RESET = """
insert into slot_state (tenant_id, unit_id, slot_id, cycle_id, stage, updated_at) values (%s, %s, %s, %s, 'ok', %s)
on conflict (unit_id, slot_id) do update set cycle_id = excluded.cycle_id, forecast_id = null, stage = 'ok',
  pct_left = null, eol_q10 = null, eol_q50 = null, eol_q90 = null, order_at = null, basis = null, stale = false,
  flags = '{}', updated_at = excluded.updated_at"""


def hold(conn: psycopg.Connection, unit_id: int) -> None:
    """Let nobody else change this unit's cycles, forecasts and prompts until the transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtextextended('unit', %s))", (unit_id,))


def hold_free(conn: psycopg.Connection, unit_ids: list[int]) -> list[int]:
    """Hold those of the units that nobody else holds, without waiting, and return them."""
    rows = conn.execute(
        "select u from unnest(%s::bigint[]) u where pg_try_advisory_xact_lock(hashtextextended('unit', u))", (unit_ids,)
    ).fetchall()
    return [row[0] for row in rows]


def ensure_open(conn: psycopg.Connection, unit_ids: list[int]) -> None:
    """Open the factory cycle of each slot that never had one."""
    conn.execute(FACTORY, (unit_ids,))


def running(conn: psycopg.Connection, unit_id: int, slot_id: int) -> Cycle | None:
    """Return the cycle under way in a slot, or None."""
    with conn.cursor(row_factory=class_row(Cycle)) as cursor:
        return cursor.execute(
            f"select {COLUMNS} from cycle where unit_id = %s and slot_id = %s and upper_inf(period)", (unit_id, slot_id)
        ).fetchone()


def tell_fitted(conn: psycopg.Connection, cycle_id: int, now: datetime, **said: Any) -> None:
    """Record that an owner says the next part is in: once for each cycle, however often it is pressed.

    What would change nothing, the fitting that began the cycle told again, is not recorded: it would spend the key that
    the cycle's end needs.
    """
    with conn.cursor(row_factory=class_row(Cycle)) as cursor:
        old = cursor.execute(
            f"select {COLUMNS} from cycle where cycle_id = %s and upper_inf(period)", (cycle_id,)
        ).fetchone()
    if old is None or _known(old, "owner", now):
        return
    where, key = (old.tenant_id, old.unit_id, old.slot_id), f"fitted:owner:{cycle_id}"
    history.record(conn, Event(*where, EventType.PART_FITTED, key, now, {"by": "owner", **said}))


def fitted(conn: psycopg.Connection, fitting: Fitting, now: datetime) -> Fitted:
    """Close the running cycle, keep it as a label, and begin the next one; a fitting that is known changes nothing.

    Raises NotFound when the unit has no such slot.
    """
    hold(conn, fitting.unit_id)
    ensure_open(conn, [fitting.unit_id])
    old = running(conn, fitting.unit_id, fitting.slot_id)
    if old is None:
        raise NotFound(f"unit {fitting.unit_id} has no slot {fitting.slot_id}")
    at = min(fitting.at, now)
    part_id = _part(conn, old.tenant_id, fitting.sku)
    if _known(old, fitting.source, at):
        conn.execute("update cycle set part_id = coalesce(part_id, %s) where cycle_id = %s", (part_id, old.cycle_id))
        return Fitted(old.cycle_id, None)
    runtime = _runtime(conn, fitting.unit_id, at)
    if at <= old.began_at:  # the unit was enrolled after this part was fitted: no factory part ever ran here
        conn.execute(
            """update cycle set period = tstzrange(%s, null), source = %s, start_runtime_h = %s,
               part_id = coalesce(%s, part_id) where cycle_id = %s""",
            (at, fitting.source, runtime, part_id, old.cycle_id),
        )
        units.want_score(conn, old.tenant_id, [old.unit_id], now)
        return Fitted(old.cycle_id, None)
    close(conn, old, at, runtime, now=now, evidence=fitting.evidence)
    new_id = _open(conn, old, Beginning(at, runtime, fitting.source, part_id))
    conn.execute(RESET, (old.tenant_id, old.unit_id, old.slot_id, new_id, now))
    units.want_score(conn, old.tenant_id, [old.unit_id], now)
    return Fitted(new_id, old.cycle_id)


def _known(running_cycle: Cycle, source: Source, at: datetime) -> bool:
    apart = at - running_cycle.began_at
    if running_cycle.source == "factory":
        return False
    if apart <= SAME_FITTING:
        return True
    return source != running_cycle.source and apart <= SECOND_WITNESS


def close(
    conn: psycopg.Connection,
    cycle: Cycle,
    at: datetime,
    runtime_h: float | None,
    *,
    now: datetime,
    evidence: dict[str, Any] | None = None,
) -> None:
    """End a cycle at `at`, as became known `now`: why, the counter's value, its label; what was in doubt is settled."""
    slot = models.get_slot(conn, cycle.slot_id)
    noticed = doubts.of_cycles(conn, [cycle.cycle_id])
    until = labels.first_until(noticed, at)
    seen = features.read(conn, slot, [cycle.unit_id], until, exact=True)
    label = labels.label(conn, cycle.cycle_id, seen, noticed)
    if until < at:
        label |= {"changed_at": until.isoformat()}
    if evidence is not None:
        label |= {"told_by": "the unit's own signals", "evidence": evidence}
    doubts.end(conn, cycle.cycle_id)
    end_h = runtime_h if runtime_h is not None and runtime_h >= (cycle.start_runtime_h or 0) else None
    conn.execute(
        """update cycle set period = tstzrange(lower(period), %s), end_runtime_h = %s, removed_reason = %s, label = %s,
             recorded_at = %s where cycle_id = %s""",
        (at, end_h, label["reason"], Jsonb(label), now, cycle.cycle_id),
    )
    conn.execute(
        """update prompt set state = 'closed', closed_at = %s,
             answer = case state when 'ordered' then 'order' else answer end
           where cycle_id = %s and state in ('open', 'snoozed', 'ordered')""",
        (at, cycle.cycle_id),
    )


def _open(conn: psycopg.Connection, old: Cycle, begin: Beginning) -> int:
    where = (old.tenant_id, old.model_id, old.unit_id, old.slot_id)
    row = conn.execute(OPEN, (*where, begin.part_id, begin.at, begin.runtime_h, begin.source)).fetchone()
    assert row  # noqa: S101  # an insert that returns, returns
    return int(row[0])


def _part(conn: psycopg.Connection, tenant_id: int, sku: str) -> int | None:
    row = conn.execute("select part_id from part where tenant_id = %s and sku = %s", (tenant_id, sku)).fetchone()
    return row[0] if row else None


def _runtime(conn: psycopg.Connection, unit_id: int, at: datetime) -> float | None:
    """Return what the unit's hours counter said last at `at`, or None; a doubtful reading says nothing.

    Where its readings were let go, the last hour that ended before `at` says it.
    """
    row = conn.execute(LAST_RUNTIME, {"unit": unit_id, "at": at}).fetchone()
    return row[0] if row else None
