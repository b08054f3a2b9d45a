"""Drift: five small tests of whether the world still is the one that the models learned from.

Each compares the last RECENT_D days with what came before, one value for each unit, so that a unit that speaks often
counts no more than another. A test alarms at p < ALPHA / 5: of looks at a slot where nothing has changed, one in a
hundred raises any alarm. Looks whose recent days overlap raise the same alarms, and count as one.

- exposure_rate: exposure per day of each unit, lately over before (Wilcoxon's signed ranks).
- indicator: the middle level is crossed at another exposure (log-rank over exposure, hazards.py).
- pit: ends lie elsewhere in their forecasts (log-rank over the place in the forecast).
- interval: parts are replaced at another age (log-rank over days).
- support: units whose use or load lies beyond all that was seen before (exact, by ranks).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import prod

import numpy as np
import psycopg
from scipy import stats

from gateway.bench import hazards, read
from gateway.bench.backtest import backtest, origins
from gateway.bench.contender import recipe
from gateway.bench.pit import rank
from gateway.bench.record import Array, Indices, Marks, Record
from gateway.errors import WearwellError
from gateway.registry import models
from gateway.registry.models import Slot
from predictors.future import exposure

RECENT_D = 45.0
ALPHA = 0.01  # of a slot and a look, shared among the tests
LEAST = 8  # units on either side
EVERY = timedelta(days=1)
CODES = ("exposure_rate", "indicator", "pit", "interval", "support")

KEEP = """
insert into drift (tenant_id, slot_id, code, looked_at, alarm, p_value, n, then_value, now_value, says)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (slot_id, code) do update set looked_at = excluded.looked_at, alarm = excluded.alarm,
  p_value = excluded.p_value, n = excluded.n, then_value = excluded.then_value, now_value = excluded.now_value,
  says = excluded.says"""
AGED = """
select distinct c.slot_id from cycle c where not exists (
  select from drift d where d.slot_id = c.slot_id and d.looked_at > %s) order by c.slot_id"""


@dataclass(frozen=True)
class Finding:
    """Hold one test: its p-value, whether it alarms, how many units it rests on lately, what was and what is."""

    code: str
    alarm: bool
    p_value: float
    n: int
    then_value: float
    now_value: float
    says: str


def look(record: Record, recent_d: float = RECENT_D) -> list[Finding]:
    """Return what each test finds on a record. With fewer than LEAST units on either side nothing is said."""
    cut = record.until_d - recent_d
    return [test(record, cut) for test in (exposure_rate, indicator, pit, interval, support)]


def exposure_rate(record: Record, cut: float) -> Finding:
    """Tell whether units are exposed more, or less, a day than before."""
    rate = _rate(record)
    late = record.snapshots.made_d >= cut
    now, then = _by_unit(record, rate, late), _by_unit(record, rate, ~late)
    both = sorted(now.keys() & then.keys())
    if len(both) < LEAST:
        return _silent("exposure_rate", len(both), len(both))
    one, other = np.array([now[u] for u in both]), np.array([then[u] for u in both])
    change = np.log(one) - np.log(other)
    p = 1.0 if np.allclose(change, 0.0) else float(stats.wilcoxon(change).pvalue)
    was, now_is = float(np.median(other)), float(np.median(one))
    return _found("exposure_rate", p, len(both), (was, now_is), "exposure a day, median over units")


def indicator(record: Record, cut: float) -> Finding:
    """Tell whether the indicator is crossed at another exposure than before: a sensor, a part or the dust differs."""
    hits = record.batch.hits
    if hits is None:
        return _silent("indicator", 0, 0)
    middle = hits[:, hits.shape[1] // 2]
    used = exposure(record.batch, record.slot.life_h).used
    m = len(record.cycles)
    at_cut, last, crossing = np.zeros(m), np.full(m, np.nan), np.full(m, np.nan)
    crossed_d = np.full(m, np.inf)
    for row in range(len(record.snapshots)):  # in the order in which they were made
        cycle = record.snapshots.cycle[row]
        if not np.isfinite(used[row]) or np.isfinite(crossing[cycle]):
            continue
        last[cycle] = used[row]
        if record.snapshots.made_d[row] < cut:
            at_cut[cycle] = used[row]
        if np.isfinite(middle[row]):
            crossing[cycle], crossed_d[cycle] = middle[row], record.snapshots.made_d[row]
    ended = np.isfinite(crossing)
    leaves = np.where(ended, crossing, last)
    at_cut = np.where(ended & (crossed_d < cut), np.inf, np.where(ended, np.minimum(at_cut, leaves * 0.999), at_cut))
    what = "exposure at the indicator's middle level, median of those seen"
    return _hazard("indicator", record, (leaves, ended, at_cut), crossed_d >= cut, what)


def pit(record: Record, cut: float) -> Finding:
    """Tell whether ends lie elsewhere in their forecasts than before: the model fits no longer as it did.

    Of each cycle the first forecast counts that took half of its life to be over.
    """
    said = backtest(record, recipe(record.slot.predictor), origins(record, 6))
    made = record.snapshots.made_d[said.rows]
    cycle = record.snapshots.cycle[said.rows]
    age = made - record.cycles.began_d[cycle]
    half = age >= 0.5 * (said.at(0.5) - record.cycles.began_d[cycle])
    first: dict[int, int] = {}
    for i in np.flatnonzero(half & (made < np.nan_to_num(record.alive_until_d[cycle], nan=-np.inf))):
        first.setdefault(int(cycle[i]), int(i))
    if not first:
        return _silent("pit", 0, 0)
    cycles, rows = np.array(list(first)), np.array(list(first.values()))
    until = record.alive_until_d[cycles]
    leaves = rank(said.eol_d[rows], until)
    at_cut = np.where(made[rows] >= cut, 0.0, rank(said.eol_d[rows], np.full(rows.size, cut)))
    at_cut = np.where(until < cut, np.inf, np.where(until >= cut, np.minimum(at_cut, leaves * 0.999), at_cut))
    m = len(record.cycles)
    full = [np.full(m, np.nan), np.zeros(m, dtype=bool), np.zeros(m)]
    full[0][cycles], full[1][cycles], full[2][cycles] = leaves, record.ended[cycles], at_cut
    late = np.nan_to_num(record.end_d, nan=-np.inf) >= cut
    what = "place of ends in their forecasts, median of those seen"
    return _hazard("pit", record, (full[0], full[1].astype(bool), full[2]), late, what)


def interval(record: Record, cut: float) -> Finding:
    """Tell whether parts are replaced sooner, or later, at the same age than before.

    Age counts in days of a unit of median use, so that homes that differ tenfold are not what is compared.
    """
    began, removed = record.cycles.began_d, record.cycles.removed_d
    replaced = np.isfinite(removed)
    gone = np.where(replaced, removed, record.until_d)
    at_cut = np.where(gone < cut, np.inf, np.minimum(cut - began, (gone - began) * 0.999))
    rates = _by_unit(record, _rate(record), np.ones(len(record.snapshots), dtype=bool))
    usual = float(np.median(list(rates.values()))) if rates else 1.0
    pace = np.array([rates.get(int(unit), usual) / usual for unit in record.cycles.unit_id])
    what = "days of usual use from fitting to removal, median of those finished"
    return _hazard("interval", record, (pace * (gone - began), replaced, pace * at_cut), gone >= cut, what)


def _hazard(code: str, record: Record, spells: tuple[Array, Marks, Array], late: Marks, what: str) -> Finding:
    """Return the finding of a log-rank test over cycles: ages left, whether they ended, ages on the day of the cut."""
    leaves, ended, at_cut = spells
    known = np.isfinite(leaves) & (leaves > 0)
    unit = record.cycles.unit_id
    now, then = ended & known & late, ended & known & ~late
    count, before = len(set(unit[now].tolist())), len(set(unit[then].tolist()))
    if min(count, before) < LEAST:
        return _silent(code, count, before)
    _, p = hazards.compare(hazards.cut(unit[known], leaves[known], ended[known], at_cut[known]))
    values = (float(np.median(leaves[then])), float(np.median(leaves[now])))
    return _found(code, p, count, values, what)


def support(record: Record, cut: float) -> Finding:
    """Tell whether more units than chance allows live beyond all that was seen before.

    With n units before and m lately that do not differ, the j largest of all are lately's with probability
    prod (m - i) / (n + m - i): exact, whatever the distribution; smallest likewise; the least counts, times four.
    """
    late = record.snapshots.made_d >= cut
    outside: set[int] = set()
    chances, count, few = [], 0, (0, 0)
    for values in (record.batch.h_per_day, record.batch.load_per_h):
        now, then = _by_unit(record, values, late), _by_unit(record, values, ~late)
        if min(len(now), len(then)) < LEAST:
            few = max(few, (len(now), len(then)), key=sorted)
            continue
        count = max(count, len(now))
        low, high = min(then.values()), max(then.values())
        for beyond in ({u for u, v in now.items() if v > high}, {u for u, v in now.items() if v < low}):
            outside |= beyond
            chances.append(chance_beyond(len(beyond), len(now), len(then)))
    if not chances:
        return _silent("support", *few)
    p = min(1.0, len(chances) * min(chances))
    return _found("support", p, count, (0.0, len(outside) / count), "share of units outside what was seen before")


def chance_beyond(j: int, m: int, n: int) -> float:
    """Return the probability that j of m values or more exceed all of n others from the same distribution."""
    return prod((m - i) / (n + m - i) for i in range(j))


def keep(conn: psycopg.Connection, slot: Slot, found: list[Finding], now: datetime) -> None:
    """Keep where each alarm of a slot stands."""
    with conn.cursor() as cursor:
        cursor.executemany(
            KEEP,
            [
                (
                    slot.tenant_id,
                    slot.slot_id,
                    each.code,
                    now,
                    each.alarm,
                    each.p_value,
                    each.n,
                    _plain(each.then_value),
                    _plain(each.now_value),
                    each.says,
                )
                for each in found
            ],
        )


def aged(conn: psycopg.Connection, now: datetime) -> list[int]:
    """Return the slots that nobody looked at for a day."""
    return [row[0] for row in conn.execute(AGED, (now - EVERY,)).fetchall()]


def watch(conn: psycopg.Connection, slot_id: int, now: datetime) -> int:
    """Look at a slot, keep what is found and return how many alarms stand. The caller commits."""
    slot = models.get_slot(conn, slot_id)
    try:
        found = look(read.record(conn, slot, now))
    except WearwellError:  # it has no history yet
        return 0
    keep(conn, slot, found, now)
    return sum(each.alarm for each in found)


def _rate(record: Record) -> Array:
    per_h = np.where(np.isfinite(record.batch.load_per_h), record.batch.load_per_h, 1.0)
    return np.asarray(record.batch.h_per_day * per_h)


def _by_unit(record: Record, values: Array, rows: Marks) -> dict[int, float]:
    """Return the median of each unit's positive values among some snapshots."""
    with np.errstate(invalid="ignore"):
        keep_rows = np.flatnonzero(rows & np.isfinite(values) & (values > 0))
    unit: Indices = record.cycles.unit_id[record.snapshots.cycle[keep_rows]]
    order = np.argsort(unit, kind="stable")
    keys, starts = np.unique(unit[order], return_index=True)
    parts = np.split(values[keep_rows][order], starts[1:])
    return {int(key): float(np.median(part)) for key, part in zip(keys, parts, strict=False)}


def _found(code: str, p: float, n: int, values: tuple[float, float], what: str) -> Finding:
    p = p if np.isfinite(p) else 1.0
    alarm = p < ALPHA / len(CODES)
    verdict = "has changed" if alarm else "has not changed beyond chance"
    says = f"{what}: {values[0]:.3g} before, {values[1]:.3g} lately; {verdict} (p = {p:.2g}, {n} units)"
    return Finding(code, alarm, p, n, values[0], values[1], says)


def _silent(code: str, n: int, before: int) -> Finding:
    nothing = float("nan")
    says = f"too few units to say: {n} lately and {before} before, and it takes {LEAST} on either side"
    return Finding(code, alarm=False, p_value=1.0, n=n, then_value=nothing, now_value=nothing, says=says)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
