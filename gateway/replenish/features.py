"""From tables to the columns that predictors read: one query for many units of one slot.

Running hours are the sum of the counter's rises since fitting, so a counter that starts again at zero loses nothing
and adds nothing. A factory part has also run what its unit's counter said at its first word. Readings that lie in the
future of `at` are not looked at.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import dict_row

from gateway.registry.models import Slot
from gateway.replenish import conditions, course, days, habits, way
from gateway.replenish.days import Days
from gateway.replenish.exposure import HOURS, KEPT_FOR, RECENT, WORTH_KEEPING
from predictors.batch import SlotBatch
from predictors.history import padded
from predictors.indicator import READS
from predictors.usage import UsePath, forecast

UNHEARD = 0.1  # of the rated hours: a part that had run longer before its unit's first word teaches no life
WEEKLY = 7.0  # days of a household resemble each other: a week is worth about one independent look
Array = NDArray[np.float64]
Marks = NDArray[np.bool_]
USE = ("use_path", "use_path_sd")
COVARIATES = ("covariates", "covariates_recent")
NAMES = ("run_h", "load_h", "age_d", "h_per_day", "h_per_day_sd", "load_per_h", "left_pct", "left_h", "silent_d")

READ = (
    HOURS
    + """
known as (
  select *, max(last_ts) over one as latest, coalesce(kept_first, min(hour) over one) as first_hour
  from hours window one as (partition by unit_id)),
clock as (
  select unit_id, max(last_ts) as last_ts, min(first_hour) as first_hour, (array_agg(first order by hour))[1] as head,
    sum(run) as run, sum(run * ratio) as loaded, sum(run) filter (where ratio is not null) as run_loaded
  from known group by unit_id),
daily as (
  select unit_id, date_trunc('day', hour) as day, sum(rise) as rise, sum(rise * ratio) as loaded,
    sum(rise) filter (where ratio is not null) as rise_loaded
  from known where hour > latest - %(recent)s and hour > first_hour  -- the first rise counts from nothing known
  group by unit_id, day),
pace as (
  select unit_id, sum(rise) as rise, sum(rise * rise) as squares, sum(loaded) as loaded, sum(rise_loaded) as rise_loaded
  from daily group by unit_id),
own as (
  select c.unit_id, ch.name, o.last, o.last_ts from c
  join channel ch on ch.channel_id in (%(left_pct)s, %(left_h)s, %(indicator)s)
  cross join lateral (
    select percentile_cont(0.5) within group (order by last) as last, max(last_ts) as last_ts from (
      select h.last, h.last_ts from reading_hourly h
      where h.unit_id = c.unit_id and h.slot_id in (0, %(slot)s) and h.channel_id = ch.channel_id
        and h.hour <= %(at)s and h.last_ts >= c.began
      order by h.hour desc limit 3) recent) o
  where o.last is not null)
select c.cycle_id, c.unit_id, c.device, c.source, c.began, c.start_runtime_h, c.last_seen_at, c.through,
  greatest(k.last_ts, c.kept_ts) as last_ts, coalesce(c.kept_first, k.first_hour) as first_hour,
  coalesce(c.kept_head, k.head) as head, coalesce(k.run + c.kept_run, k.run, c.kept_run) as run,
  coalesce(k.loaded + c.kept_loaded, k.loaded, c.kept_loaded) as loaded,
  coalesce(k.run_loaded + c.kept_run_loaded, k.run_loaded, c.kept_run_loaded) as run_loaded,
  p.rise, p.squares, p.loaded as recent_loaded, p.rise_loaded,
  (select last from own where own.unit_id = c.unit_id and name = 'left_pct') as left_pct,
  (select last from own where own.unit_id = c.unit_id and name = 'left_h') as left_h,
  (select last from own where own.unit_id = c.unit_id and name = %(indicator_name)s) as indicator,
  (select max(last_ts) from own where own.unit_id = c.unit_id) as own_ts
