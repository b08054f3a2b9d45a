"""Log exposure at levels, learned, with intervals that hold on units and groups left out.

    z = (log x at level 1, ..., log x at level L, log x at the end of life) ~ N(mu, Sigma)
    log x_EOL | levels crossed, the next one not crossed yet ~ N(m, s^2), truncated at now

First-passage view of degradation (Lu & Meeker 1993; Gebraeel et al. 2005) without a path between the levels.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import norm

from predictors import gaussian, lognormal
from predictors.artifact import DamagedArtifact
from predictors.batch import Array
from predictors.family import Family
from predictors.gaussian import PRIORS, Gaussian, Prior
from predictors.history import History
from predictors.reckoning import Without

ENOUGH = 4  # ends of life before levels are trusted
FOLDS = 10
_INNER = 0.8  # the interval that calibration makes honest
_HALF = float(norm.ppf(0.5 + _INNER / 2.0))
_FACTORS = (0.5, 6.0)  # the least and the most that calibration may do
_EXTREME = 4.0  # standard deviations of the fleet
WAITED = (-np.inf, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Standard deviations past the expected crossing of the next level from which its absence counts."""


@dataclass(frozen=True, slots=True)
class LevelCrossing:
    """Hold the law of log exposures and the factor on its spread, (L + 1,), by number of levels crossed."""

    law: Gaussian
    widening: Array
    prior: Prior = PRIORS[0]

    @classmethod
    def learn(cls, history: History, *, prior: Prior | None = None, without: Without | None = None) -> Self | None:
        """Return what cycles with hits teach, or None while fewer than ENOUGH ended or a level was hardly reached.

        prior: of the levels, None = the one under which units left out are likeliest. A law with a given one is fitted
        to measure others: its spread is not calibrated, and it may know fewer ends. without: the cycles as they count
        where some taught nothing (predictors.reckoning); None = as they are.
        """
        if history.hits is None:
            return None
        rows = np.isfinite(history.exposure)
        if prior is None and (~history.censored[rows]).sum() < ENOUGH:
            return None
        z, now = _logs(history, rows)
        try:
            if prior is not None:
                return cls(gaussian.fit(z, now, prior=prior), np.ones(z.shape[1]), prior)
            chosen = gaussian.choose(z, now)
            law = gaussian.fit(z, now, prior=chosen)
            return cls(law, _widening(history, rows, chosen, without or (lambda _: history)), chosen)
        except gaussian.TooFew:
            return None

    @classmethod
    def pooled(cls, history: History, family: Family, rated: float | None) -> Self | None:
        """Return the law of a model that starts from its family (predictors.family), None where that knows none.

        rated: the model's declared life in exposure.
        """
        if history.hits is None:
            return None
        rows = np.isfinite(history.exposure)
        told = family.crossing(rated, *_logs(history, rows))
        return None if told is None else cls(*told)

    @property
    def spread(self) -> Array:
        """Return the law's own standard deviation of log life, (L + 1,), by number of levels crossed."""
        levels = self.widening.size - 1
        return np.array([self.law.given(np.arange(levels) < crossed).sd for crossed in range(levels + 1)])

    def expected(self, used: Array, hits: Array) -> Array:
        """Return the expected log exposure at the end of life, (n,), of parts that have come to `used`, (n,).

        That the next level is not crossed yet is part of it, as it stands at `used`.
        """
        location = np.empty(used.size)
        for crossed, rows in by_pattern(_reached(hits, used)):
            z = np.log(hits[rows][:, crossed])
            location[rows] = np.clip(self.law.given(crossed).mean(z), *self.law.range(_EXTREME))
            following = int(np.flatnonzero(crossed)[-1]) + 1 if crossed.any() else 0
            if following < crossed.size:
                coming = self.law.given(crossed, following)
                alpha = np.clip((np.log(used[rows]) - coming.mean(z)) / coming.sd, -_EXTREME, WAITED[-1])
                location[rows] += coming.slope * gaussian.beyond(alpha)[0]
        return location

    def left(self, used: Array, hits: Array, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        """Return exposure left (n, q) and pace of wear (n,): conditional median life over the fleet's."""
        left, pace = np.empty((used.size, len(quantiles))), np.empty(used.size)
        for crossed, rows in by_pattern(_reached(hits, used)):
            z, widening = np.log(hits[rows][:, crossed]), float(self.widening[int(crossed.sum())])
            end = self.law.given(crossed)
            # Hits far outside what was learned say no more than that this part is an extreme one.
            location = np.clip(end.mean(z), *self.law.range(_EXTREME))
            pace[rows] = np.exp(location - self.law.mean[-1])
            following = int(np.flatnonzero(crossed)[-1]) + 1 if crossed.any() else 0
            if following == crossed.size:
                left[rows] = lognormal.left(used[rows], location, end.sd * widening, quantiles)
            else:
                coming = self.law.given(crossed, following)
                waited = _Waited(coming.mean(z), coming.sd * widening, coming.slope * widening)
                left[rows] = waited.left(used[rows], location, end.sd * widening, quantiles)
        return left, pace

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        law = {"mean": self.law.mean.tolist(), "covariance": self.law.covariance.tolist()}
        return {**law, "widening": self.widening.tolist()}

    @classmethod
    def read(cls, numbers: Mapping[str, Any], levels: int) -> Self:
        """Return what was written; raise DamagedArtifact where it is no law over `levels` levels."""
        try:
            keys = ("mean", "covariance", "widening")
            mean, covariance, widening = (np.array(numbers[key], dtype=np.float64) for key in keys)
        except (KeyError, TypeError, ValueError) as wrong:
            raise DamagedArtifact(f"artifact's crossing law cannot be read: {wrong}") from None
        p = levels + 1
        if mean.shape != (p,) or covariance.shape != (p, p) or widening.shape != (p,):
            raise DamagedArtifact(f"artifact's crossing law does not fit {levels} declared levels")
        finite = all(np.isfinite(part).all() for part in (mean, covariance, widening)) and (widening > 0).all()
        if not finite or not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
            raise DamagedArtifact("artifact's crossing law is no covariance")
        return cls(Gaussian(mean, covariance), widening)


@dataclass(frozen=True, slots=True)
class _Waited:
    """What a level not crossed yet tells: log exposure there ~ N(location, sigma^2), slope to the end of life.

    Known to exceed alpha, the level's mean rises by mills(alpha) and pulls the end of life with it; the evidence counts
    in the steps of WAITED. As the wait alone must not lengthen the life left, a step's residual is bounded by what the
    steps before left at their ends.
    """

    location: Array
    sigma: float
    slope: float

    def left(self, used: Array, location: Array, sigma: float, quantiles: tuple[float, ...]) -> Array:
        with np.errstate(divide="ignore"):
            alpha = (np.log(used) - self.location) / self.sigma
        mills, drop = gaussian.beyond(np.array(WAITED))
        least = np.full((used.size, len(quantiles)), np.inf)
        for step, (start, stop) in enumerate(itertools.pairwise((*WAITED, np.inf))):
            reached = alpha >= start
            with np.errstate(over="ignore"):
                end = np.exp(self.location[reached] + self.sigma * stop)
            spread = max(sigma**2 - self.slope**2 * float(drop[step]), gaussian.NUGGET) ** 0.5
            mean = location[reached] + self.slope * float(mills[step])
            here = lognormal.left(np.minimum(used[reached], end), mean, spread, quantiles)
            least[reached] = np.minimum(least[reached], here)
        return least


def by_pattern(marks: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Return the distinct rows of marks (n, p) and, for each, the indices of the rows that are like it."""
    if not marks.shape[0]:
        return []
    bits = np.packbits(marks, axis=1)
    codes = np.zeros((marks.shape[0], -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    codes[:, : bits.shape[1]] = bits
    words = codes.view(np.uint64)
    order = np.lexsort(words.T) if words.shape[1] > 1 else np.argsort(words[:, 0], kind="stable")
    starts = np.flatnonzero((np.diff(words[order], axis=0) != 0).any(axis=1)) + 1
    return [(marks[rows[0]], rows) for rows in np.split(order, starts)]


def _reached(hits: Array, exposure: Array) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray((hits > 0) & (hits <= exposure[:, None]))


def _logs(history: History, rows: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return z (m, p) and now (m,) of some cycles: log exposures at levels and end, NaN where not crossed.

    A level that hardly any part crosses before its end is taken as crossed at the end: it must not silence the others.
    """
    assert history.hits is not None  # noqa: S101  # only asked of an indicator
    exposure, censored, hits = history.exposure[rows], history.censored[rows], history.hits[rows]
    reached = np.where(_reached(hits, exposure), hits, np.nan)
    rare = np.isfinite(reached).sum(axis=0) < gaussian.LEAST
    reached[np.ix_(~censored, rare)] = exposure[~censored, None]
    z = np.log(np.column_stack([reached, np.where(censored, np.nan, exposure)]))
    return z, np.where(censored, np.log(exposure), np.nan)


def _widening(history: History, rows: NDArray[np.bool_], prior: Prior, without: Without) -> Array:
    """Return the factor on the spread, (p,), by number of levels crossed, as `rows` of the cycles show it.

    Conformal on standardised errors (Vovk et al. 2005): each group is forecast from the others (at most FOLDS folds of
    groups), and the factor is the finite-sample quantile that makes the 80 % interval hold there. Student's t for the
    few units behind the covariance where that cannot be done.
    """
    place = np.flatnonzero(rows)
    groups = place if history.groups is None else history.groups[rows]
    ended = ~history.censored[rows]
    p, m = _logs(history, rows)[0].shape[1], int(ended.sum())
    student = float(stdtrit(max(m - 1.0, 1.0), 0.5 + _INNER / 2.0)) / _HALF * (1.0 + 1.0 / m) ** 0.5
    labels = np.unique(groups)
    if labels.size <= 2:
        return np.full(p, student)
    errors: list[list[Array]] = [[] for _ in range(p)]
    fold = np.searchsorted(labels, groups) % FOLDS
    for out in np.unique(fold):
        here, told = fold == out, without(np.isin(np.arange(len(history)), place[fold == out]))
        z, _ = _logs(told, rows)
        try:
            law = gaussian.fit(*_logs(told, np.isin(np.arange(len(history)), place[~here])), prior=prior)
        except gaussian.TooFew:
            continue
        for stage in range(p):
            first = np.arange(p - 1) < stage
            asked = ended & here & np.isfinite(z[:, :stage]).all(axis=1)
            given = law.given(first)
            errors[stage].append(np.abs(z[asked, -1] - given.mean(z[asked][:, :stage])) / given.sd)
    return np.array([_factor(np.concatenate(seen), student) if seen else student for seen in errors])


def _factor(errors: Array, student: float) -> float:
    if errors.size < ENOUGH:
        return student
    rank = min(np.ceil((errors.size + 1) * _INNER) / errors.size, 1.0)
    return float(np.clip(np.quantile(errors, rank, method="higher") / _HALF, *_FACTORS))
