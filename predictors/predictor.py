"""What every wear model shares: clock, calendar fallback, date, reasons."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from predictors import artifact as artifacts
from predictors.batch import BLOCK, Array, SlotBatch, blocks
from predictors.clock import ExposureClock
from predictors.declaration import Declaration
from predictors.drivers import clock_drivers, drivers
from predictors.family import Family, Sibling
from predictors.forecast import QUANTILES, Forecasts, ascending
from predictors.future import HORIZON_D, Exposure, Use, dates, exposure, use
from predictors.history import History
from predictors.life import PRIOR_FAILURES, WeibullLife
from predictors.reckoning import Reckoning

REPORT_FAILURES = 4.0
"""A unit's own report weighs as much as this many observed failures: the more the fleet taught, the less it says."""


class Predictor:
    """Forecast the end-of-life dates of slots that share a declaration.

    Unfitted, a model knows what the maker declared; `fit` adds what cycles taught. Exposure left comes from the Weibull
    posterior unless a subclass knows better; slots whose exposure nothing tells get a date by age, flagged as not
    measured, never an exception.
    """

    name: ClassVar[str]
    hours_only: ClassVar[bool] = False
    takes_reports: ClassVar[bool] = True

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.age = WeibullLife.prior(declaration.life_d)
        life_h = declaration.life_h
        self.life = None if life_h is None else WeibullLife.prior(life_h)
        self.per_day = None if life_h is None else life_h / declaration.life_d
        self.clock: ExposureClock | None = None
        self.ends: int | None = None

    def fit(self, history: History, family: Family | None = None) -> Self:
        """Learn from finished and running cycles, each fit anew from the declaration; rows of NaN are skipped.

        The exposure clock is fitted first where covariates are declared; everything else is learned on that clock.
        family: what sibling product models tell a new one (predictors.family), None for one that stands alone.
        """
        self._check_covariates(history.covariates)
        cycles = Reckoning.of(history, fitted=bool(self.declaration.covariates) and not self.hours_only)
        self.clock = cycles.clock
        self._learn(cycles, family)
        return self

    def _learn(self, cycles: Reckoning, family: Family | None) -> None:
        """Learn from cycles as they stand on the fitted clock."""
        history = cycles.whole
        self.age = WeibullLife.prior(self.declaration.life_d)
        if history.days is not None:
            self.age = self.age.learn(history.days, history.censored)
        seen = np.isfinite(history.exposure)
        life_h = self.declaration.life_h
        ended = history.exposure[seen & ~history.censored]
        self.ends = int(ended.size)
        rated = life_h if life_h is not None else (float(np.median(ended)) if ended.size else None)
        prior = None if family is None else family.life(life_h)
        if prior is None and rated is not None:
            prior = WeibullLife.prior(rated)
        self.life = None if prior is None else prior.learn(history.exposure, history.censored)
        rated = rated if rated is not None or prior is None else prior.rated
        self.per_day = self._cohort_per_day(history, rated)

    def forecast(
        self, batch: SlotBatch, quantiles: Sequence[float] = QUANTILES, *, alive: NDArray[np.bool_] | None = None
    ) -> Forecasts:
        """Return the forecasts of a batch, one row per slot.

        alive: (n,) True where an end of life would have shown itself, so that having run so far is knowledge; None =
        all. Where nothing would show it, life is what it was for a new part, less what is used: such a part does end.
        """
        asked = ascending(quantiles)
        known_alive = np.ones(len(batch), dtype=bool) if alive is None else alive
        if len(batch) <= BLOCK:
            return self._forecast(batch, asked, known_alive)
        return Forecasts.joined(
            [self._forecast(batch.take(some), asked, known_alive[some]) for some in blocks(len(batch))]
        )

    def _forecast(self, told: SlotBatch, asked: tuple[float, ...], known_alive: NDArray[np.bool_]) -> Forecasts:
        batch = self._on_clock(told)
        n, q = len(batch), len(asked)
        wide = tuple(sorted({*asked, 0.5}))
        pick, middle = [wide.index(quantile) for quantile in asked], wide.index(0.5)
        clock = self._clock(batch)
        per_day = self.per_day or float("nan")
        measured = np.isfinite(clock.used)
        eol_d, pct_left = np.empty((n, q)), np.empty(n)
        weight, pace = np.zeros(n), np.full(n, np.nan)
        future = Use(np.full(n, np.nan), np.full(n, np.nan))
        if measured.any():
            known = batch if measured.all() else batch.take(measured)
            here = Exposure(clock.used[measured], clock.per_h[measured])
            coming = use(known, here.per_h, per_day)
            left, pace[measured] = self._left(here.used, known, wide)
            blind = ~known_alive[measured]
            if blind.any():
                new, _ = self._left(np.zeros_like(here.used), known, wide)
                left[blind] = np.maximum(new - here.used[:, None], 0.0)[blind]
            left, weight[measured] = self._with_report(left, here, known)
            eol_d[measured] = dates(left, left[:, middle], coming, known.silent_d, wide)[:, pick]
            future.per_day[measured], future.log_sd[measured] = coming.per_day, coming.log_sd
            pct_left[measured] = _percent(here.used, left[:, middle], coming.per_day * _known(known.silent_d))
        if not measured.all():
            age = _known(batch.age_d[~measured])
            left = self.age.left(age, wide)
            new = self.age.left(np.zeros_like(age), wide)
            left = np.where(known_alive[~measured][:, None], left, np.maximum(new - age[:, None], 0.0))
            eol_d[~measured] = left[:, pick]
            pct_left[~measured] = _percent(age, left[:, middle], np.zeros(1))
        reasons = drivers(told, clock, future, per_day, report_weight=weight, wear_pace=pace)
        reasons |= self._clock_drivers(told)
        return Forecasts(asked, np.minimum(eol_d, HORIZON_D), pct_left, measured, reasons)

    def sibling(self) -> Sibling:
        """Return what this product model tells a new one of its family."""
        return Sibling(self.declaration.life_h, self.life, ends=self.ends)

    def to_artifact(self) -> dict[str, Any]:
        """Return the model as plain JSON."""
        return artifacts.seal(self.name, self.declaration, self._learned())

    @classmethod
    def from_artifact(cls, artifact: Mapping[str, Any]) -> Self:
        """Return the model that to_artifact wrote; raise DamagedArtifact where that cannot be."""
        declaration, learned = artifacts.unseal(artifact, cls.name)
        model = cls(declaration)
        model._restore(learned)
        return model

    def _on_clock(self, batch: SlotBatch) -> SlotBatch:
        """Return the batch on the fitted clock; raise ValueError where its covariates are not those declared."""
        self._check_covariates(batch.covariates)
        self._check_covariates(batch.covariates_recent)
        return batch if self.clock is None else self.clock.batch(batch)

    def _clock_drivers(self, batch: SlotBatch) -> dict[str, Array]:
        names = self.declaration.covariates
        logs = None if self.clock is None else self.clock.logs(batch.covariates, len(batch))
        return clock_drivers(names, logs, len(batch))

    def _check_covariates(self, table: Array | None) -> None:
        declared = len(self.declaration.covariates)
        if table is not None and table.shape[1] != declared:
            raise ValueError(f"covariates has {table.shape[1]} columns, {declared} are declared")

    def _clock(self, batch: SlotBatch) -> Exposure:
        """Return where each slot stands, NaN where a date by age is all there is."""
        if self.life is None:
            return Exposure(np.full(len(batch), np.nan), np.ones(len(batch)))
        return exposure(batch, self.declaration.life_h, hours_only=self.hours_only)

    def _left(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        """Return exposure left (n, q) at exposure `used` (n,), and the pace of wear (n,), NaN where not known."""
        if self.life is None:
            raise ValueError("no life in exposure is declared or learned")
        return self.life.left(used, quantiles), np.full(len(batch), np.nan)

    def _report_weight(self) -> float:
        failures = self.life.a if self.life is not None else PRIOR_FAILURES
        return REPORT_FAILURES / (failures + REPORT_FAILURES) if self.takes_reports else 0.0

    def _with_report(self, left: Array, clock: Exposure, batch: SlotBatch) -> tuple[Array, Array]:
        """Shrink exposure left to the unit's own report; one that already set the clock is not counted twice."""
        rated = self.declaration.life_h or (self.life.rated if self.life is not None else float("nan"))
        told = np.where(np.isfinite(batch.left_h), batch.left_h * clock.per_h, batch.left_pct / 100.0 * rated)
        counted = np.isfinite(batch.run_h) | np.isfinite(batch.load_h)
        weight = np.where(np.isfinite(told) & counted, self._report_weight(), 0.0)
        shrunk = (1.0 - weight)[:, None] * left + (weight * np.where(weight > 0, told, 0.0))[:, None]
        return shrunk, weight

    def _cohort_per_day(self, history: History, rated: float | None) -> float | None:
        """Return the exposure per day of the fleet's median unit, shrunk to the declared one."""
        if rated is None:
            return None
        declared = rated / self.declaration.life_d
        if history.days is None:
            return declared
        rates = history.exposure / history.days
        rates = rates[np.isfinite(rates) & (history.days >= 1.0)]
        if not rates.size:
            return declared
        return float((PRIOR_FAILURES * declared + rates.size * np.median(rates)) / (PRIOR_FAILURES + rates.size))

    def _learned(self) -> dict[str, Any]:
        lives = {"life": self.life, "age": self.age}
        columns = {key: None if life is None else _written(life) for key, life in lives.items()}
        clock = None if self.clock is None else self.clock.written()
        return {**columns, "per_day": self.per_day, "clock": clock, "ends": self.ends}

    def _restore(self, learned: Mapping[str, Any]) -> None:
        age = _read(learned, "age")
        if age is None:
            raise artifacts.DamagedArtifact("artifact lacks its calendar model")
        self.age, self.life = age, _read(learned, "life")
        self.per_day = None if learned.get("per_day") is None else artifacts.number(learned, "per_day")
        self.ends = None if learned.get("ends") is None else int(artifacts.number(learned, "ends", positive=False))
        if (clock := learned.get("clock")) is not None:
            self.clock = ExposureClock.read(clock, len(self.declaration.covariates))


def _written(life: WeibullLife) -> dict[str, float]:
    return {"rated": life.rated, "shape": life.shape, "a": life.a, "b": life.b}


def _read(learned: Mapping[str, Any], key: str) -> WeibullLife | None:
    numbers = learned.get(key)
    if numbers is None:
        return None
    if not isinstance(numbers, Mapping):
        raise artifacts.DamagedArtifact(f"artifact's {key} is not a set of numbers: {numbers!r}")
    life = WeibullLife(**{name: artifacts.number(numbers, name) for name in ("rated", "shape", "a", "b")})
    if life.shape <= 1.0:
        raise artifacts.DamagedArtifact(f"artifact's {key} has shape {life.shape}: wear needs a shape above 1")
    return life


def _known(column: Array) -> Array:
    return np.where(np.isfinite(column), column, 0.0)


def _percent(used: Array, left: Array, since: Array) -> Array:
    """Return percent of life left: `left` of used + left, less what future use took `since` the last word."""
    whole = np.maximum(used + left, 1e-12)
    return np.asarray(np.clip(100.0 * np.maximum(left - since, 0.0) / whole, 0.0, 100.0))
