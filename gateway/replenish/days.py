"""Exposure day by day of each unit, kept so that a new reading need not sum four hundred days again.

A day is a UTC day that is over. Kept days are brought up to date when one has ended since: the last LATE are summed
anew, so that readings that come a week late still count. A counter tells what ran while a unit was not heard from:
what the first hour after a gap has more than an hour is spread over the gap. The day of the first word is left out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import class_row

from gateway.registry.models import Slot
from predictors.usage_days import DailyUse

LONGEST = 400  # days kept
LATE = 7  # days that are summed anew
DAY = timedelta(days=1)
Array = NDArray[np.float64]

KEPT = """
select unit_id, through, days from use_days
where slot_id = %(slot)s and unit_id = any(%(units)s) and basis = %(basis)s and made_at <= %(at)s"""
FRESH = """
with wanted as (select * from unnest(%(units)s::bigint[], %(since)s::date[]) w(unit_id, since)),
hours as (
  select w.unit_id, h.hour, max(h.rise) filter (where h.channel_id = %(runtime)s) as rise,
    avg(h.mean) filter (where h.channel_id = %(load)s) / %(load_ref)s as ratio
  from wanted w join reading_hourly h on h.unit_id = w.unit_id and h.channel_id in (%(runtime)s, %(load)s)
    and (h.slot_id = 0 or (h.slot_id = %(slot)s and h.channel_id = %(load)s))
  where h.hour >= w.since::timestamp at time zone 'UTC' and h.hour < %(until)s
  group by w.unit_id, h.hour having count(*) filter (where h.channel_id = %(runtime)s) > 0)
select unit_id, (hour at time zone 'UTC')::date as day, sum(rise) as rise, sum(greatest(rise - 1, 0)) as excess,
  sum(rise * ratio) as loaded, sum(rise) filter (where ratio is not null) as rise_loaded
from hours group by unit_id, day order by unit_id, day"""
KEEP = """
insert into use_days (tenant_id, unit_id, slot_id, basis, made_at, through, days)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (unit_id, slot_id) do update set basis = excluded.basis, made_at = excluded.made_at,
  through = excluded.through, days = excluded.days"""


@dataclass(frozen=True, slots=True)
class Days:
    """The days of one unit up to `through`, at most LONGEST, oldest first."""

    unit_id: int
    through: date
    days: Array

    @classmethod
    def of(cls, unit_id: int, through: date, days: list[float]) -> "Days":
        """Read a row of use_days."""
        return cls(unit_id, through, np.array(days, dtype=np.float64))

    def until(self, last: date) -> "Days":
        """Return them as they were known on the evening of `last`."""
        ahead = max((self.through - last).days, 0)
        return Days(self.unit_id, self.through - ahead * DAY, self.days[: max(self.days.size - ahead, 0)])


@dataclass(frozen=True, slots=True)
class _Day:
    """What the hours of one day come to."""

    unit_id: int
    day: date
    rise: float
    excess: float
    loaded: float | None
    rise_loaded: float | None


def basis(slot: Slot) -> str:
    """Return what days of this slot are counted in: days of another basis are not comparable."""
    return f"{slot.load_channel}/{slot.load_ref or 1.0}" if slot.load_channel else "hours"


def read(
    conn: psycopg.Connection, slot: Slot, asked: dict[str, Any], *, exact: bool = False
) -> tuple[dict[int, Days], list[Days]]:
    """Return the days of each unit as known at asked["at"], and those of them that are worth keeping.

    `asked` is what features.py asked with; `exact` sums every day again.
    """
    at: datetime = asked["at"]
    until = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    last = until.date() - DAY
    had: dict[int, Days] = {}
    if not exact:
        for unit_id, through, kept in conn.execute(KEPT, {**asked, "basis": basis(slot)}):
            had[unit_id] = Days.of(unit_id, through, kept).until(last)
    behind = [unit_id for unit_id in asked["units"] if unit_id not in had or had[unit_id].through < last]
    since = [had[u].through - (LATE - 1) * DAY if u in had else last - LONGEST * DAY for u in behind]
    found: dict[int, list[_Day]] = {}
    with conn.cursor(row_factory=class_row(_Day)) as cursor:
        cursor.execute(FRESH, {**asked, "units": behind, "since": since, "until": until})
        for row in cursor:
            found.setdefault(row.unit_id, []).append(row)
    fresh = [_joined(unit_id, had.get(unit_id), rows) for unit_id, rows in found.items()]
    return had | {days.unit_id: days for days in fresh}, [days for days in fresh if days.days.size]


def keep(conn: psycopg.Connection, slot: Slot, unkept: list[Days], at: datetime) -> None:
    """Keep days that were summed."""
    with conn.cursor() as cursor:
        cursor.executemany(
            KEEP,
            [(slot.tenant_id, d.unit_id, slot.slot_id, basis(slot), at, d.through, d.days.tolist()) for d in unkept],
        )


def together(found: list[Days | None]) -> DailyUse:
    """Return the days of many units as predictors take them, each row ending with its unit's own last day."""
    longest = max((d.days.size for d in found if d is not None), default=0)
    table = np.full((len(found), longest), np.nan)
    weekday, yearday = np.zeros(len(found), dtype=np.int64), np.zeros(len(found), dtype=np.int64)
    for i, d in enumerate(found):
        if d is not None and d.days.size:
            table[i, -d.days.size :] = d.days
            weekday[i], yearday[i] = d.through.weekday(), d.through.timetuple().tm_yday - 1
    return DailyUse.of(table, weekday, yearday)


def _joined(unit_id: int, had: Days | None, rows: list[_Day]) -> Days:
    """Return kept days, the last LATE of them replaced, and those that came since; gaps get what the counter tells."""
    ratios = [row.loaded / row.rise_loaded for row in rows if row.rise_loaded and row.loaded is not None]
    usual = float(np.mean(ratios)) if ratios else 1.0
    if had is None or not had.days.size:
        before, days = rows[0].day, np.empty(0)  # the first rise counts from nothing known, on a day seen in part
    else:
        days = had.days[: max(had.days.size - LATE, 0)]
        before = had.through - (had.days.size - days.size) * DAY
    fresh: list[float] = []
    for row in rows:
        if row.day <= before:
            continue
        ratio = row.loaded / row.rise_loaded if row.rise_loaded and row.loaded is not None else usual
        gap = (row.day - before).days - 1
        spread = row.excess / gap if gap > 0 else 0.0
        fresh += [spread * ratio] * gap + [(row.rise - spread * gap) * ratio]
        before = row.day
    # As the database keeps them, so that what was kept and what is summed are the same.
    every = np.concatenate([days, fresh]).astype(np.float32).astype(np.float64)
    return Days(unit_id, before, every[-LONGEST:])
