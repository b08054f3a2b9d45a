"""Evaluation of one contender: scores, calibration, replay beside the hours timer, and the leak check."""

from dataclasses import dataclass

import numpy as np

from gateway.bench import leak, pit, replay, scores
from gateway.bench.backtest import Progress, backtest, origins
from gateway.bench.contender import Contender, recipe
from gateway.bench.crew import INLINE, Crew
from gateway.bench.prognosis import Prognosis
from gateway.bench.record import Array, Record
from gateway.bench.replay import Outcome
from gateway.bench.scores import Score

TIMER = "rated"


@dataclass(frozen=True)
class Tally:
    """Hold what became of the cycles that an evaluation stands on.

    ended: their end was seen. censored: they were seen alive to some day and weigh in. unwitnessed: nothing would have
    shown their end, or no forecast yet; they are left out, and counted here. judged: forecasts made before a seen end.
    """

    cycles: int
    units: int
    ended: int
    censored: int
    unwitnessed: int
    forecasts: int
    judged: int


@dataclass(frozen=True)
class Evaluation:
    """Hold an evaluation; `pit` is a histogram over ten bins that sums to one, origins are days since the epoch.

    timer, timer_scores, timer_prognosis: the hours timer on the same forecasts.
    """

    contender: str
    origins_d: list[float]
    tally: Tally
    scores: list[Score]
    prognosis: Prognosis
    pit: Array
    outcome: Outcome
    timer: Outcome
    timer_scores: list[Score]
    timer_prognosis: Prognosis
    leaks: list[str]


def evaluate(
    record: Record,
    contender: Contender,
    at: list[float] | None = None,
    *,
    progress: Progress | None = None,
    crew: Crew = INLINE,
) -> Evaluation:
    """Return how a contender does on the record, origin by origin, beside the hours timer on the same snapshots.

    A crew fits and forecasts; the leak check stays here, for it asks whether this very process looks ahead.
    """
    days = origins(record) if at is None else at
    said = backtest(record, contender, days, progress=progress, crew=crew)
    judged = scores.judge(record, said)
    timer = backtest(record, recipe(TIMER), days)
    timer = timer.take(np.isin(timer.rows, said.rows))
    timed = scores.judge(record, timer)
    return Evaluation(
        contender=contender.name,
        origins_d=days,
        tally=tally(record, len(said), len(judged.backtest)),
        scores=scores.scores(record, judged),
        prognosis=scores.foresight(record, judged),
        pit=pit.histogram(record, said),
        outcome=replay.outcome(record, contender.name, replay.replay(record, said)),
        timer=replay.outcome(record, "hours timer", replay.replay(record, timer)),
        timer_scores=scores.scores(record, timed),
        timer_prognosis=scores.foresight(record, timed),
        leaks=leak.leaks(record, contender, days),
    )


def tally(record: Record, forecasts: int, judged: int) -> Tally:
    """Return what became of the cycles of a record."""
    ended, censored = int(record.ended.sum()), int(record.censored.sum())
    return Tally(
        cycles=len(record.cycles),
        units=len(set(record.cycles.unit_id.tolist())),
        ended=ended,
        censored=censored,
        unwitnessed=len(record.cycles) - ended - censored,
        forecasts=forecasts,
        judged=judged,
    )
