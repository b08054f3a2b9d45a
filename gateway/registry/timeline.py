"""One unit over time: where its slots stand, its readings by day, its forecasts, cycles and prompts."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one slot of a unit stands: running cycle, latest forecast, open prompt and doubt, where there is one."""

    slot_id: int
    code: str
    name: str
    life_h: float | None
    life_d: float
    cycle_id: int | None
    fitted_at: datetime | None
    source: str | None
    stage: str | None
    pct_left: float | None
    eol_q10: datetime | None
    eol_q50: datetime | None
    eol_q90: datetime | None
    order_at: datetime | None
    basis: str | None
    stale: bool
    updated_at: datetime | None
    reasons: dict[str, Any] | None
    predictor: str | None
    prompt_id: int | None
    prompt_state: str | None
    remind_at: datetime | None
    asked: int | None  # whom the cycle's one prompt was for; None while it is unused, or waits to be asked again
    spares: int
    flags: list[str]
    doubt_id: int | None
    doubt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Day:
    """One channel of one slot (0: the whole unit) on one day: mean, extremes, and the increase of a counter."""

    channel: str
    unit: str
    kind: str
    slot_id: int
    day: date
    low: float
    high: float
    mean: float
    rise: float


@dataclass(frozen=True, slots=True)
class ForecastAt:
    """A forecast as it stood when it was made."""

    slot_id: int
    cycle_id: int
    made_at: datetime
    eol_q10: datetime
    eol_q50: datetime
    eol_q90: datetime
    pct_left: float
    basis: str
    predictor: str
    model_version_id: int | None
    sentence: str | None


@dataclass(frozen=True, slots=True)
class CycleOf:
    """One part in one slot, from fitting to removal; `end` is None while it runs."""

    cycle_id: int
    slot_id: int
    slot: str
    part: str | None
    start: datetime
    end: datetime | None
    hours: float | None
    source: str
    removed_reason: str | None


@dataclass(frozen=True, slots=True)
class PromptOf:
    prompt_id: int
    slot_id: int
    slot: str
    state: str
    answer: str | None
    created_at: datetime
    answered_at: datetime | None
    why: str | None


STANDING = """select s.slot_id, s.code, s.name, s.life_h, s.life_d, c.cycle_id, lower(c.period) as fitted_at, c.source,
      st.stage, st.pct_left, st.eol_q10, st.eol_q50, st.eol_q90, st.order_at, st.basis,
      coalesce(st.stale, false) as stale, st.updated_at, f.reasons, f.predictor, p.prompt_id, p.state as prompt_state,
      p.remind_at, asked.party_id as asked, coalesce(sp.count, 0) as spares,
      coalesce(st.flags, '{}') as flags, d.doubt_id, d.happened_at as doubt_at
    from unit u join slot s on s.model_id = u.model_id
    left join slot_state st on st.unit_id = u.unit_id and st.slot_id = s.slot_id
    left join cycle c on c.unit_id = u.unit_id and c.slot_id = s.slot_id and upper_inf(c.period)
    left join forecast f on f.forecast_id = st.forecast_id
    left join lateral (select prompt_id, state, remind_at from prompt p
      where p.unit_id = u.unit_id and p.slot_id = s.slot_id and p.cycle_id = c.cycle_id
        and p.state in ('open', 'snoozed') order by prompt_id desc limit 1) p on true
    left join prompt asked on asked.cycle_id = c.cycle_id and asked.state <> 'snoozed'
    left join spare sp on sp.unit_id = u.unit_id and sp.slot_id = s.slot_id
    left join doubt d on d.cycle_id = c.cycle_id and d.state = 'open'
    where u.unit_id = %s order by st.eol_q50 nulls last, s.slot_id"""

DAYS = """select c.name as channel, c.unit, c.kind, h.slot_id, (h.hour at time zone 'UTC')::date as day,
      min(h.low) as low, max(h.high) as high, sum(h.mean * h.n) / sum(h.n) as mean, sum(h.rise) as rise
    from reading_hourly h join channel c using (tenant_id, channel_id)
    where h.unit_id = %s and h.hour >= %s group by c.name, c.unit, c.kind, h.slot_id, day
    order by c.name, h.slot_id, day"""

FORECASTS = """select slot_id, cycle_id, made_at, eol_q10, eol_q50, eol_q90, pct_left, basis, predictor,
      model_version_id, reasons ->> 'sentence' as sentence
    from (select *, row_number() over w as i, count(*) over (partition by cycle_id) as n
          from forecast where unit_id = %s and slot_id = %s window w as (partition by cycle_id order by made_at)) f
    where n <= %s or i = 1 or i = n or i %% (n / %s + 1) = 0 order by made_at"""

CYCLES = """select cycle_id, c.slot_id, s.name as slot, p.name as part, lower(period) as start, upper(period) as end,
      end_runtime_h - start_runtime_h as hours, source, removed_reason
    from cycle c join slot s on s.slot_id = c.slot_id left join part p on p.part_id = c.part_id
    where unit_id = %s order by c.slot_id, lower(period)"""

PROMPTS = """select prompt_id, p.slot_id, s.name as slot, p.state, answer, p.created_at, answered_at,
      f.reasons ->> 'sentence' as why
    from prompt p join slot s on s.slot_id = p.slot_id left join forecast f on f.forecast_id = p.forecast_id
    where p.unit_id = %s order by prompt_id desc limit 50"""


def standings(conn: psycopg.Connection, unit_id: int) -> list[Standing]:
    """Return where each slot of the unit stands, the soonest due first."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(STANDING, (unit_id,)).fetchall()


def days(conn: psycopg.Connection, unit_id: int, since: datetime) -> list[Day]:
    """Return the unit's readings by channel, slot and day since then."""
    with conn.cursor(row_factory=class_row(Day)) as cursor:
        return cursor.execute(DAYS, (unit_id, since)).fetchall()


def forecasts(conn: psycopg.Connection, unit_id: int, slot_id: int, at_most: int = 200) -> list[ForecastAt]:
    """Return the slot's forecasts in the order they were made, thinned evenly to about `at_most` for each cycle."""
    with conn.cursor(row_factory=class_row(ForecastAt)) as cursor:
        return cursor.execute(FORECASTS, (unit_id, slot_id, at_most, at_most)).fetchall()


def cycles(conn: psycopg.Connection, unit_id: int) -> list[CycleOf]:
    """Return every cycle of the unit, slot by slot, oldest first."""
    with conn.cursor(row_factory=class_row(CycleOf)) as cursor:
        return cursor.execute(CYCLES, (unit_id,)).fetchall()


def prompts(conn: psycopg.Connection, unit_id: int) -> list[PromptOf]:
    """Return the unit's latest prompts, newest first, each with the reason it was sent for."""
    with conn.cursor(row_factory=class_row(PromptOf)) as cursor:
        return cursor.execute(PROMPTS, (unit_id,)).fetchall()


def running_cycle(conn: psycopg.Connection, unit_id: int, slot_id: int) -> int | None:
    """Return the cycle that runs in a slot, if one does."""
    row = conn.execute(
        "select cycle_id from cycle where unit_id = %s and slot_id = %s and upper_inf(period)", (unit_id, slot_id)
    ).fetchone()
    return row[0] if row else None


def cycle_of_prompt(conn: psycopg.Connection, prompt_id: int) -> int | None:
    """Return the cycle that a prompt was about."""
    row = conn.execute("select cycle_id from prompt where prompt_id = %s", (prompt_id,)).fetchone()
    return row[0] if row else None
