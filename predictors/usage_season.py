"""The yearly cycle of each unit, shrunk to that of its cohort.

Weekly log use is y_k = level_k + B_k' c + e_k. A filter of the local level (Kalman 1960), run alike over y and over each
wave in B, leaves innovations that no longer resemble each other (generalised least squares, Harvey 1989, section 3.4):
the coefficients c follow from regressing one on the others. Huber's weights (1964) bound what a change of regime can do.
c ~ N(mean, cov) over the cohort; posterior and, in `learn`, the cohort's mean and covariance by expectation-maximisation
(Dempster, Laird & Rubin 1977).
"""

from dataclasses import dataclass

import numpy as np

from predictors.batch import Array

CLIP = 2.0  # standard deviations beyond which an innovation has no more weight
LEAST_WEEKS = 12  # below which a unit teaches its cohort nothing of the season
PRIOR_SD = 0.15  # of each coefficient before anything is learned
WAVES = 4


@dataclass(frozen=True, slots=True)
class Season:
    """Hold the coefficients of the waves: mean (n, 4) or (4,), cov (n, 4, 4) or (4, 4)."""

    mean: Array
    cov: Array

    @classmethod
    def unknown(cls) -> "Season":
        """Return a cohort of which nothing is known: no season, a seventh more or less of each wave."""
        return cls(np.zeros(WAVES), PRIOR_SD**2 * np.eye(WAVES))


def fit(y: Array, waves: Array, noise: Array, walk: float, cohort: Season) -> Season:
    """Return each unit's season given its cohort's.

    y: (n, K) weekly log use, NaN not known. waves: (n, K, 4). noise: (n,) variance of a week about the level. walk:
    variance that the level gains a week, changes of regime included.
    """
    n = y.shape[0]
    step, across, variance = _innovations(y, waves, noise, walk)
    precision = np.linalg.inv(cohort.cov)
    mean = np.broadcast_to(cohort.mean, (n, WAVES))
    cov = np.broadcast_to(cohort.cov, (n, WAVES, WAVES))
    for _ in range(2):
        error = np.abs(step - np.einsum("nki,ni->nk", across, mean)) / np.sqrt(variance)
        weighted = across * (np.minimum(1.0, CLIP / np.maximum(error, CLIP)) / variance)[:, :, None]
        cov = np.linalg.inv(np.swapaxes(weighted, 1, 2) @ across + precision)
        mean = np.einsum("nij,nj->ni", cov, np.einsum("nki,nk->ni", weighted, step) + precision @ cohort.mean)
    return Season(mean, cov)


def _innovations(y: Array, waves: Array, noise: Array, walk: float) -> tuple[Array, Array, Array]:
    """Return the innovations of y (n, K) and of the waves (n, K, 4), zero where nothing is known, and their variance."""
    n, weeks = y.shape
    both = np.concatenate([y[:, :, None], waves], axis=2)
    level, var, begun = np.zeros((n, both.shape[2])), np.zeros(n), np.zeros(n, dtype=bool)
    out, variance = np.zeros_like(both), np.ones((n, weeks))
    for k in range(weeks):
        known = np.isfinite(y[:, k])
        fresh, later = known & ~begun, known & begun
        error = np.where(known[:, None], both[:, k] - level, 0.0)
        out[later, k], variance[later, k] = error[later], (var + noise)[later]
        gain = np.where(fresh, 1.0, np.where(later, var / (var + noise), 0.0))
        level += gain[:, None] * error
        var = np.where(fresh, noise, (1.0 - gain) * var) + walk
        begun |= known
    return out[:, :, 0], out[:, :, 1:], variance


def learn(y: Array, waves: Array, noise: Array, walk: float, rounds: int = 8) -> Season:
    """Return the season of a cohort; that of `Season.unknown` where nothing tells of it."""
    season = Season.unknown()
    told = np.isfinite(y).sum(axis=1) >= LEAST_WEEKS
    if told.sum() < 2:
        return season
    y, waves, noise = y[told], waves[told], noise[told]
    for _ in range(rounds):
        units = fit(y, waves, noise, walk, season)
        mean = units.mean.mean(axis=0)
        centred = units.mean - mean
        spread = np.diag((centred**2 + np.einsum("nii->ni", units.cov)).mean(axis=0))
        # Worth five units of not knowing, so that a small cohort does not believe in having no spread.
        season = Season(mean, (y.shape[0] * spread + 5.0 * PRIOR_SD**2 * np.eye(WAVES)) / (y.shape[0] + 5.0))
    return season
