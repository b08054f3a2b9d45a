"""Weekly use of many units on the log scale, and how regular it is."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.usage_days import WEEK, YEAR_D, DailyUse, harmonics, middles

FLOOR = 0.02  # of a unit's typical week, added before the logarithm
BUSY = 0.3  # of a typical week, from which a week counts as one of use
MEDIAN_CHI2 = 0.4549  # the median of a chi-squared variable with one degree of freedom
NOISE_WEIGHT = 8.0  # differences that the cohort's noise is worth
EFFICIENCY = 0.4  # of a median as an estimate of a variance
WEEKS_OF_YEAR = 52


@dataclass(frozen=True, slots=True)
class Weekly:
    """Hold K weeks of n units, oldest first.

    use: (n, K) exposure per week, NaN not known. days: (n, K) days known of each. y: (n, K) log of use and a little.
    busy: (n, K) True in weeks of ordinary use. waves: (n, K, 4) the yearly waves in the middle of each week, and
    week: (n, K) of the year it lies in. common: (n, K) what was taken out of y because all units have it.
    """

    use: Array
    days: Array
    y: Array
    busy: NDArray[np.bool_]
    waves: Array
    week: NDArray[np.int64]
    common: Array

    @classmethod
    def of(cls, daily: DailyUse, profile: Array, typical: float) -> "Weekly":
        """Return the weeks of a history; `typical` is the week of a unit that was never used."""
        use, days = daily.weeks(profile)
        ordered = np.sort(np.where(use > 0, use, np.inf), axis=1)
        used = np.isfinite(ordered).sum(axis=1)
        middle = np.take_along_axis(ordered, np.maximum(used - 1, 0)[:, None] // 2, axis=1) if use.shape[1] else ordered
        own = np.where(used > 0, middle[:, 0] if use.shape[1] else typical, typical)[:, None]
        with np.errstate(invalid="ignore"):
            busy = use > BUSY * own
        middle_days = middles(daily, -use.shape[1], use.shape[1])
        return cls(
            use,
            days,
            np.log(use + FLOOR * own),
            busy,
            harmonics(middle_days),
            week_of_year(middle_days),
            np.zeros(use.shape),
        )

    def without(self, steps: Array) -> "Weekly":
        """Return the same weeks with what all have in common by week of the year, (52,), taken out of the logarithm."""
        return replace(self, y=self.y - steps[self.week], common=steps[self.week])

    @property
    def ordinary(self) -> Array:
        """Return log use in busy weeks, NaN in the others, (n, K)."""
        return np.where(self.busy, self.y, np.nan)


def spread(y: Array, lag: int) -> tuple[Array, Array]:
    """Return the variance of differences `lag` weeks apart by their median square, (n,), and how many there were."""
    n, weeks = y.shape
    if weeks <= lag:
        return np.full(n, np.nan), np.zeros(n)
    squares = np.sort((y[:, lag:] - y[:, :-lag]) ** 2, axis=1)  # NaN last
    count = np.isfinite(squares).sum(axis=1)
    ends = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(squares, np.minimum(i, weeks - lag - 1)[:, None], axis=1)[:, 0] for i in ends)
    return np.where(count > 0, 0.5 * (low + high) / MEDIAN_CHI2, np.nan), count.astype(np.float64)


def noise(y: Array, cohort: float) -> Array:
    """Return each unit's variance of a week about its level, (n,), shrunk to the cohort's."""
    twice, count = spread(y, 2)
    informative = EFFICIENCY * count
    own = np.where(count > 0, 0.5 * np.where(count > 0, twice, 0.0), 0.0)
    return np.asarray((NOISE_WEIGHT * cohort + informative * np.minimum(own, 1.0)) / (NOISE_WEIGHT + informative))


def week_of_year(yearday: Array) -> NDArray[np.int64]:
    """Return the week of the year, 0 to 51, of days of the year."""
    return (np.asarray(yearday) % YEAR_D / WEEK).astype(np.int64) % WEEKS_OF_YEAR
