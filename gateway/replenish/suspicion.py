"""What is believed of what was seen, once a unit's own signals speak against it; suspect.py finds that out.

A report, a level or a sensor that is not believed is left out; where it is not settled which part is in place the
forecast is a mixture of both, and as wide as the doubt. Where its owner does not answer, it goes on for the likelier of
the two: that one's median, a range that still holds both, and an order date that weighs them by what is known.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.notify.reasons import Reason
from gateway.registry.doubts import ASSUMED, Doubt
from gateway.replenish.features import Seen
from predictors import mixture
from predictors.batch import Array, SlotBatch
from predictors.predictor import Predictor

Marks = NDArray[np.bool_]


@dataclass(slots=True)
class Suspicion:
    """What is believed of what was seen; each column has a row for each unit of `seen`."""

    seen: Seen
    doubted: list[Doubt | None]
    flags: list[list[str]]
    reasons: list[list[Reason]]
    report: Marks  # the unit's own report is not believed
    levels: Marks  # nor the levels that were crossed
    level: Marks  # nor where the indicator stands
    unsettled: list[int] = field(default_factory=list)

    @classmethod
    def none(cls, seen: Seen) -> "Suspicion":
        """Return the state in which everything is believed."""
        n = len(seen.unit_ids)
        report, levels, level = np.zeros((3, n), dtype=bool)
        return cls(seen, [None] * n, [[] for _ in range(n)], [[] for _ in range(n)], report, levels, level)

    def flag(self, row: int, flag: str, value: float | None = None) -> None:
        """Flag a row, once, with its reason in words."""
        if flag not in self.flags[row]:
            self.flags[row].append(flag)
            self.reasons[row].append(Reason(flag, value))

    def mark(self, row: int, doubt: Doubt, now: datetime) -> None:
        """Let what was noticed in a cycle count: what is not believed, what is said of it."""
        ago = max((now - doubt.happened_at) / timedelta(days=1), 0.0)
        again = bool(doubt.evidence.get("counter_began_again"))
        if doubt.unsettled:
            self.doubted[row] = doubt
            self.unsettled.append(row)
            self.report[row] = True
            self.flag(row, doubt.assumed(now) or "changed", ago)
        elif doubt.state == "denied":
            self.report[row] |= again
            self.levels[row] = True
            self.flag(row, "denied")
        elif doubt.state == "noted":
            if doubt.kind in ("reset", "unknown") and again:
                self.report[row] = True
                self.flag(row, "reset_only", ago)
            elif doubt.kind == "unreset":
                self.report[row] = True
                self.flag(row, "not_reset")
            elif doubt.kind == "sensor":
                self.levels[row] = self.level[row] = True
                self.flag(row, "sensor_jumped", ago)
            if doubt.kind in ("cleaned", "unknown"):
                self.levels[row] = True
                self.flag(row, "cleaned" if doubt.kind == "cleaned" else "unclear", ago)

    def believed(self) -> Seen:
        """Return what was seen without what is not believed."""
        batch = self.seen.batch
        hits, reads = (
            None if table is None else np.where(self.levels[:, None], np.nan, table)
            for table in (batch.hits, batch.reads)
        )
        told = replace(
            batch,
            left_pct=np.where(self.report, np.nan, batch.left_pct),
            left_h=np.where(self.report, np.nan, batch.left_h),
            hits=hits,
            reads=reads,
        )
        looks = [table[:0] if doubted else table for table, doubted in zip(self.seen.looks, self.levels, strict=False)]
        indicator = np.where(self.level, np.nan, self.seen.indicator)
        return replace(self.seen, batch=told, indicator=indicator, looks=looks)

    def widened(
        self, model: Predictor, left_d: Array, left_pct: Array, quantiles: list[float], order: float
    ) -> tuple[Array, Array, Array]:
        """Return days left (n, q), percent left (n,) and days left at the quantile `order`, (n,).

        Where it is not settled which part is in place they are of both; where nobody answers, as this file's head says.
        """
        order_d = left_d[:, quantiles.index(order)].copy()
        rows = np.array(self.unsettled, dtype=int)
        if not rows.size:
            return left_d, left_pct, order_d
        grid = tuple(sorted({*mixture.GRID, *quantiles}))
        pick = [grid.index(quantile) for quantile in quantiles]
        here = np.zeros(len(left_pct), dtype=bool)
        here[rows] = True
        old = self.believed()
        one = model.forecast(old.batch.take(here), grid, alive=old.alive[here])
        other = model.forecast(self._if_new(here), grid)
        p = np.array([doubt.probability for doubt in self.doubted if doubt and doubt.unsettled])
        ended = old.ended[here]
        first = np.where(ended[:, None], 0.0, one.eol_d)
        left_d, left_pct = left_d.copy(), left_pct.copy()
        both = mixture.mixed(grid, first, other.eol_d, p)
        known = mixture.mixed(grid, first, other.eol_d, p, least=0.0)
        weight = np.clip(p, mixture.LEAST, 1.0 - mixture.LEAST)
        assumed = np.array([any(flag in ASSUMED for flag in self.flags[row]) for row in np.flatnonzero(here)])
        likelier = np.where((p >= 0.5)[:, None], other.eol_d, first)
        middle = grid.index(0.5)
        outer = np.concatenate(
            [
                np.minimum(both, likelier)[:, :middle],
                likelier[:, [middle]],
                np.maximum(both, likelier)[:, middle + 1 :],
            ],
            axis=1,
        )
        left_d[here] = np.where(assumed[:, None], outer, both)[:, pick]
        weight = np.where(assumed, p >= 0.5, weight)
        left_pct[here] = (1.0 - weight) * left_pct[here] + weight * other.pct_left
        order_d[here] = np.where(assumed, known[:, grid.index(order)], both[:, grid.index(order)])
        return left_d, left_pct, order_d

    def _if_new(self, here: Marks) -> SlotBatch:
        """Return the slots as they would stand with a new part since the moment in doubt."""
        batch = self.seen.batch.take(here)
        moments = [doubt.happened_at for doubt in self.doubted if doubt and doubt.unsettled]
        days = np.array([max((self.seen.at - at) / timedelta(days=1), 0.0) for at in moments])
        hours = np.fmin(days * batch.h_per_day, 24.0 * days)
        return replace(
            batch,
            run_h=hours,
            load_h=hours * batch.load_per_h,
            age_d=days,
            left_pct=np.full(len(batch), np.nan),
            left_h=np.full(len(batch), np.nan),
            hits=None if batch.hits is None else np.full_like(batch.hits, np.nan),
            reads=None if batch.reads is None else np.full_like(batch.reads, np.nan),
            covariates=batch.covariates_recent,
        )
