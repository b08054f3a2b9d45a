"""Pooling across product models: what a new one may take over from its siblings before its own parts have ended.

    mu_model ~ N(mu_family, T),   T estimated from how far siblings lie apart, and kept in the predictive variance
    life:   log median of a model over its rated life ~ N(m, V),  V = T (1 + 1/n);  theta ~ Gamma(a, b) with
            trigamma(a) / k^2 = V: the further siblings disagree, the fewer failures is their word worth
    levels: log exposures of a new model ~ N(m + mu, C),  mu ~ N(0, V) on the log scale

A hierarchical normal model (Gelman et al. 2013, "Bayesian Data Analysis", ch. 5), T by moments (DerSimonian & Laird
1986, Controlled Clinical Trials 7), shrunk to a stated one as few siblings tell little of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import polygamma

from predictors import gaussian
from predictors.batch import Array
from predictors.gaussian import PRIORS, Gaussian
from predictors.life import PRIOR_FAILURES, WeibullLife

SPREAD = 0.15
"""Standard deviation of log life between siblings before they are seen, worth SPREAD_WORTH of them."""

SPREAD_WORTH = 1.0
ENOUGH = 2  # siblings: one alone tells nothing of how far a new model may lie from it
PLENTY = 12.0  # units that a family's covariance of levels is worth
WORTH = (0.5, 40.0)  # failures that a family's word may be worth
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Sibling:
    """Hold what one product model has learned.

    rated: its declared life in exposure, None where the maker declared none. life: its Weibull posterior. law: of the
    log exposures at its levels and at the end of life, widening: (L + 1,) its calibrated factors; None without. ends:
    how many parts of its own have ended, None where an artifact does not say.
    """

    rated: float | None
    life: WeibullLife | None
    law: Gaussian | None = None
    widening: Array | None = None
    ends: int | None = None

    @property
    def taught(self) -> bool:
        """Whether parts of its own have ended; a family's prior may be worth more failures than that."""
        if self.life is None:
            return False
        return self.life.a > PRIOR_FAILURES if self.ends is None else self.ends > 0


@dataclass(frozen=True, slots=True)
class LevelPrior:
    """Hold the law of log exposures of a new model, and the covariance between models, (p, p), of its mean."""

    law: Gaussian
    between: Array
    widening: Array


@dataclass(frozen=True, slots=True)
class Family:
    """Hold the priors for a new product model, None where its siblings do not tell one.

    median: of its life, over its rated life where relative, else in exposure.
    """

    relative: bool
    median: float | None
    shape: float
    failures: float
    levels: LevelPrior | None

    @classmethod
    def of(cls, siblings: Sequence[Sibling]) -> Self:
        """Return what siblings tell; fewer than ENOUGH that have seen an end tell nothing, and change nothing.

        Lives are pooled over the rated ones where every sibling has one, in exposure elsewhere. Levels are pooled over
        the siblings that have as many as the last one with levels. Their order does not matter otherwise.
        """
        relative = all(sibling.rated is not None for sibling in siblings)
        taught = [one for one in siblings if one.taught]
        taught.sort(key=lambda one: (_centre(one, relative), one.life.a if one.life else 0.0))
        if len(taught) < ENOUGH:
            return cls(relative, None, 0.0, 0.0, None)
        lives = [one.life for one in taught if one.life is not None]
        centres = np.array([_centre(one, relative) for one in taught])
        noise = np.array([float(polygamma(1, life.a)) / life.shape**2 for life in lives])
        middle, spread = _pooled(centres, noise)
        shape = float(np.exp(np.mean([np.log(life.shape) for life in lives])))
        failures = _worth(spread * (1.0 + 1.0 / len(taught)) * shape**2)
        return cls(relative, float(np.exp(middle)), shape, failures, _levels(taught, relative))

    def life(self, rated: float | None) -> WeibullLife | None:
        """Return the prior of a model whose declared life is `rated`, None where the family cannot tell one."""
        if self.median is None or (self.relative and rated is None):
            return None
        scale = rated if self.relative and rated is not None else 1.0
        return WeibullLife.prior(self.median * scale, self.failures, self.shape)

    def crossing(self, rated: float | None, z: Array, now: Array) -> tuple[Gaussian, Array] | None:
        """Return the law of a new model's log exposures and its factors, after cycles z (m, p) and now (m,).

        z: log exposures at levels and end, NaN not reached; now: log exposure of running cycles, NaN of the others.
        None where the family knows no law over p coordinates.
        """
        prior = self.levels
        if prior is None or (self.relative and rated is None) or prior.law.mean.size != z.shape[1]:
            return None
        shift = float(np.log(rated)) if self.relative and rated is not None else 0.0
        start = Gaussian(prior.law.mean + shift, prior.law.covariance)
        return _posterior(start, prior.between, z, now), prior.widening