from c left join clock k using (unit_id) left join pace p using (unit_id) order by c.unit_id"""
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one slot of many units at one moment; every column has a row for each of `unit_ids`.

    `looks` are what each indicator read on the way (course.py), where that was asked for. `unkept` are the units whose
    exposure was summed hour by hour, and is worth keeping (exposure.py); `unkept_days` the days that were (days.py).
    `unheard_h` are the hours that a part may have run before its unit's first word; a factory part's count as run.
    """

    slot: Slot
    at: datetime
    unit_ids: list[int]
    cycle_ids: list[int]
    devices: list[str | None]
    batch: SlotBatch
    indicator: Array
    unheard_h: Array
    looks: list[Array]
    unkept: list[int]
    unkept_days: list[Days]
    asked: dict[str, Any]

    @property
    def ended(self) -> Marks:
        """Whether the unit itself shows that the part is at its end: by its indicator, or by its own report."""
        with np.errstate(invalid="ignore"):
            told = (self.batch.left_pct <= 0) | (self.batch.left_h <= 0)
            eol = self.slot.indicator_eol
            if eol is None:
                return np.asarray(told)
            past = self.indicator <= eol if way.declared(self.slot).falling else self.indicator >= eol
            return np.asarray(told | past)

    @property
    def alive(self) -> Marks:
        """Whether an end of life would have shown itself, and has not: only then having run so far is knowledge."""
        witness = np.isfinite(self.batch.left_pct) | np.isfinite(self.batch.left_h)
        if self.slot.indicator_eol is not None:
            witness |= np.isfinite(self.indicator)
        return np.asarray(witness & ~self.ended)

    @property
    def heard(self) -> Marks:
        """Whether nearly all of a part's life was heard of, so that how long it ran is no guess.

        The part that a unit has at its first word is taken for the one it came with. For a forecast that is the careful
        guess; as a lesson it would teach a fleet that is enrolled in mid-life the ages of its units as lives of parts.
        One that is told as fitted long before that word would teach a life without the hours that nobody counted.
        """
        rated = self.slot.life_h or self.batch.run_h
        with np.errstate(invalid="ignore"):
            return np.asarray(~(self.unheard_h > UNHEARD * rated))

    def as_json(self) -> list[dict[str, Any]]:
        """Return each row as numbers, null where unknown."""
        columns = {name: getattr(self.batch, name) for name in NAMES}
        columns |= {"indicator": self.indicator, "unheard_h": self.unheard_h}
        rows: list[dict[str, Any]] = [
            {name: _plain(column[i]) for name, column in columns.items()} for i in range(len(self.unit_ids))
        ]
        for name in ("hits", "reads", *USE):
            if (table := getattr(self.batch, name)) is not None:
                for row, line in zip(rows, table, strict=True):
                    row[name] = [_plain(cell) for cell in line]
        if self.batch.hits is not None:
            rows = [row | {"levels": way.mark(self.slot)} for row in rows]
        for name in COVARIATES:
            if (table := getattr(self.batch, name)) is not None:
                for row, line in zip(rows, table, strict=True):
                    row[name] = dict(zip(self.slot.covariates, map(_plain, line), strict=True))
        return rows


def batch_of(slot: Slot, rows: list[dict[str, Any]]) -> SlotBatch:
    """Return stored features as a batch again; what was measured at other levels is not known."""
    columns = {name: np.array([row.get(name) for row in rows], dtype=np.float64) for name in NAMES}
    if slot.covariates:
        columns |= {name: _named(rows, name, slot.covariates) for name in COVARIATES}
    count = len(way.declared(slot).levels) if slot.indicator_channel else 0
    if count:
        mark = way.mark(slot)
        here = [row if way.same(row, mark) else {} for row in rows]
        columns |= {"hits": _table(here, "hits", count), "reads": _table(here, "reads", 1 + READS)}
    return SlotBatch(**columns)


def looks_of(slot: Slot, rows: list[dict[str, Any]]) -> Array:
    """Return the looks that finished cycles were stored with, (n, G, 5); none of a row that has none of this way."""
    mark = way.mark(slot)
    told = [(row.get("looks") if way.same(row, mark) else None) or [] for row in rows]
    return padded([np.array(looks, dtype=np.float64).reshape(-1, 1 + READS) for looks in told])


