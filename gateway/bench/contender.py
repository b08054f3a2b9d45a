"""Contenders: what can be measured.

A recipe is fitted anew at each origin; a version is what it is since it was made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.bench.crew import Crew, Lesson, fit
from gateway.bench.record import Record
from gateway.replenish import way
from predictors.predictor import Predictor
from predictors.registry import named

LEAST_LABELS = 5  # as learn.py: below it, what is declared is what is known


@dataclass(frozen=True)
class Contender:
    """A name for people, the first day it may be judged from, and the model that it is on a day.

    `model_on(record, day)` sees only what had arrived by that day; a version (`refitted` False) is the same every day.
    """

    name: str
    predictor: str
    since_d: float
    refitted: bool
    model_on: Callable[[Record, float], Predictor]
    version_id: int | None = None


def recipe(predictor: str) -> Contender:
    """Return the way of learning that a predictor is, fitted at each origin; raises LookupError for an unknown one."""
    named(predictor)
    return Contender(predictor, predictor, -float("inf"), refitted=True, model_on=lambda r, d: fitted(r, predictor, d))


def version(name: str, model: Predictor, since_d: float, version_id: int | None = None) -> Contender:
    """Return a version as it is; before it was made it knew nothing, so it is judged on what was forecast since."""
    return Contender(name, model.name, since_d, refitted=False, model_on=lambda _r, _d: model, version_id=version_id)


def fitted(record: Record, predictor: str, day: float) -> Predictor:
    """Return a predictor fitted from what had arrived by a day; the declaration alone while that is too little."""
    if (predictor, day) in record.fits:
        return record.fits[predictor, day]
    if not _enough(record, day):
        return named(predictor)(way.declared(record.slot))
    lesson = _lesson(record, predictor, day)
    model = record.fits[predictor, day] = named(predictor)(lesson.declaration).fit(lesson.history, lesson.family)
    return model


def fit_ahead(record: Record, predictor: str, days: Sequence[float], crew: Crew) -> None:
    """Let a crew that is away fit a predictor for many days at once, so that `fitted` finds them."""
    if not crew.away:
        return
    todo = [day for day in days if (predictor, day) not in record.fits and _enough(record, day)]
    models = fit(crew, [_lesson(record, predictor, day) for day in todo])
    record.fits.update(zip([(predictor, day) for day in todo], models, strict=True))


def _enough(record: Record, day: float) -> bool:
    return int((record.witnessed & (record.cycles.recorded_d <= day)).sum()) >= LEAST_LABELS


def _lesson(record: Record, predictor: str, day: float) -> Lesson:
    history = record.history_by(day, hours_only=named(predictor).hours_only)
    return Lesson(predictor, way.declared(record.slot), history, record.family_by(day))
