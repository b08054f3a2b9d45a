"""Forecast recorded runs as they stood within life, beside the truth.

Every run is forecast by a model that has seen neither it nor, when whole groups are held out, any run of its group, and
from samples up to the moment of the forecast only. On a test rig seconds stand in for hours: a second is scored as an
hour of use.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors import indicator, registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.history import History
from predictors.path import STEP

Array = NDArray[np.float64]

FRACTIONS = (0.5, 0.7, 0.9)
H_PER_DAY = 24.0  # a rig runs all day
USE_CV = 0.01  # of the load of the samples to come: the rig holds its profile
RECENT = 0.25  # share of the samples so far that tells the load to come
MODELS = ("hit", "weibull", "rated")


@dataclass(frozen=True, slots=True)
class Series:
    """Hold what is known of one unit: channels over time, in order of time, whatever store they come from.

    time_s: (n,) since the part was fitted. pressure_drop: (n,) the indicator, in the unit of Declaration.indicator_eol.
    load: (n,) what wears the part besides time, such as flow times concentration; None where not measured or declared.
    eol_s: when it ended; None while it runs. group: what is held out together, such as an operating profile.
    """

    name: str
    group: str
    time_s: Array
    pressure_drop: Array
    load: Array | None
    eol_s: float | None

    def until(self, now_s: float) -> "Series":
        """Return what had been measured by now_s: nothing later, and no end."""
        past = self.time_s <= now_s
        load = None if self.load is None else self.load[past]
        return Series(self.name, self.group, self.time_s[past], self.pressure_drop[past], load, None)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one forecast of the end of life, in seconds since the part was fitted, beside the truth."""

    run: str
    group: str
    fraction: float
    now_s: float
    truth_s: float
    q10: float
    q50: float
    q90: float
    model: str

    @property
    def error_s(self) -> float:
        """Return how far the median lies from the truth, late positive."""
        return self.q50 - self.truth_s

    @property
    def covered(self) -> bool:
        """Tell whether the 80 % interval holds the truth."""
        return self.q10 <= self.truth_s <= self.q90


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold the error of one model at one life fraction (None: over all): MAE, share covered, width of the interval."""

    model: str
    fraction: float | None
    runs: int
    mae_s: float
    bias_s: float
    cov80: float
    width80_s: float


def load(flow: Array, concentration: float | None) -> Array | None:
    """Return the load, (n,): what flows through times what it carries; None where the concentration is not known."""
    return None if concentration is None else np.maximum(flow, 0.0) * concentration


def score(
    series: Sequence[Series],
    indicator_eol: float,
    *,
    fractions: Sequence[float] = FRACTIONS,
    models: Sequence[str] = MODELS,
    held_out: Callable[[Series], str] = lambda one: one.group,
) -> list[Row]:
    """Return the forecasts of every run that ended, at each fraction of its life, by each model.

    held_out names what is left out of the fit together: the group by default, `lambda one: one.name` for run by run.
    Raises ValueError where leaving one out leaves nothing to learn from.
    """
    rows: list[Row] = []
    for label in sorted({held_out(one) for one in series}):
        rest = [one for one in series if held_out(one) != label]
        asked = [one for one in series if held_out(one) == label and one.eol_s is not None]
        if asked:
            rows += _score_fold(rest, asked, indicator_eol, fractions, models)
    return rows


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Return the errors by model and life fraction, and by model over all of them."""
    return [
        Summary(
            model,
            fraction,
            len(of),
            mae_s=float(np.mean([abs(row.error_s) for row in of])),
            bias_s=float(np.mean([row.error_s for row in of])),
            cov80=float(np.mean([row.covered for row in of])),
            width80_s=float(np.mean([row.q90 - row.q10 for row in of])),
        )
        for model in dict.fromkeys(row.model for row in rows)
        for fraction in (*sorted({row.fraction for row in rows}), None)
        if (of := [row for row in rows if row.model == model and fraction in (None, row.fraction)])
    ]