def _table(rows: list[dict[str, Any]], name: str, width: int) -> Array:
    """Return a table of stored rows, (n, width); a row of another width is not known."""
    known = [row[name] if len(row.get(name) or ()) == width else [None] * width for row in rows]
    return np.array(known, dtype=np.float64).reshape(len(rows), width)


def _named(rows: list[dict[str, Any]], name: str, wanted: list[str]) -> Array:
    """Return a table of stored rows by the names that are wanted, (n, C); what a row does not name is not known."""
    known = [[(row.get(name) or {}).get(each) for each in wanted] for row in rows]
    return np.array(known, dtype=np.float64).reshape(len(rows), len(wanted))


def recalled(slot: Slot, rows: list[dict[str, Any]], at: datetime) -> Seen:
    """Return what forecasts were made from, by their stored inputs, so that what shows an end is said in one place."""
    indicator = np.array([row.get("indicator") for row in rows], dtype=np.float64)
    return Seen(
        slot=slot,
        at=at,
        unit_ids=[],
        cycle_ids=[],
        devices=[],
        batch=batch_of(slot, rows),
        indicator=indicator,
        unheard_h=np.array([row.get("unheard_h") or 0.0 for row in rows], dtype=np.float64),
        looks=[],
        unkept=[],
        unkept_days=[],
        asked={},
    )


