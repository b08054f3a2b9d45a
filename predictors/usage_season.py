"""The yearly cycle of each unit, shrunk to that of its cohort.

Weekly log use is y_k = level_k + B_k' c + e_k. A filter of the local level (Kalman 1960), run alike over y and over
each wave in B, leaves innovations that no longer resemble each other (generalised least squares, Harvey 1989, section
3.4): the coefficients c follow from regressing one on the others; where a regime begins it begins anew. Huber's weights
(1964) bound what a change of regime can do. Over the cohort c has a multivariate t-distribution (Lange, Little & Taylor
1989); posterior and, in `learn`, the cohort's mean and scale by expectation-maximisation (Dempster, Laird & Rubin
1977).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from predictors.batch import Array

CLIP = 2.0  # standard deviations beyond which an innovation has no more weight
MOST_OF_A_YEAR = 36  # weeks, from which a unit may have a season unlike its cohort's
LEAST_WEEKS = 12  # below which a unit teaches its cohort nothing of the season
PRIOR_SD = 0.15  # of each coefficient before anything is learned
WAVES = 4
TAIL = 4.0  # degrees of freedom: a few units of any cohort have a season of their own
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Season:
    """Hold the coefficients of the waves: mean (n, 4) or (4,), cov (n, 4, 4) or (4, 4)."""

    mean: Array
    cov: Array

    @classmethod
    def unknown(cls) -> "Season":
        """Return a cohort of which nothing is known: no season, a seventh more or less of each wave."""
        return cls(np.zeros(WAVES), PRIOR_SD**2 * np.eye(WAVES))

    def of(self, n: int) -> "Season":
        """Return the cohort's season for each of n units."""
        return Season(np.broadcast_to(self.mean, (n, WAVES)), np.broadcast_to(self.cov, (n, WAVES, WAVES)))


def fit(y: Array, waves: Array, noise: Array, cohort: Season, *, new: NDArray[np.bool_], walk: float) -> Season:
    """Return each unit's season given its cohort's.

    y: (n, K) weekly log use, NaN not known. waves: (n, K, 4). noise: (n,) variance of a week about the level. new: (n,
    K) True where a regime began. walk: variance that the level gains a week.
    """
    n = y.shape[0]
    step, across, variance = _innovations(y, waves, noise, new=new, walk=walk)
    precision = np.asarray(np.linalg.inv(cohort.cov), dtype=np.float64)
    mean, cov = cohort.of(n).mean, cohort.of(n).cov
    heavy, whole = np.ones(n), np.isfinite(y).sum(axis=1) >= MOST_OF_A_YEAR
    for _ in range(ROUNDS):
        error = np.abs(step - np.einsum("nki,ni->nk", across, mean)) / np.sqrt(variance)
        weighted = across * (np.minimum(1.0, CLIP / np.maximum(error, CLIP)) / variance)[:, :, None]
        prior = heavy[:, None, None] * precision
        cov = np.linalg.inv(np.swapaxes(weighted, 1, 2) @ across + prior)
        mean = np.einsum("nij,nj->ni", cov, np.einsum("nki,nk->ni", weighted, step) + prior @ cohort.mean)
        heavy = np.where(whole, _weight(mean - cohort.mean, cov, precision), 1.0)
    return Season(mean, cov)


def occam(units: Season, cohort: Season) -> Array:
    """Return by how much a season fitted to the data flatters its log-likelihood, (n,), below zero (Laplace 1774).

    log t(c) + 1/2 log |2 pi V|, with c the coefficients, V their posterior covariance and t the cohort's distribution.
    """
    off = units.mean - cohort.mean
    far = np.einsum("ni,ij,nj->n", off, np.linalg.inv(cohort.cov), off)
    volume = np.linalg.slogdet(units.cov)[1] - np.linalg.slogdet(cohort.cov)[1]
    tail = 0.5 * (TAIL + WAVES) * np.log1p(far / TAIL)
    level = gammaln(0.5 * (TAIL + WAVES)) - gammaln(0.5 * TAIL) - 0.5 * WAVES * np.log(TAIL / 2.0)
    return np.asarray(level - tail + 0.5 * volume)


def _weight(off: Array, cov: Array, precision: Array) -> Array:
    """Return how far the cohort binds each unit, (n,): the less, the further it is from it (weights of a t)."""
    far = np.einsum("ni,ij,nj->n", off, precision, off) + np.einsum("nij,ij->n", cov, precision)
    return np.asarray((TAIL + WAVES) / (TAIL + far))


def _innovations(
    y: Array, waves: Array, noise: Array, *, new: NDArray[np.bool_], walk: float
) -> tuple[Array, Array, Array]:
    """Return the innovations of y (n, K) and of the waves (n, K, 4), zero where not known, and their variance."""
    n, weeks = y.shape
    both = np.concatenate([y[:, :, None], waves], axis=2)
    level, var, begun = np.zeros((n, both.shape[2])), np.zeros(n), np.zeros(n, dtype=bool)
    out, variance = np.zeros_like(both), np.ones((n, weeks))
    for k in range(weeks):
        known = np.isfinite(y[:, k])
        begun &= ~new[:, k]
        fresh, later = known & ~begun, known & begun
        error = np.where(known[:, None], both[:, k] - level, 0.0)
        out[later, k], variance[later, k] = error[later], (var + noise)[later]
        gain = np.where(fresh, 1.0, np.where(later, var / (var + noise), 0.0))
        level += gain[:, None] * error
        var = np.where(fresh, noise, (1.0 - gain) * var) + walk
        begun |= known
    return out[:, :, 0], out[:, :, 1:], variance


def learn(y: Array, waves: Array, noise: Array, *, new: NDArray[np.bool_], walk: float, rounds: int = 8) -> Season:
    """Return the season of a cohort; that of `Season.unknown` where nothing tells of it."""
    season = Season.unknown()
    told = np.isfinite(y).sum(axis=1) >= LEAST_WEEKS
    if told.sum() < 2:
        return season
    y, waves, noise, new = y[told], waves[told], noise[told], new[told]
    for _ in range(rounds):
        units = fit(y, waves, noise, season, new=new, walk=walk)
        mean = units.mean.mean(axis=0)
        centred = units.mean - mean
        weight = _weight(centred, units.cov, np.asarray(np.linalg.inv(season.cov), dtype=np.float64))[:, None]
        spread = np.diag((weight * (centred**2 + np.einsum("nii->ni", units.cov))).mean(axis=0))
        # Worth five units of not knowing, so that a small cohort does not believe in having no spread.
        season = Season(mean, (y.shape[0] * spread + 5.0 * PRIOR_SD**2 * np.eye(WAVES)) / (y.shape[0] + 5.0))
    return season
