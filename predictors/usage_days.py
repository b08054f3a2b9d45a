"""What was used, day by day, of many units: the input of the usage forecast."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import LEAST, UTMOST, Array

WEEK = 7
YEAR_D = 365.25
LEAST_DAYS = 3  # of a week, below which it is not known
CHUNK = 1024  # units at once: what is in hand stays in the processor's cache

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DailyUse:
    """Hold the use of n units over the last T days.

    days: (n, T) exposure or running hours of each whole day, oldest first; NaN = not known, 0 = not used.
    weekday: (n,) 0 = Monday, and yearday: (n,) 0 = 1 January, of each unit's last column.

    What cannot be (negative, infinite, absurd) is taken as not known. Raises ValueError where shapes differ.
    """

    days: Array
    weekday: Numbers
    yearday: Numbers

    @classmethod
    def of(cls, days: Array, weekday: Numbers | int, yearday: Numbers | int) -> "DailyUse":
        """Build it from anything array-like; one weekday and yearday serve all units."""
        clean = np.array(days, dtype=np.float64)
        if clean.ndim != 2:
            raise ValueError(f"days must be units by days, not {clean.shape}")
        clean[~((clean >= 0) & (clean <= UTMOST))] = np.nan
        clean[clean < LEAST] = 0.0
        n = clean.shape[:1]
        last = [np.broadcast_to(np.asarray(column, dtype=np.int64), n) for column in (weekday, yearday)]
        return cls(clean, last[0] % WEEK, last[1] % 366)

    def __len__(self) -> int:
        return len(self.days)

    def before(self, days: int) -> "DailyUse":
        """Return what was known so many days ago."""
        return DailyUse(
            self.days[:, : max(self.days.shape[1] - days, 0)],
            (self.weekday - days) % WEEK,
            (self.yearday - days) % 365,
        )

    def last(self, days: int) -> "DailyUse":
        """Return what would be known had each unit come so many days ago."""
        return DailyUse(self.days[:, max(self.days.shape[1] - days, 0) :], self.weekday, self.yearday)

    def chunks(self) -> Iterator["DailyUse"]:
        """Yield the units in turn, CHUNK at a time."""
        for start in range(0, len(self), CHUNK):
            rows = slice(start, start + CHUNK)
            yield DailyUse(self.days[rows], self.weekday[rows], self.yearday[rows])

    def weekdays(self) -> Numbers:
        """Return the weekday of each cell, (n, T)."""
        return (self.weekday[:, None] - np.arange(self.days.shape[1] - 1, -1, -1)) % WEEK

    def weeks(self, profile: Array) -> tuple[Array, Array]:
        """Return use per week, counted back from the last day, and days known of each, both (n, T // 7), oldest first.

        profile: (7,) use by weekday, mean 1, by which a week that is known in part is completed. Weeks with fewer than
        LEAST_DAYS known days are NaN.
        """
        n, count = len(self), self.days.shape[1] // WEEK
        kept = self.days[:, self.days.shape[1] - count * WEEK :].reshape(n, count, WEEK)
        known = np.isfinite(kept)
        expected = profile[self.weekdays()[:, self.days.shape[1] - count * WEEK :]].reshape(n, count, WEEK)
        share = (expected * known).sum(axis=2)
        total = np.where(known, kept, 0.0).sum(axis=2)
        days = known.sum(axis=2)
        enough = (days >= LEAST_DAYS) & (share > 0.5)
        return np.where(enough, WEEK * total / np.where(enough, share, 1.0), np.nan), days.astype(np.float64)


def harmonics(yearday: Array) -> Array:
    """Return the yearly and half-yearly waves at days of the year, (..., 4)."""
    angle = 2.0 * np.pi / YEAR_D * np.asarray(yearday, dtype=np.float64)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c, s, c * c - s * s, 2.0 * s * c], axis=-1)  # of the angle, and of twice the angle


def middles(daily: DailyUse, first: int, count: int) -> Array:
    """Return the day of the year amid `count` weeks from week `first`, (n, count); week 0 is the next one."""
    return np.asarray(daily.yearday[:, None] + 4.0 + WEEK * (first + np.arange(count)), dtype=np.float64)
