"""Who is away, how often, for how long and at what time of the year: weeks of no use beside weeks of use.

The share of weeks away is Beta-shrunk to the cohort's; holidays take the same share of the weeks in which each unit
would otherwise be used; and each unit has a yearly wave of its own, a ridge regression of being away on it (a home that
is closed in winter). Being away now fades as a two-state Markov chain forgets: by stay - leave a week.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.usage_cohort import UseCohort

STAY_WEIGHT = 4.0  # weeks away that the cohort's chance of another is worth
WAVE_SD = 0.3  # of a unit's own wave, in standard deviations of one week's being away or not
OWN_WAVES = 2  # the yearly ones
LEAST, MOST = 1e-3, 0.95


@dataclass(frozen=True, slots=True)
class Presence:
    """Hold the share of weeks each unit is away in the long run, (n,), and how likely it stays another week, (n,)."""

    share: Array
    stay: Array

    @classmethod
    def of(cls, n: int, cohort: UseCohort) -> "Presence":
        """Return the cohort's habits for n units of which nothing is known."""
        return cls(np.full(n, cohort.away), np.full(n, cohort.stay))

    @property
    def leave(self) -> Array:
        """Return the chance of going away in a week, (n,), which makes the share last."""
        return np.asarray(np.minimum(self.share * (1.0 - self.stay) / (1.0 - self.share), MOST))

    @property
    def alike(self) -> Array:
        """Return how far a week resembles the one before it, (n,): the correlation of a two-state chain."""
        return np.asarray(np.clip(self.stay - self.leave, 0.0, MOST))

    @property
    def chain(self) -> Array:
        """Return by how much weeks that follow each other tell less than independent ones, (n,)."""
        return np.asarray((1.0 + self.alike) / (1.0 - self.alike))


def habits(away: Array, known: NDArray[np.bool_], cohort: UseCohort) -> Presence:
    """Return each unit's habits from the chance, (n, K), that it was away in the weeks that are known, (n, K)."""
    share = (cohort.away_weight * cohort.away + (known * away).sum(axis=1)) / (cohort.away_weight + known.sum(axis=1))
    then = known[:, :-1] * known[:, 1:] * away[:, :-1]
    stay = (STAY_WEIGHT * cohort.stay + (then * away[:, 1:]).sum(axis=1)) / (STAY_WEIGHT + then.sum(axis=1))
    return Presence(np.clip(share, LEAST, 0.9), np.clip(stay, share, MOST))


def usual(presence: Presence, week: NDArray[np.int64], cohort: UseCohort) -> Array:
    """Return the chance of being away in weeks of the year, (n, J), before the unit's own wave."""
    holidays = cohort.away * (cohort.away_by_week[week] - 1.0) / (1.0 - cohort.away)
    share = presence.share[:, None]
    return np.asarray(np.clip(share + (1.0 - share) * holidays, LEAST, MOST))


def wave(presence: Presence, surprise: Array, waves: Array) -> tuple[Array, Array]:
    """Return the coefficients of each unit's own wave, (n, 2), and their covariance, (n, 2, 2).

    surprise: (n, K) being away less what was usual, zero in weeks not known; waves: (n, K, 2), zero likewise.
    """
    single = np.maximum(presence.share * (1.0 - presence.share), 0.01)
    noise = (single * presence.chain)[:, None, None]
    precision = np.swapaxes(waves, 1, 2) @ waves / noise + np.eye(OWN_WAVES) / (WAVE_SD**2 * single)[:, None, None]
    cov = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    seen = np.einsum("nkj,nk->nj", waves, surprise) / noise[:, 0]
    return np.einsum("nij,nj->ni", cov, seen), cov