def _centre(sibling: Sibling, relative: bool) -> float:  # one choice for all siblings
    """Return the log of a sibling's median life, over its rated life where lives are pooled so."""
    if sibling.life is None:
        return float("nan")
    median = float(sibling.life.left(np.zeros(1), (0.5,))[0, 0])
    return float(np.log(median) - (np.log(sibling.rated) if relative and sibling.rated is not None else 0.0))


def _pooled(centres: Array, noise: Array) -> tuple[float, float]:
    """Return the family's mean and T, the variance between siblings whose own words are as uncertain as `noise`, (n,).

    T = (w SPREAD^2 + sum (c - mean)^2 - noise) / (w + n - 1), not below half of what is believed beforehand.
    """
    spread = SPREAD**2
    mean = float(centres.mean())
    for _ in range(ROUNDS):
        weight = 1.0 / (spread + noise)
        mean = float(weight @ centres / weight.sum())
        # Each sibling's own uncertainty is taken off in expectation: E (c - mean)^2 = T + noise, less a degree.
        share = spread / (spread + noise)
        expected = share**2 * (centres - mean) ** 2 + share * noise
        spread = float((SPREAD_WORTH * SPREAD**2 + expected.sum()) / (SPREAD_WORTH + centres.size - 1.0))
    return mean, spread


def _worth(trigamma: float) -> float:
    """Return the a with trigamma(a) as given: how many failures a prior with that variance of log theta is worth."""
    low, high = WORTH
    if trigamma >= float(polygamma(1, low)):
        return low
    if trigamma <= float(polygamma(1, high)):
        return high
    return float(brentq(lambda a: float(polygamma(1, a)) - trigamma, low, high))


def _levels(siblings: Sequence[Sibling], relative: bool) -> LevelPrior | None:  # one choice for all
    """Return the family's law of levels, None unless ENOUGH siblings have laws of one size."""
    widths = [one.law.mean.size for one in siblings if one.law is not None]
    told = [one for one in siblings if one.law is not None and widths.count(one.law.mean.size) == len(widths)]
    if len(told) < ENOUGH:
        return None
    shifts = [np.log(one.rated) if relative and one.rated is not None else 0.0 for one in told]
    means = np.array([one.law.mean - shift for one, shift in zip(told, shifts, strict=True) if one.law is not None])
    covariance = np.mean([one.law.covariance for one in told if one.law is not None], axis=0)
    n, p = means.shape
    off = means - means.mean(axis=0)
    # Siblings differ in their pace first of all: before they are seen, their levels move together as a part's do.
    steps = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    believed = SPREAD**2 * PRIORS[0].correlation ** steps
    between = (SPREAD_WORTH * believed + off.T @ off) / (SPREAD_WORTH + n - 1.0) * (1.0 + 1.0 / n)
    widening = np.mean([one.widening for one in told if one.widening is not None] or [np.ones(p)], axis=0)
    return LevelPrior(Gaussian(means.mean(axis=0), covariance), between, widening)


def _posterior(prior: Gaussian, between: Array, z: Array, now: Array) -> Gaussian:
    """Return the predictive law after own cycles: the mean moves, its uncertainty stays in the covariance.

    Expectation-maximisation with mu ~ N(prior mean, between); the covariance within a model is the family's, PLENTY
    units' worth, beside that of its own cycles.
    """
    precision = np.linalg.inv(between)
    order = np.lexsort(np.column_stack([z, now]).T)
    z, now = z[order], now[order]
    told = np.isfinite(z).any(axis=1) | np.isfinite(now)
    z, now = z[told], now[told]
    mean, covariance, m = prior.mean, prior.covariance, z.shape[0]
    if not m:
        return Gaussian(mean, covariance + between)
    information = np.zeros_like(between)
    for _ in range(ROUNDS):
        filled, square = gaussian.expected(z, now, mean, covariance)
        within = np.linalg.inv(covariance)
        own = precision + m * within
        mean = np.linalg.solve(own, precision @ prior.mean + within @ filled.sum(axis=0))
        off = filled - mean
        covariance = (PLENTY * prior.covariance + off.T @ off + square) / (PLENTY + m)
    for pattern, rows in _patterns(np.isfinite(z)):
        seen = np.flatnonzero(pattern)
        information[np.ix_(seen, seen)] += rows * np.linalg.inv(covariance[np.ix_(seen, seen)])
    return Gaussian(mean, covariance + np.linalg.inv(precision + information))


def _patterns(marks: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], int]]:
    rows, counts = np.unique(marks, axis=0, return_counts=True)
    return list(zip(rows, counts.tolist(), strict=True))