def _score_fold(
    rest: Sequence[Series],
    asked: Sequence[Series],
    indicator_eol: float,
    fractions: Sequence[float],
    models: Sequence[str],
) -> Iterator[Row]:
    ends = [one.eol_s for one in rest if one.eol_s is not None]
    if not ends:
        raise ValueError("no other run has ended: there is nothing to learn from")
    # What a maker would declare, from the runs of this fold alone.
    rated = float(np.median(ends))
    declaration = Declaration(life_h=rated, life_d=rated / H_PER_DAY, indicator_eol=indicator_eol)
    loads = [float(np.mean(one.load)) for one in rest if one.load is not None]
    reference = float(np.median(loads)) if len(loads) == len(rest) else None
    history = _history(rest, declaration, reference)
    fitted = [registry.named(name)(declaration).fit(history) for name in models]
    learned = {one.group for one in rest}
    for one in asked:
        for fraction in fractions:
            truth = float(one.eol_s or 0.0)
            now = fraction * truth
            batch = snapshot(one.until(now), declaration, reference, novel=one.group not in learned)
            for model in fitted:
                days = model.forecast(batch).eol_d[0]
                q10, q50, q90 = (now + H_PER_DAY * float(day) for day in days)
                yield Row(one.name, one.group, fraction, now, truth, q10, q50, q90, model.name)


def snapshot(past: Series, declaration: Declaration, reference: float | None, *, novel: bool = False) -> SlotBatch:
    """Return the one-slot batch that a unit's past amounts to; reference is the load at which the life is rated.

    novel: whether its group is none of those that the model learned from.
    """
    run_h = float(past.time_s[-1]) if past.time_s.size else 0.0
    exposure = _exposure(past, reference)
    loaded = reference is not None and past.load is not None and past.load.size > 0
    recent = np.nan
    if loaded and past.load is not None and reference is not None:
        recent = float(np.mean(past.load[-max(1, int(RECENT * past.load.size)) :])) / reference
    return SlotBatch.of(
        1,
        run_h=run_h,
        load_h=float(exposure[-1]) if loaded else np.nan,
        age_d=run_h / H_PER_DAY,
        h_per_day=H_PER_DAY,
        h_per_day_sd=USE_CV * H_PER_DAY,
        load_per_h=recent,
        silent_d=0.0,
        novel=float(novel),
        hits=indicator.crossings(exposure, past.pressure_drop, declaration.levels)[None, :],
        reads=indicator.reads(exposure, past.pressure_drop, exposure[-1:], way=declaration.span)
        if exposure.size
        else None,
    )


def _history(series: Sequence[Series], declaration: Declaration, reference: float | None) -> History:
    ends = [one.until(np.inf if one.eol_s is None else one.eol_s) for one in series]
    exposures = [_exposure(one, reference) for one in ends]
    pairs = list(zip(exposures, ends, strict=True))
    levels = declaration.levels
    step = STEP * (declaration.life_h or float(np.median([clock[-1] for clock in exposures if clock.size])))
    return History.of(
        [float(exposure[-1]) if exposure.size else np.nan for exposure in exposures],
        [one.eol_s is None for one in series],
        groups=[one.group for one in series],
        hits=np.array([indicator.crossings(clock, one.pressure_drop, levels) for clock, one in pairs]),
        looks=[indicator.looks(clock, one.pressure_drop, step, way=declaration.span) for clock, one in pairs],
        days=[float(one.time_s[-1]) / H_PER_DAY if one.time_s.size else np.nan for one in ends],
    )


def _exposure(one: Series, reference: float | None) -> Array:
    """Return exposure over time, (n,), in reference hours: the integral of load / reference, or time if unknown."""
    if one.load is None or reference is None:
        return one.time_s
    steps = np.diff(one.time_s, prepend=0.0)
    return np.asarray(np.cumsum(one.load / reference * steps))
