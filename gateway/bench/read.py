"""From tables to the record of a slot.

A cycle in which another part is likelier to be in place than not is, in the record, its first part's: it ends when the
other one was seen, and what was forecast since is left out.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from gateway.bench.record import Cycles, Money, Record, Snapshots
from gateway.errors import NotFound, WearwellError
from gateway.registry import doubts, gtin, models
from gateway.registry.models import Slot
from gateway.replenish import delivery, labels, siblings, way

MOST_CYCLES = 5_000  # the latest ones; beyond that they say the same again
OF_A_CYCLE = 40  # forecasts of one cycle, evenly over its life, its first and last among them

CYCLES = """
select c.cycle_id, c.unit_id, lower(c.period), upper(c.period), coalesce(c.recorded_at, upper(c.period)), c.label,
  concat_ws(' ', u.region, nullif(u.hw_rev, ''))
from cycle c join unit u on u.unit_id = c.unit_id
where c.slot_id = %s and lower(c.period) <= %s order by c.cycle_id desc limit %s"""
# Thinned, but the first that shows the end stays: it is the end. labels.py says what shows it; a test compares.
SNAPSHOTS = """
select forecast_id, cycle_id, made_at, inputs from (
  select *, row_number() over w as i, count(*) over (partition by cycle_id) as n,
    shows and row_number() over (partition by cycle_id, shows order by made_at, forecast_id) = 1 as is_end
  from (select *, coalesce((inputs ->> 'left_pct')::float8 <= %(at_end)s, false)
          or coalesce((inputs ->> 'left_h')::float8 <= 0, false)
          or coalesce(%(way)s * ((inputs ->> 'indicator')::float8 - %(eol)s::float8) >= 0, false) as shows
        from forecast where slot_id = %(slot)s and made_at <= %(until)s and cycle_id = any(%(cycles)s)) told
  window w as (partition by cycle_id order by made_at, forecast_id)) f
where n <= %(most)s or i = 1 or i = n or is_end or i %% (n / %(most)s + 1) = 0 order by made_at, forecast_id"""
PRICE = """
select o.currency, o.price_minor from fitment f join offer o on o.part_id = f.part_id and upper_inf(o.valid)
where f.slot_id = %s and upper_inf(f.valid) order by f.preference, o.offer_id limit 1"""
SLOTS = """
select s.slot_id, m.gtin, s.code from slot s join product_model m on m.model_id = s.model_id
where %s::int is null or s.tenant_id = %s order by m.gtin, s.code"""


def slot(conn: psycopg.Connection, name: str) -> Slot:
    """Return the slot that `GTIN/code` names; its code alone will do where there is one of it.

    Raises NotFound, naming the slots that there are.
    """
    code14, _, code = name.rpartition("/")
    wanted = gtin.gtin14(code14) if code14 else None
    every = conn.execute(SLOTS, (None, None)).fetchall()
    found = [row for row in every if row[2] == code and wanted in (None, row[1])]
    if len(found) == 1:
        return models.get_slot(conn, found[0][0])
    known = ", ".join(f"{row[1]}/{row[2]}" for row in (found or every)[:8])
    what = f"{name!r} names {len(found)} slots" if found else f"there is no slot {name!r}"
    raise NotFound(f"{what}; name one as GTIN/code: {known or 'none is declared yet: wearwell declare FILE'}")


def called(conn: psycopg.Connection, of: Slot) -> str:
    """Return what names a slot in a command: its code where there is one of it, else GTIN/code."""
    same = [row for row in conn.execute(SLOTS, (None, None)).fetchall() if row[2] == of.code]
    return of.code if len(same) == 1 else next(f"{row[1]}/{row[2]}" for row in same if row[0] == of.slot_id)


def heard(conn: psycopg.Connection, tenant_id: int) -> dict[str, way.Heard]:
    """Return what models of a tenant's slots, by GTIN/code, have to have learned to hear in order to be asked."""
    rows = conn.execute(SLOTS, (tenant_id, tenant_id)).fetchall()
    return {f"{row[1]}/{row[2]}": way.heard(way.declared(models.get_slot(conn, row[0]))) for row in rows}