def read(conn: psycopg.Connection, slot: Slot, unit_ids: list[int], at: datetime, *, exact: bool = False) -> Seen:
    """Return what is known at `at` of the running cycles in this slot of these units; those without one are absent.

    `exact` sums every hour again, where otherwise sums that were kept are used, and looks at the indicator's whole way.
    """
    channels = channel_ids(conn, slot)
    asked = {
        "slot": slot.slot_id,
        "units": unit_ids,
        "at": at,
        "kept_since": at if exact else at - KEPT_FOR,
        "recent": RECENT,
        "load_ref": slot.load_ref or 1.0,
        "indicator_name": slot.indicator_channel or "",
        **channels,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(READ, asked).fetchall()
    columns = [_features(row, slot, at) for row in rows]
    numbers = np.array(columns, dtype=np.float64).reshape(len(rows), len(NAMES))
    indicator = np.array([_number(row["indicator"]) for row in rows], dtype=np.float64)
    shown = None
    if slot.indicator_channel and slot.indicator_eol is not None:
        shown = course.read(
            conn, slot, way.declared(slot), {row["unit_id"]: _head(row) for row in rows}, asked, whole=exact
        )
        indicator = shown.latest if slot.flow_channel else indicator
    kept, unkept_days = days.read(conn, slot, {**asked, "units": [row["unit_id"] for row in rows]}, exact=exact)
    use = _use(conn, slot, [kept.get(row["unit_id"]) for row in rows])
    if shown is not None:
        use |= {"hits": shown.hits, "reads": shown.reads}
    ran = conditions.read(conn, slot, [row["unit_id"] for row in rows], asked)
    if ran is not None:
        use |= {"covariates": ran.so_far, "covariates_recent": ran.lately}
    batch = SlotBatch(**dict(zip(NAMES, numbers.T, strict=True)), **use)
    return Seen(
        slot=slot,
        at=at,
        unit_ids=[row["unit_id"] for row in rows],
        cycle_ids=[row["cycle_id"] for row in rows],
        devices=[row["device"] for row in rows],
        batch=batch,
        indicator=indicator,
        unheard_h=np.array([_unheard(row) for row in rows], dtype=np.float64),
        looks=shown.looks if shown else [],
        unkept=[row["unit_id"] for row in rows if row["through"] is None and _worth_keeping(row)],
        unkept_days=unkept_days,
        asked=asked,
    )


def _use(conn: psycopg.Connection, slot: Slot, found: list[Days | None]) -> dict[str, Array]:
    """Return the use to come that the days of each unit foretell; NaN rows where a unit has none to speak of."""
    cohort = habits.of(conn, slot)
    if cohort is None or not found:
        return {}
    path: UsePath = forecast(days.together(found), cohort)
    own = ~path.cohort_only[:, None]
    whole = {"use_path": path.cumulative, "use_path_sd": path.log_sd}
    return {
        **{name: np.where(own, table, np.nan) for name, table in whole.items()},
        "change_d": path.change_d,
        "change_ratio": path.change_ratio,
    }


def channel_ids(conn: psycopg.Connection, slot: Slot) -> dict[str, int]:
    """Return the channels' ids by what they are to this slot; 0, which no channel has, where it has none."""
    names = {"runtime": "runtime", "left_pct": "left_pct", "left_h": "left_h"}
    names |= {
        "load": slot.load_channel or "",
        "indicator": slot.indicator_channel or "",
        "flow": slot.flow_channel or "",
    }
    rows = conn.execute(
        "select name, channel_id from channel where tenant_id = %s and name = any(%s)",
        (slot.tenant_id, list(names.values())),
    ).fetchall()
    ids: dict[str, int] = dict(rows)
    return {what: ids.get(name, 0) for what, name in names.items()}


def _features(row: dict[str, Any], slot: Slot, at: datetime) -> tuple[float, ...]:
    """Return one slot's numbers in the order of NAMES."""
    age_d = max((at - row["began"]) / timedelta(days=1), 0.0)
    run_h = load_h = h_per_day = spread = load_per_h = np.nan
    if row["run"] is not None:
        run_h = row["run"]
        if row["source"] == "factory":
            run_h += _unheard(row)
        else:
            run_h = min(run_h, 24.0 * age_d)  # a part cannot have run longer than it has been in place
        if slot.load_channel and row["run_loaded"]:
            load_h = run_h * row["loaded"] / row["run_loaded"]
        elif slot.load_channel and run_h == 0:
            load_h = 0.0
        h_per_day, spread = _pace(row)
        if row["rise_loaded"]:
            load_per_h = row["recent_loaded"] / row["rise_loaded"]
    words = [ts for ts in (row["last_ts"], row["own_ts"]) if ts is not None]
    last = max(words) if words else row["last_seen_at"]
    silent_d = np.nan if last is None else max((at - last) / timedelta(days=1), 0.0)
    return (
        run_h,
        load_h,
        age_d,
        h_per_day,
        spread,
        load_per_h,
        _number(row["left_pct"]),
        _number(row["left_h"]),
        silent_d,
    )


def _unheard(row: dict[str, Any]) -> float:
    """Return the hours that a part ran before its unit's first word: all that were counted, if it came with the unit.

    Of a part that was told as fitted before that word only the days are known: the most that they can have held.
    """
    if row["head"] is None:
        return 0.0
    counted = max(float(row["head"]) - (row["start_runtime_h"] or 0.0), 0.0)
    if row["source"] == "factory":
        return counted
    if row["start_runtime_h"] is not None:
        return 0.0
    days: timedelta = row["first_hour"] - row["began"]
    return min(counted, max(days / timedelta(hours=1), 0.0))


def _worth_keeping(row: dict[str, Any]) -> bool:
    return row["last_ts"] is not None and row["last_ts"] - row["first_hour"] > RECENT + WORTH_KEEPING


def _pace(row: dict[str, Any]) -> tuple[float, float]:
    """Return hours a day over the last weeks and their standard error; NaN from less than half a day."""
    first = max(row["first_hour"] + timedelta(hours=1), row["last_ts"] - RECENT)
    days = (row["last_ts"] - first) / timedelta(days=1)
    if row["rise"] is None or days < 0.5:
        return np.nan, np.nan
    mean = row["rise"] / days
    if days < 3:
        return mean, np.nan
    variance = max(row["squares"] - row["rise"] ** 2 / days, 0.0) / (days - 1)
    return mean, float(np.sqrt(variance * WEEKLY / max(days, WEEKLY)))


def _head(row: dict[str, Any]) -> float:
    """Return the running hours of a factory part before its unit's first word."""
    return max(row["head"] or 0.0, 0.0) if row["source"] == "factory" else 0.0


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
