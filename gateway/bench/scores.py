"""Scores of a backtest: errors, coverage and calibration by part of life, horizon and cohort.

Each cycle counts once in a group, however often it was forecast there, and stands for those whose end was not seen
(censoring.py). A forecast made at or after the end says nothing that could be wrong, and is not judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.bench import censoring
from gateway.bench.backtest import GRID, Backtest
from gateway.bench.record import Array, Marks, Record

FRACTIONS = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))
HORIZONS = ((0.0, 7.0), (7.0, 30.0), (30.0, 90.0), (90.0, float("inf")))
BINS = 10
MOST_COHORTS = 12


@dataclass(frozen=True)
class Score:
    """Hold what is said of one group of forecasts.

    group: which, such as "life 0.4-0.6". cycles, forecasts: how many were judged. mae_d, median_d: mean and median
    absolute error of the median date in days; bias_d: mean error, above zero too late. cov80, cov90: share of ends in
    the middle 80 and 90 %; width80_d, width90_d: mean widths in days. crps_d: continuous ranked probability score in
    days, twice the mean pinball loss over 5 to 95 % (Gneiting & Raftery 2007); pinball_d: that mean.
    """

    group: str
    cycles: int
    forecasts: int
    mae_d: float
    median_d: float
    bias_d: float
    cov80: float
    width80_d: float
    cov90: float
    width90_d: float
    pinball_d: float
    crps_d: float


@dataclass(frozen=True)
class Judged:
    """Hold the judged snapshots of a backtest: k forecasts with the end that came, and what each stands for.

    error_d: (k,) median less end. fraction: (k,) of life used when made. horizon_d: (k,) days that were left.
    """

    backtest: Backtest
    cycle: np.ndarray[tuple[int], np.dtype[np.int64]]
    end_d: Array
    weight: Array
    fraction: Array
    horizon_d: Array

    @property
    def error_d(self) -> Array:
        """Median date less the end, (k,), in days; above zero is too late."""
        return self.backtest.at(0.5) - self.end_d

    @property
    def pinball_d(self) -> Array:
        """Mean pinball loss over the grid of quantiles, (k,), in days (Koenker & Bassett 1978)."""
        over = self.end_d[:, None] - self.backtest.eol_d
        q = np.array(self.backtest.quantiles)
        return np.asarray(np.mean(np.maximum(q * over, (q - 1.0) * over), axis=1))

    def inside(self, low: float, high: float) -> Marks:
        """Tell whether the end lies between two quantiles, (k,)."""
        return np.asarray((self.backtest.at(low) <= self.end_d) & (self.end_d <= self.backtest.at(high)))


def judge(record: Record, said: Backtest) -> Judged:
    """Return the forecasts that can be judged: made before an end that was seen."""
    cycle = record.snapshots.cycle[said.rows]
    end, made = record.end_d[cycle], record.snapshots.made_d[said.rows]
    with np.errstate(invalid="ignore"):
        keep = np.isfinite(end) & (made < end)
    kept = said.take(keep)
    cycle, end, made = cycle[keep], end[keep], made[keep]
    life = end - record.cycles.began_d[cycle]
    weight = censoring.weights(record, kept.rows)
    return Judged(kept, cycle, end, weight, (made - record.cycles.began_d[cycle]) / life, end - made)


def score(group: str, judged: Judged, rows: Marks) -> Score | None:
    """Return the score of those of the forecasts, or None where there are none."""
    if not rows.any():
        return None
    cycle = judged.cycle[rows]
    _, inverse, count = np.unique(cycle, return_inverse=True, return_counts=True)
    share = judged.weight[rows] / count[inverse]
    share = share / share.sum()
    error = judged.error_d[rows]
    said = judged.backtest
    pinball = float(share @ judged.pinball_d[rows])
    return Score(
        group=group,
        cycles=int(count.size),
        forecasts=int(cycle.size),
        mae_d=float(share @ np.abs(error)),
        median_d=_median(np.abs(error), share),
        bias_d=float(share @ error),
        cov80=float(share @ judged.inside(0.1, 0.9)[rows]),
        width80_d=float(share @ (said.at(0.9) - said.at(0.1))[rows]),
        cov90=float(share @ judged.inside(0.05, 0.95)[rows]),
        width90_d=float(share @ (said.at(0.95) - said.at(0.05))[rows]),
        pinball_d=pinball,
        crps_d=2.0 * pinball,
    )


def scores(record: Record, judged: Judged) -> list[Score]:
    """Return the scores of all forecasts, then by part of life, by horizon and by cohort."""
    found = (score(name, judged, rows) for name, rows in _groups(record, judged))
    return [each for each in found if each is not None]


def _groups(record: Record, judged: Judged) -> Iterator[tuple[str, Marks]]:
    yield "all", np.ones(judged.cycle.size, dtype=bool)
    for low, high in FRACTIONS:
        yield f"life {low:.1f}-{high:.1f}", (judged.fraction >= low) & (judged.fraction < high)
    for low, high in HORIZONS:
        name = f"days {low:.0f}-{high:.0f}" if np.isfinite(high) else f"days {low:.0f}+"
        yield name, (judged.horizon_d >= low) & (judged.horizon_d < high)
    cohort = np.array(record.cycles.cohort)[judged.cycle] if judged.cycle.size else np.empty(0, dtype=str)
    names, counts = np.unique(cohort, return_counts=True)
    if names.size > 1:
        for name in names[np.argsort(-counts, kind="stable")][:MOST_COHORTS]:
            yield f"cohort {name}", cohort == name


def pit(record: Record, said: Backtest) -> Array:
    """Return the histogram of the probability integral transform over BINS bins, (BINS,), summing to one.

    A calibrated model fills each bin alike (Dawid 1984). An end that was not seen lies somewhere beyond the last day on
    which the part was seen alive: its weight is spread over what the forecast put there (Czado, Gneiting & Held 2009).
    """
    cycle = record.snapshots.cycle[said.rows]
    made = record.snapshots.made_d[said.rows]
    until = record.alive_until_d[cycle]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(until) & (made < until)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    cycle, until, eol = cycle[known], until[known], said.eol_d[known]
    if not cycle.size:
        return np.full(BINS, 1.0 / BINS)
    _, inverse, count = np.unique(cycle, return_inverse=True, return_counts=True)
    position = rank(eol, until)
    mass = np.zeros(BINS)
    ended = record.ended[cycle]
    share = 1.0 / count[inverse]
    bins = np.clip((position * BINS).astype(int), 0, BINS - 1)
    np.add.at(mass, bins[ended], share[ended])
    beyond = np.clip(edges[1:] - np.maximum(edges[:-1], position[~ended][:, None]), 0.0, None)
    mass += share[~ended] @ (beyond / beyond.sum(axis=1, keepdims=True))
    return np.asarray(mass / mass.sum())


def rank(eol_d: Array, day: Array) -> Array:
    """Return where days lie in forecasts (k, q), as probabilities (k,): linear between quantiles, never quite 1."""
    below = np.sum(eol_d < day[:, None], axis=1)
    levels = np.concatenate([[0.0], GRID, [1.0]])
    last = np.clip(below, 1, eol_d.shape[1] - 1)
    row = np.arange(day.size)
    low, high = eol_d[row, last - 1], eol_d[row, last]
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(high > low, (day - low) / (high - low), 0.5)
    inner = levels[last] + np.clip(within, 0.0, 1.0) * (levels[last + 1] - levels[last])
    outer = np.where(below == 0, levels[1] / 2.0, 1.0 - levels[1] / 2.0)
    return np.asarray(np.where((below == 0) | (below == eol_d.shape[1]), outer, inner))


def _median(values: Array, weight: Array) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    return float(values[order[min(int(reached), values.size - 1)]])