def record(conn: psycopg.Connection, of: Slot, until: datetime) -> Record:
    """Return the record of a slot as it had arrived by `until`. Raises WearwellError where it had no cycle by then."""
    rows = conn.execute(CYCLES, (of.slot_id, until, MOST_CYCLES)).fetchall()
    if not rows:
        raise WearwellError(_nothing_begun(conn, of, until))
    rows.reverse()
    began = [row[2] for row in rows]
    epoch = min(began).astimezone(UTC)
    place = {row[0]: i for i, row in enumerate(rows)}
    known = [row[4] is not None and row[4] <= until for row in rows]
    changed = _changed(conn, rows, known, until)
    removed = [row[3] if k else None for row, k in zip(rows, known, strict=True)]
    arrives = delivery.days(conn, of, sorted({row[1] for row in rows}), until)
    cycles = Cycles(
        cycle_id=np.array([row[0] for row in rows], dtype=np.int64),
        unit_id=np.array([row[1] for row in rows], dtype=np.int64),
        cohort=tuple(row[6] for row in rows),
        began_d=_days(began, epoch),
        removed_d=_days([at and changed.get(row[0], at) for row, at in zip(rows, removed, strict=True)], epoch),
        recorded_d=np.where(known, _days([row[4] for row in rows], epoch), np.inf),
        delivery_d=np.array([arrives[row[1]] for row in rows], dtype=np.float64),
        labels=tuple(row[5] if k else None for row, k in zip(rows, known, strict=True)),
    )
    asked = {
        "slot": of.slot_id,
        "until": until,
        "cycles": list(place),
        "most": OF_A_CYCLE,
        "at_end": labels.AT_END,
        "eol": of.indicator_eol,
        "way": -1.0 if way.declared(of).falling else 1.0,
    }
    made = [row for row in conn.execute(SNAPSHOTS, asked) if _in_place(row, place, began, changed)]
    snapshots = Snapshots(
        forecast_id=np.array([row[0] for row in made], dtype=np.int64),
        cycle=np.array([place[row[1]] for row in made], dtype=np.int64),
        made_d=_days([row[2] for row in made], epoch),
        inputs=tuple(row[3] for row in made),
    )
    return Record(
        of, epoch, (until - epoch) / timedelta(days=1), cycles, snapshots, money(conn, of), siblings.of(conn, of)
    )


def _nothing_begun(conn: psycopg.Connection, of: Slot, until: datetime) -> str:
    row = conn.execute("select min(lower(period)) from cycle where slot_id = %s", (of.slot_id,)).fetchone()
    first = row[0] if row else None
    if first is None:
        return f"no unit with the slot {of.code!r} has a cycle yet; enrol units and let `wearwell work` forecast them"
    return (
        f"no cycle of the slot {of.code!r} had begun by {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC;"
        f" the first began at {first.astimezone(UTC):%Y-%m-%d %H:%M}: name a later day"
    )


def product(conn: psycopg.Connection, of: Slot) -> str:
    """Return the name of the product model that a slot is of."""
    row = conn.execute("select name from product_model where model_id = %s", (of.model_id,)).fetchone()
    return str(row[0]) if row else ""


def money(conn: psycopg.Connection, of: Slot) -> Money | None:
    """Return what the part that fits first costs, None where none is sold."""
    row = conn.execute(PRICE, (of.slot_id,)).fetchone()
    return Money(row[0], row[1]) if row else None


def _changed(
    conn: psycopg.Connection, rows: list[tuple[Any, ...]], known: list[bool], until: datetime
) -> dict[int, datetime]:
    """Return when another part was seen, by cycle, as was known at `until`: by its label, or by what was noticed."""
    finished = [row for row, k in zip(rows, known, strict=True) if k and row[5]]
    running = {row[0]: row for row, k in zip(rows, known, strict=True) if not k}
    changed = {row[0]: datetime.fromisoformat(row[5]["changed_at"]) for row in finished if "changed_at" in row[5]}
    for doubt in doubts.of_cycles(conn, list(running)):
        _, _, began, ended, *_ = running[doubt.cycle_id]
        open_still = doubt.state == "closed" and ended is not None
        open_still |= doubt.answered_at is not None and doubt.answered_at > until
        then = replace(doubt, state="open") if open_still else doubt
        if then.another_part and began < then.happened_at and then.found_at <= until:
            at = labels.first_until([then], until)
            changed[doubt.cycle_id] = min(changed.get(doubt.cycle_id, at), at)
    return changed


def _in_place(row: tuple[Any, ...], place: dict[int, int], began: list[datetime], changed: dict[int, datetime]) -> bool:
    """Tell whether a forecast was made while its part was in place: a cycle's begin may have been put right since."""
    return bool(began[place[row[1]]] <= row[2] <= changed.get(row[1], row[2]))


def _days(dates: Iterable[datetime | None], epoch: datetime) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if at is None else (at - epoch) / timedelta(days=1) for at in dates], dtype=np.float64)
