"""Forecasts of recorded parts as they stood within life: fit without them, look at what was known, compare."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.bench.backtest import GRID
from predictors import schedule
from predictors.history import History
from predictors.indicator import crossings, looks, reads
from predictors.path import STEP
from predictors.reckoning import Reckoning
from predictors.schedule import Scenarios
from tests.benchmarks.wear.models import MODELS, READS_ALL, Model
from tests.benchmarks.wear.recording import Array, Recording
from tests.benchmarks.wear.sets import RecordedSet

FRACTIONS = (0.3, 0.5, 0.7, 0.9)
MOMENTS = np.unique(np.append(np.linspace(0.025, 0.975, 39), FRACTIONS).round(4))
"""Life fractions at which a unit's squared error is averaged for rmse_unit, evenly over its life."""

ASKED = GRID
LEVELS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995)
"""Quantiles of the exposure left that are pushed through the use to come."""

FOLDS = 10
HORIZON = 4.0  # of the longest life seen: how far use is forecast
COARSE = 200  # samples of a load trajectory that are looked at


@dataclass(frozen=True, slots=True)
class Forecast:
    """Hold one forecast of the end of life in the set's unit of time since fitting, beside the truth."""

    unit: str
    condition: str
    fraction: float
    now: float
    truth: float
    quantiles: tuple[float, ...]
    """At ASKED."""

    @property
    def q10(self) -> float:
        """Return the date before which a tenth of the ends are expected."""
        return self.quantiles[ASKED.index(0.1)]

    @property
    def q50(self) -> float:
        """Return the median date."""
        return self.quantiles[ASKED.index(0.5)]

    @property
    def q90(self) -> float:
        """Return the date before which nine tenths of the ends are expected."""
        return self.quantiles[ASKED.index(0.9)]

    @property
    def error(self) -> float:
        """Return how far the median lies from the truth, late positive."""
        return self.q50 - self.truth

    @property
    def covered(self) -> bool:
        """Tell whether the 80 % interval holds the truth."""
        return self.q10 <= self.truth <= self.q90


@dataclass(frozen=True, slots=True)
class Fold:
    """Hold what is learned from, and who is asked; novel: whether their conditions are ones that `known` lacks."""

    known: Sequence[Recording]
    asked: Sequence[Recording]
    by_condition: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Hold one moment of a unit's life: what was known, X of the estimators, and the load scenarios of what comes."""

    unit: Recording
    fraction: float
    now: float
    hours: Array
    exposure: Array
    scenarios: Scenarios
    covariates: Array


def by_unit(units: Sequence[Recording]) -> list[Fold]:
    """Return FOLDS folds by unit; conditions are known from the other units."""
    return [
        Fold([u for i, u in enumerate(units) if i % FOLDS != out], list(units[out::FOLDS]), by_condition=False)
        for out in range(min(FOLDS, len(units)))
    ]


def by_condition(units: Sequence[Recording], label: Callable[[Recording], str]) -> list[Fold]:
    """Return one fold for each condition, left out whole."""
    names = sorted({label(unit) for unit in units})
    return [
        Fold([u for u in units if label(u) != out], [u for u in units if label(u) == out], by_condition=True)
        for out in names
    ]


def label_of(protocol: str) -> Callable[[Recording], str]:
    """Return what names a recording's condition in a protocol of that name."""
    return (lambda unit: unit.condition) if protocol == "condition" else (lambda unit: dict(unit.conditions)[protocol])


def run(
    recorded: RecordedSet,
    folds: Iterable[Fold],
    names: Sequence[str],
    tell: Callable[[str], None] = lambda _: None,
    *,
    clocked: bool = True,
) -> dict[str, list[Forecast]]:
    """Return the forecasts of every unit whose end is known, at each of MOMENTS that was recorded, by model.

    clocked: exposure runs on a clock with fitted covariates (predictors.clock) where the set names some.
    """
    found: dict[str, list[Forecast]] = {name: [] for name in names}
    for fold in folds:
        asked = [unit for unit in fold.asked if np.isfinite(unit.ends)]
        if not asked or not any(np.isfinite(unit.ends) for unit in fold.known):
            continue
        tell(f"{recorded.name}: {len(asked)} units asked, {len(fold.known)} learned from")
        questions = _questions(recorded, fold, asked)
        strangers = {unit.condition for unit in asked} - {unit.condition for unit in fold.known}
        for name in names:
            quantiles = _exposure_quantiles(recorded, fold, MODELS[name], questions, strangers, clocked=clocked)
            for question, left in zip(questions, quantiles, strict=True):
                found[name].append(_forecast(question, left, MODELS[name]))
    return found


