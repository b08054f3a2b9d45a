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
from predictors.gaussian import PRIORS, Conditionals, Gaussian, Prior
from predictors.history import History
from predictors.reckoning import Without

ENOUGH = 4  # ends of life before levels are trusted
FOLDS = 10
_INNER = 0.8  # the interval that calibration makes honest
_HALF = float(norm.ppf(0.5 + _INNER / 2.0))
_FACTORS = (0.5, 6.0)  # the least and the most that calibration may do
_EXTREME = 4.0  # standard deviations of the fleet
_NOWHERE = -100.0  # what a level that was not crossed deviates by: finite, for it counts zero times
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
        return self.law.told(in_order(self.widening.size - 1))[0].sd

    def expected(self, used: Array, hits: Array) -> Array:
        """Return the expected log exposure at the end of life, (n,), of parts that have come to `used`, (n,).

        That the next level is not crossed yet is part of it, as it stands at `used`.
        """
        told = self._told(used, hits)
        rows = np.flatnonzero(told.waits)
        kind = told.pattern[rows]
        alpha = np.clip((np.log(used[rows]) - told.coming[rows]) / told.next.sd[kind], -_EXTREME, WAITED[-1])
        told.location[rows] += told.next.slope[kind] * gaussian.beyond(alpha)[0]
        return told.location

    def left(self, used: Array, hits: Array, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        """Return exposure left (n, q) and pace of wear (n,): conditional median life over the fleet's."""
        told = self._told(used, hits)
        left = np.empty((used.size, len(quantiles)))
        widening = self.widening[told.count]
        for waits in (False, True):
            rows = np.flatnonzero(told.waits == waits)
            here, location, kind, sd = used[rows], told.location[rows], told.pattern[rows], told.end.sd * widening
            if waits:
                waited = _Waited(told.coming[rows], kind, told.next.sd * widening, told.next.slope * widening)
                left[rows] = waited.left(here, location, sd, quantiles)
            else:
                left[rows] = lognormal.left(here, location, sd, quantiles, kind=kind)
        return left, np.exp(told.location - self.law.mean[-1])

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

    def _told(self, used: Array, hits: Array) -> "_Told":
        columns = np.ascontiguousarray(hits.T)
        reached = _reached(columns, used)
        patterns, pattern = distinct(reached)
        end, coming = self.law.told(patterns)
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.log((columns * np.exp(-self.law.mean[:-1, None])).astype(np.float32))
        np.fmax(beyond, np.float32(_NOWHERE), out=beyond)
        # Hits far outside what was learned say no more than that this part is an extreme one.
        location = np.clip(end.mean(beyond, pattern), *self.law.range(_EXTREME))
        waits = ~patterns[:, -1][pattern]
        return _Told(pattern, patterns.sum(axis=1), waits, end, coming, location, coming.mean(beyond, pattern))


@dataclass(frozen=True, slots=True)
class _Told:
    """Hold what levels tell of n parts, which cross them in k patterns.

    pattern: (n,) of each part. count: (k,) levels crossed. waits: (n,) whether a level is still to come. end, next:
    what each pattern tells of the end of life and of the next level. location, coming: (n,) log exposure expected
    there.
    """

    pattern: NDArray[np.int64]
    count: NDArray[np.int64]
    waits: NDArray[np.bool_]
    end: Conditionals
    next: Conditionals
    location: Array
    coming: Array


@dataclass(frozen=True, slots=True)
class _Waited:
    """What a level not crossed yet tells: log exposure there ~ N(coming, sigma^2), slope to the end of life.

    Known to exceed alpha, the level's mean rises by mills(alpha) and pulls the end of life with it; the evidence counts
    in the steps of WAITED. As the wait alone must not lengthen the life left, a step's residual is bounded by what the
    steps before left at their ends. coming: (n,). kind: (n,) which of sigma and slope, (k,) each, a part has.
    """

    coming: Array
    kind: NDArray[np.int64]
    sigma: Array
    slope: Array

    def left(self, used: Array, location: Array, sigma: Array, quantiles: tuple[float, ...]) -> Array:
        """Return exposure left, (n, q): log exposure at the end ~ N(location, sigma^2), (n,) and (k,)."""
        with np.errstate(divide="ignore"):
            alpha = (np.log(used) - self.coming) / self.sigma[self.kind]
        mills, drop = gaussian.beyond(np.array(WAITED))
        least = np.full((used.size, len(quantiles)), np.inf)
        for step, (start, stop) in enumerate(itertools.pairwise((*WAITED, np.inf))):
            rows = np.flatnonzero(alpha >= start)
            kind = self.kind[rows]
            with np.errstate(over="ignore"):
                end = np.exp(self.coming[rows] + self.sigma[kind] * stop)
            spread = np.sqrt(np.maximum(sigma**2 - self.slope**2 * float(drop[step]), gaussian.NUGGET))
            mean = location[rows] + self.slope[kind] * float(mills[step])
            here = lognormal.left(np.minimum(used[rows], end), mean, spread, quantiles, kind=kind)
            least[rows] = np.minimum(least[rows], here)
        return least


def distinct(marks: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return distinct patterns, (k, p), and which of them each column of marks (p, n) is, (n,).

    Those crossed in order come first, whether a column is one of them or not: most are.
    """
    first, pattern = in_order(len(marks)), marks.sum(axis=0)
    odd = np.flatnonzero((marks[1:] > marks[:-1]).any(axis=0))
    if not odd.size:
        return first, pattern
    others, place = np.unique(np.packbits(marks[:, odd].T, axis=1), axis=0, return_inverse=True)
    pattern[odd] = len(first) + place.reshape(-1)
    return np.concatenate([first, np.unpackbits(others, axis=1, count=len(marks)).astype(bool)]), pattern


def in_order(levels: int) -> NDArray[np.bool_]:
    """Return the patterns, (levels + 1, levels), in which levels are crossed one after another."""
    return np.tri(levels + 1, levels, -1, dtype=bool)


def _reached(hits: Array, exposure: Array) -> NDArray[np.bool_]:
    """Return which levels were crossed by an exposure, (n,); hits: (L, n), the answer like it."""
    with np.errstate(invalid="ignore"):
        return np.asarray((hits > 0) & (hits <= exposure))


def _logs(history: History, rows: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return z (m, p) and now (m,) of some cycles: log exposures at levels and end, NaN where not crossed.

    A level that hardly any part crosses before its end is taken as crossed at the end: it must not silence the others.
    """
    assert history.hits is not None  # noqa: S101  # only asked of an indicator
    exposure, censored, hits = history.exposure[rows], history.censored[rows], history.hits[rows]
    reached = np.where(_reached(hits.T, exposure).T, hits, np.nan)
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
