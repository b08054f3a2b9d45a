"""Scores of a backtest: errors, coverage, accuracy and cost by part of life, horizon and cohort.

Each cycle counts once in a group, however often it was forecast there, and stands for those whose end was not seen
(censoring.py). A forecast made at or after the end says nothing that could be wrong, and is not judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.bench import censoring, prognosis
from gateway.bench.backtest import Backtest
from gateway.bench.pit import BINS, rank, tenths
from gateway.bench.prognosis import Prognosis
from gateway.bench.record import Array, Marks, Record

FRACTIONS = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))
HORIZONS = ((0.0, 7.0), (7.0, 30.0), (30.0, 90.0), (90.0, float("inf")))
MOST_COHORTS = 12


@dataclass(frozen=True)
class Score:
    """Hold what is said of one group of forecasts.

    group: which, such as "life 0.4-0.6". cycles, forecasts: how many were judged. mae_d, median_d: mean and median
    absolute error of the median date in days; bias_d: mean error, above zero too late. cov80, cov90: share of ends in
    the middle 80 and 90 %; width80_d, width90_d: mean widths in days. crps_d: continuous ranked probability score in
    days, twice the mean pinball loss over 5 to 95 % (Gneiting & Raftery 2007); pinball_d: that mean. alpha_lambda:
    share of forecasts near in relation to what was left (prognosis.py). early_d, late_d, late_rate, stock_out_rate,
    cost: as in replay.Outcome, had each forecast stood to the end. pit: share of the ends that were seen in each tenth
    of their forecasts; pit.py spreads those that were not over what was left, which needs the whole record.
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
    alpha_lambda: float
    early_d: float
    late_d: float
    late_rate: float
    stock_out_rate: float
    cost: float
    pit: list[float]


@dataclass(frozen=True)
class Judged:
    """Hold the judged snapshots of a backtest: k forecasts with the end that came, and what each stands for.

    error_d: (k,) median less end. fraction: (k,) of life used when made. horizon_d: (k,) days that were left.
    takes_d: (k,) days that a part takes to arrive. costs: of a day of life thrown away and of one run past the end.
    """

    backtest: Backtest
    cycle: np.ndarray[tuple[int], np.dtype[np.int64]]
    end_d: Array
    weight: Array
    fraction: Array
    horizon_d: Array
    takes_d: Array
    costs: tuple[float, float]

    @property
    def life_d(self) -> Array:
        """Days from the fitting to the end, (k,)."""
        return np.asarray(self.horizon_d / (1.0 - self.fraction))

    @property
    def asked_d(self) -> Array:
        """When its owner would be asked if each forecast stood to the end, (k,): by the end itself at the latest."""
        made = self.end_d - self.horizon_d
        return np.minimum(np.maximum(made, self.backtest.order_d - self.takes_d), self.end_d)

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

    def share(self, rows: Marks) -> Array:
        """Return what each of some forecasts counts, summing to one: a cycle counts once, however often forecast."""
        _, inverse, count = np.unique(self.cycle[rows], return_inverse=True, return_counts=True)
        share = self.weight[rows] / count[inverse]
        return np.asarray(share / share.sum())

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
    return Judged(
        backtest=kept,
        cycle=cycle,
        end_d=end,
        weight=weight,
        fraction=(made - record.cycles.began_d[cycle]) / life,
        horizon_d=end - made,
        takes_d=record.cycles.delivery_d[cycle],
        costs=(record.slot.cost_early, record.slot.cost_late),
    )


def score(group: str, judged: Judged, rows: Marks) -> Score | None:
    """Return the score of those of the forecasts, or None where there are none."""
    if not rows.any():
        return None
    share = judged.share(rows)
    error = judged.error_d[rows]
    said = judged.backtest
    pinball = float(share @ judged.pinball_d[rows])
    asked, end = judged.asked_d[rows], judged.end_d[rows]
    past = asked + judged.takes_d[rows] - end
    early, late = float(share @ np.maximum(-past, 0.0)), float(share @ np.maximum(past, 0.0))
    cone = prognosis.in_cone(said.eol_d[rows], end, judged.horizon_d[rows])
    return Score(
        group=group,
        cycles=np.unique(judged.cycle[rows]).size,
        forecasts=int(rows.sum()),
        mae_d=float(share @ np.abs(error)),
        median_d=_median(np.abs(error), share),
        bias_d=float(share @ error),
        cov80=float(share @ judged.inside(0.1, 0.9)[rows]),
        width80_d=float(share @ (said.at(0.9) - said.at(0.1))[rows]),
        cov90=float(share @ judged.inside(0.05, 0.95)[rows]),
        width90_d=float(share @ (said.at(0.95) - said.at(0.05))[rows]),
        pinball_d=pinball,
        crps_d=2.0 * pinball,
        alpha_lambda=float(share @ cone),
        early_d=early,
        late_d=late,
        late_rate=float(share @ (asked >= end)),
        stock_out_rate=float(share @ (past > 0.0)),
        cost=judged.costs[0] * early + judged.costs[1] * late,
        pit=np.bincount(tenths(rank(said.eol_d[rows], end)), share, BINS).tolist(),
    )


def foresight(record: Record, judged: Judged) -> Prognosis:
    """Return the metrics of prognosis over all judged forecasts."""
    weight = censoring.weights(record)[judged.cycle]
    return prognosis.prognosis(
        judged.backtest.eol_d, judged.end_d, judged.horizon_d, judged.life_d, cycle=judged.cycle, weight=weight
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


def _median(values: Array, weight: Array) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    return float(values[order[min(int(reached), values.size - 1)]])