def _questions(recorded: RecordedSet, fold: Fold, asked: Sequence[Recording]) -> list[Question]:
    cohort = [_coarse(unit) for unit in fold.known]
    horizon = HORIZON * max(float(unit.time[-1]) for unit in fold.known if unit.time.size)
    questions = []
    for unit in asked:
        for fraction in MOMENTS:
            now = float(fraction * unit.ends)
            if unit.time.size == 0 or unit.time[-1] < now - 2.0 * float(np.median(np.diff(unit.time))):
                continue  # the recording ends before: nobody can be asked
            past = unit.until(now)
            used = float(past.exposure[-1]) if past.time.size else 0.0
            questions.append(
                Question(
                    unit,
                    float(fraction),
                    now,
                    np.append(now, _crossings(recorded, past, past.time)),
                    np.append(used, _crossings(recorded, past, past.exposure)),
                    schedule.scenarios(*_coarse(past), cohort, horizon),
                    past.middle,
                )
            )
    return questions


def _exposure_quantiles(
    recorded: RecordedSet,
    fold: Fold,
    model: Model,
    questions: Sequence[Question],
    strangers: set[str],
    *,
    clocked: bool,
) -> Array:
    """Return exposure (hours, for a timer) left at LEVELS, (r, 15), of every question."""
    counters = [unit.time if model.by_hours else unit.exposure for unit in fold.known]
    ends = [
        float(np.interp(unit.ends, unit.time, own))
        if np.isfinite(unit.ends) and unit.ends <= unit.time[-1]
        else own[-1]
        for unit, own in zip(fold.known, counters, strict=True)
    ]
    seen = [np.isfinite(unit.ends) and unit.ends <= unit.time[-1] + 1e-9 for unit in fold.known]
    table = np.array(
        [
            np.append(end, _crossings(recorded, unit, own))
            for unit, own, end in zip(fold.known, counters, ends, strict=True)
        ]
    )
    levels = len(recorded.declared.levels)
    width = (1, 1 + levels, table.shape[1])[model.reads]
    groups = [unit.condition for unit in fold.known] if fold.by_condition or strangers else None
    step = STEP * float(np.median(np.array(ends)[seen]))
    history = History.of(
        ends,
        ~np.array(seen),
        groups=groups,
        hits=table[:, 1 : 1 + levels],
        looks=[_looks(recorded, unit, step) for unit in fold.known],
        covariates=[unit.middle for unit in fold.known],
    )
    cycles = Reckoning.of(history, fitted=clocked and model.on_clock)
    mine, theirs = (
        np.ones(len(rows)) if cycles.clock is None else cycles.clock.ratio(np.array(rows), len(rows))
        for rows in ([unit.middle for unit in fold.known], [question.covariates for question in questions])
    )
    fitted = model.build(recorded.declared).fit(
        _on_clock(recorded, table[:, :width], mine),
        np.array(ends) * mine,
        censored=~np.array(seen),
        groups=groups,
        **({"without": cycles.without} if model.reads and model.on_clock else {}),
        **({"looks": cycles.whole.looks} if model.reads == READS_ALL else {}),
    )
    asked = np.array([question.hours if model.by_hours else question.exposure for question in questions])[:, :width]
    asked = _on_clock(recorded, asked, theirs)
    novel = np.array([question.unit.condition in strangers for question in questions]) | fold.by_condition
    at = (
        fitted.predict_quantiles(asked, LEVELS, novel=novel)
        if model.knows_strangers
        else fitted.predict_quantiles(asked, LEVELS)
    )
    return np.asarray((at - asked[:, :1]) / theirs[:, None])


def _forecast(question: Question, left: Array, model: Model) -> Forecast:
    days = np.interp(ASKED, LEVELS, left) if model.by_hours else question.scenarios.dates(LEVELS, left, ASKED)
    unit, quantiles = question.unit, tuple(question.now + float(day) for day in days)
    return Forecast(unit.name, unit.condition, question.fraction, question.now, unit.ends, quantiles)


def _crossings(recorded: RecordedSet, unit: Recording, clock: Array) -> Array:
    declared, width = recorded.declared, recorded.smoothing
    last = clock[-1:] if clock.size else np.zeros(1)
    now = reads(clock, unit.indicator, last, way=declared.span, width=width)[0]
    return np.concatenate([crossings(clock, unit.indicator, declared.levels, width=width), now])


def _looks(recorded: RecordedSet, unit: Recording, step: float) -> Array:
    """Return what the indicator read each step of the declared exposure."""
    return looks(unit.exposure, unit.indicator, step, way=recorded.declared.span, width=recorded.smoothing)


def _on_clock(recorded: RecordedSet, table: Array, ratio: Array) -> Array:
    """Return X with its exposures on a clock that runs at `ratio`, (r,); shares of the indicator's way stay."""
    exposures = 2 + len(recorded.declared.levels)  # now, the hits, and the exposure of the last read
    return np.column_stack([table[:, :exposures] * ratio[:, None], table[:, exposures:]])


def _coarse(unit: Recording) -> tuple[Array, Array]:
    """Return a load trajectory at about COARSE samples, the mean load up to each."""
    if not unit.time.size:
        return np.empty(0), np.empty(0)
    places = np.unique(np.linspace(0, unit.time.size - 1, min(COARSE, unit.time.size)).astype(int))
    time, used = unit.time[places], unit.exposure[places]
    with contextlib.suppress(FloatingPointError):
        return time, np.diff(used, prepend=0.0) / np.diff(time, prepend=0.0)
    return time, np.ones(time.size)
