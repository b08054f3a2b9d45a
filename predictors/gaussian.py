"""A Gaussian over the log exposures at which levels are crossed, fitted where some are not crossed yet."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from predictors.batch import Array

NUGGET = 1e-4  # variance of log exposure that no history takes away: a level is read off to about 1 %
PRIOR_SD = 0.3  # of log exposure at a level, worth one unit


FOLDS = 4
REMEMBERED = 10_000  # conditionals: real signals cross their levels in order, in as many patterns as there are levels


@dataclass(frozen=True, slots=True)
class Prior:
    """Hold what is believed of neighbouring levels before any unit: their correlation, worth so many units."""

    units: float = 4.0
    correlation: float = 0.98


PRIORS = (Prior(), Prior(2.0, 0.98), Prior(12.0, 0.98), Prior(30.0, 0.95), Prior(30.0, 0.9))
"""From a smooth signal, whose levels are crossed alike, to one that crosses its low levels when the noise does."""


LEAST = 2  # units that must have come to a level


class TooFew(ValueError):
    """A level or the end of life has been reached by fewer than LEAST units."""


@dataclass(frozen=True, slots=True)
class Conditional:
    """Hold one coordinate given some others: mean = base + gain'(z - centre), spread sd.

    slope: by how much the last coordinate moves with one sd of this one, the conditional covariance of the two over sd.
    """

    gain: Array
    centre: Array
    base: float
    sd: float
    slope: float

    def mean(self, z: Array) -> Array:
        """Return the conditional mean, (n,), at z (n, c)."""
        # Column by column, so that a row's result does not depend on how many rows stand beside it.
        total = np.full(z.shape[0], self.base)
        for column, (gain, centre) in enumerate(zip(self.gain, self.centre, strict=True)):
            total = total + gain * (z[:, column] - centre)
        return total


@dataclass(frozen=True, slots=True)
class Conditionals:
    """Hold one coordinate given others, as k patterns of them tell it: gain (p - 1, k), the rest (k,) each.

    A column of gain is zero where the pattern lacks the coordinate; base, sd and slope as in Conditional.
    """

    gain: NDArray[np.float32]
    base: Array
    sd: Array
    slope: Array

    def mean(self, deviations: NDArray[np.float32], pattern: NDArray[np.int64]) -> Array:
        """Return the conditional mean, (n,), at what n rows deviate from the mean, (p - 1, n); pattern: (n,).

        In single precision but for the base: to some ten-millionths, where a level is read off to a hundredth.
        """
        # Column by column, so that a row's result does not depend on how many rows stand beside it.
        total = np.zeros(pattern.size, dtype=np.float32)
        for gain, deviation in zip(self.gain, deviations, strict=True):
            total += gain.take(pattern) * deviation
        return np.asarray(self.base.take(pattern) + total)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Hold mean (p,) and covariance (p, p); the last coordinate is the end of life."""

    mean: Array
    covariance: Array
    _told: dict[bytes, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def range(self, deviations: float) -> tuple[float, float]:
        """Return the last coordinate's mean less and plus so many of its standard deviations."""
        middle, sd = float(self.mean[-1]), float(self.covariance[-1, -1]) ** 0.5
        return middle - deviations * sd, middle + deviations * sd

    def likelihood(self, z: Array) -> float:
        """Return the log density of the coordinates that were seen, summed over units z, (n, p), NaN where not."""
        total = 0.0
        for row in z:
            seen = np.flatnonzero(np.isfinite(row))
            root = np.linalg.cholesky(self.covariance[np.ix_(seen, seen)])
            whitened = np.linalg.solve(root, row[seen] - self.mean[seen])
            total -= 0.5 * float(whitened @ whitened) + float(np.log(np.diag(root)).sum())
        return total

    def given(self, crossed: NDArray[np.bool_], which: int = -1) -> Conditional:
        """Return coordinate `which`, by default the last, given those where crossed, (p - 1,), is True."""
        c = np.flatnonzero(crossed)
        gain = np.linalg.solve(self.covariance[np.ix_(c, c)], self.covariance[c, which])
        variance = float(self.covariance[which, which] - gain @ self.covariance[c, which])
        shared = float(self.covariance[which, -1] - gain @ self.covariance[c, -1])
        sd = max(variance, NUGGET) ** 0.5
        return Conditional(gain, self.mean[c], float(self.mean[which]), sd, shared / sd)

    def told(self, patterns: NDArray[np.bool_]) -> tuple[Conditionals, Conditionals]:
        """Return the last coordinate, and the one after the last crossed, as patterns (k, p - 1) tell them.

        What a pattern tells is kept; where all are crossed, the one that follows is the last.
        """
        if len(self._told) + len(patterns) > REMEMBERED:
            self._told.clear()
        rows = []
        for pattern in patterns:
            key = pattern.tobytes()
            row = self._told.get(key)  # looked up once: another thread may clear what is kept
            if row is None:
                row = self._told[key] = np.array([self._row(pattern, -1), self._row(pattern, following(pattern))])
            rows.append(row)
        table = np.array(rows).reshape(len(patterns), 2, self.mean.size + 2).transpose(1, 2, 0)
        end, coming = (
            Conditionals(np.ascontiguousarray(one[:-3], dtype=np.float32), *np.ascontiguousarray(one[-3:]))
            for one in table
        )
        return end, coming

    def _row(self, pattern: NDArray[np.bool_], which: int) -> Array:
        given = self.given(pattern, which)
        gain = np.zeros(pattern.size)
        gain[pattern] = given.gain
        return np.array([*gain, given.base, given.sd, given.slope])


def following(pattern: NDArray[np.bool_]) -> int:
    """Return the coordinate after the last that is True."""
    return int(np.flatnonzero(pattern)[-1]) + 1 if pattern.any() else 0


def choose(z: Array, now: Array) -> Prior:
    """Return the prior under which units left out are likeliest, at what they crossed; the first one for few units.

    A shrinkage chosen by held-out likelihood (Friedman 1989, "Regularized discriminant analysis", JASA 84).
    """
    if z.shape[0] < 2 * FOLDS:
        return PRIORS[0]
    order = np.lexsort(np.column_stack([z, now]).T)
    z, now = z[order], now[order]
    fold = np.arange(z.shape[0]) % FOLDS
    scores = np.zeros(len(PRIORS))
    for out in range(FOLDS):
        for place, prior in enumerate(PRIORS):
            try:
                law = fit(z[fold != out], now[fold != out], prior=prior, rounds=20)
            except TooFew:
                break
            scores[place] += law.likelihood(z[fold == out])
    return PRIORS[int(np.argmax(scores))]


def fit(z: Array, now: Array, *, prior: Prior = PRIORS[0], rounds: int = 60, tolerance: float = 1e-5) -> Gaussian:
    """Fit by expectation-maximisation (Dempster, Laird & Rubin 1977) to z (m, p), NaN where not crossed.

    now: (m,) log exposure of the units still running, NaN for those that ended: the first missing coordinate of such a
    unit lies beyond it, a truncated normal of which two moments are kept, and the later ones follow by regression.
    Covariances are shrunk at each round: correlations to those of a random walk (prior), variances to PRIOR_SD
    (one unit). Raises TooFew unless every coordinate was seen in at least two units.
    """
    m, p = z.shape
    if m == 0 or (np.isfinite(z).sum(axis=0) < LEAST).any():
        raise TooFew("each level and the end of life must have been reached by at least two units")
    order = np.lexsort(np.column_stack([z, now]).T)
    z, now = z[order], now[order]
    mean = np.nanmean(z, axis=0)
    covariance = _shrunk(np.diag(np.nanvar(z, axis=0)), m, prior)
    missing = np.isnan(z)
    patterns, member = np.unique(missing, axis=0, return_inverse=True)
    for _ in range(rounds):
        total, square = np.zeros(p), np.zeros((p, p))
        for index, pattern in enumerate(patterns):
            rows = np.flatnonzero(member.ravel() == index)
            expected, extra = _expect(z[rows], now[rows], pattern, mean, covariance)
            total += expected.sum(axis=0)
            deviation = expected - mean
            square += deviation.T @ deviation + extra
        shift = total / m - mean
        sample = square / m - np.outer(shift, shift)
        before, mean = mean, mean + shift
        covariance = _shrunk(sample, m, prior)
        if not missing.any() or float(np.abs(mean - before).max()) < tolerance:
            break
    return Gaussian(mean, covariance)


def expected(z: Array, now: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Return z, (m, p), with what is missing as expected under a law, and the summed covariance of it, (p, p)."""
    filled, square = z.copy(), np.zeros_like(covariance)
    patterns, member = np.unique(np.isnan(z), axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        rows = np.flatnonzero(member.ravel() == index)
        filled[rows], extra = _expect(z[rows], now[rows], pattern, mean, covariance)
        square += extra
    return filled, square


def beyond(alpha: Array) -> tuple[Array, Array]:
    """Return by how much a standard normal's mean rises, and its variance falls, once it is known to exceed alpha."""
    bounded = np.clip(alpha, -30.0, 30.0)
    mills = np.exp(-0.5 * bounded**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(-bounded))
    return mills, mills * (mills - bounded)


def _expect(z: Array, now: Array, pattern: NDArray[np.bool_], mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Return E[z | seen, beyond now], (r, p), and the summed conditional covariance, (p, p), of rows of one pattern."""
    filled, extra = z.copy(), np.zeros_like(covariance)
    gaps, seen = np.flatnonzero(pattern), np.flatnonzero(~pattern)
    if not gaps.size:
        return filled, extra
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gaps)])
    rest = covariance[np.ix_(gaps, gaps)] - covariance[np.ix_(gaps, seen)] @ gain
    expected = mean[gaps] + (z[:, seen] - mean[seen]) @ gain
    # Truncation of the first gap at now: E moves by sd * lambda, its variance shrinks by lambda (lambda - alpha).
    sd = rest[0, 0] ** 0.5
    running = np.isfinite(now)
    alpha = np.where(running, (np.where(running, now, 0.0) - expected[:, 0]) / sd, -np.inf)
    mills, drop = beyond(alpha)
    slope = rest[:, 0] / sd
    filled[:, gaps] = expected + mills[:, None] * slope
    extra[np.ix_(gaps, gaps)] = z.shape[0] * rest - drop.sum() * np.outer(slope, slope)
    return filled, extra


def _shrunk(sample: Array, m: int, prior: Prior) -> Array:
    p = sample.shape[0]
    variance = (m * np.diag(sample) + PRIOR_SD**2) / (m + 1.0)
    scale = np.sqrt(np.maximum(np.diag(sample), 1e-12))
    correlation = sample / np.outer(scale, scale)
    steps = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    share = prior.units / (m + prior.units)
    mixed = (1.0 - share) * correlation + share * prior.correlation**steps
    np.fill_diagonal(mixed, 1.0)
    sd = np.sqrt(variance)
    return np.asarray(mixed * np.outer(sd, sd) + NUGGET * np.eye(p))
