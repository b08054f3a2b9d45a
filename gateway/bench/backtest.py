"""The rolling-origin backtest: at each origin a model of what had arrived, judged on what was forecast from then on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.bench.contender import LEAST_LABELS, Contender, fit_ahead
from gateway.bench.crew import INLINE, Crew, Question, forecast
from gateway.bench.record import Array, Indices, Marks, Record
from predictors.decision import order_quantile

GRID = tuple(round(0.05 * i, 2) for i in range(1, 20))  # 5 % to 95 %
ORIGINS = 12
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Backtest:
    """Hold what a contender would have said of k snapshots.

    rows: (k,) places in Record.snapshots. eol_d: (k, q) end-of-life days since the epoch, at `quantiles`.
    order_d: (k,) the quantile of it at which a day too early and a day too late cost the same.
    measured: (k,) False where it rests on the calendar. origin_d: (k,) the day up to which its model had learned.
    """

    contender: str
    predictor: str
    quantiles: tuple[float, ...]
    rows: Indices
    eol_d: Array
    order_d: Array
    measured: Marks
    origin_d: Array

    def __len__(self) -> int:
        return int(self.rows.size)

    def at(self, quantile: float) -> Array:
        """Return the column of one quantile, (k,)."""
        return self.eol_d[:, self.quantiles.index(quantile)]

    def take(self, keep: Marks) -> "Backtest":
        """Return the snapshots where `keep` is True."""
        columns = (self.rows[keep], self.eol_d[keep], self.order_d[keep], self.measured[keep], self.origin_d[keep])
        return Backtest(self.contender, self.predictor, self.quantiles, *columns)


def origins(record: Record, count: int = ORIGINS) -> list[float]:
    """Return the days on which models are fitted: evenly from the first on which there was enough to learn from."""
    known = np.sort(record.cycles.recorded_d[record.witnessed])
    first = float(known[LEAST_LABELS - 1]) if known.size >= LEAST_LABELS else 0.0
    last = float(record.snapshots.made_d.max(initial=first))
    return [float(day) for day in np.linspace(first, max(last, first), count, endpoint=False)]


def backtest(
    record: Record,
    contender: Contender,
    at: Sequence[float] | None = None,
    *,
    grid: tuple[float, ...] = GRID,
    progress: Progress | None = None,
    crew: Crew = INLINE,
) -> Backtest:
    """Return what the contender would have said of every snapshot made since the first origin.

    `at` are the origins in ascending order; `grid` the quantiles, of which a replay needs none but the order date's. A
    snapshot is forecast by the model of the last origin before it was made.
    """
    days = list(origins(record) if at is None else at)
    s = order_quantile(record.slot.cost_early, record.slot.cost_late)
    asked = tuple(sorted({*grid, s}))
    made = record.snapshots.made_d
    window = np.searchsorted(np.array(days), made, side="right") - 1
    judged = (window >= 0) & (made >= contender.since_d)
    rows = np.flatnonzero(judged)
    said = np.empty((rows.size, len(asked)))
    measured = np.zeros(rows.size, dtype=bool)
    masks: list[Marks] = []
    questions: list[Question] = []
    if contender.refitted:
        fit_ahead(record, contender.predictor, [d for i, d in enumerate(days) if (window[rows] == i).any()], crew)
    for i, day in enumerate(days):
        if progress:
            progress(i, len(days))
        here = window[rows] == i
        if not here.any():
            continue
        mask = np.zeros(len(record.snapshots), dtype=bool)
        mask[rows[here]] = True
        masks.append(mask)
        model = contender.model_on(record, day)
        questions.append(Question(model, record.asked(model).take(mask), asked, record.seen.alive[mask]))
    for mask, forecasts in zip(masks, forecast(crew, questions), strict=True):
        here = mask[rows]
        left = np.where(record.seen.ended[mask][:, None], 0.0, forecasts.eol_d)
        said[here] = made[rows[here]][:, None] + left
        measured[here] = forecasts.measured
    if progress:
        progress(len(days), len(days))
    pick = [asked.index(q) for q in grid]
    origin = np.array(days)[window[rows]] if rows.size else np.empty(0)
    order = said[:, asked.index(s)]
    return Backtest(contender.name, contender.predictor, grid, rows, said[:, pick], order, measured, origin)
