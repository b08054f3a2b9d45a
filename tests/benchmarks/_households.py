"""Simulated households over years: seasons, holidays, moves, weekend homes, units that are new."""

from dataclasses import dataclass, replace

import numpy as np

KINDS = ("steady", "seasonal", "moving", "weekend", "new")
SHARES = (0.35, 0.2, 0.2, 0.15, 0.1)
START_WEEKDAY = 3  # 1 January of the first year
YEAR = 365


@dataclass(frozen=True, slots=True)
class Households:
    """Hold n households over T days from 1 January.

    kind: (n,) index into KINDS. use: (n, T) hours a day. born: (n,) first day. jumps: (n, T) of the log level.
    """

    kind: np.ndarray
    use: np.ndarray
    born: np.ndarray
    jumps: np.ndarray

    def seen(self, origin: int, last: int = 400) -> np.ndarray:
        """Return what is known on the morning of day `origin`, (n, at most last); NaN before a unit was there."""
        first = max(origin - last, 0)
        days = np.arange(first, origin)
        return np.where(days >= self.born[:, None], self.use[:, first:origin], np.nan)


def weekday(day: int) -> int:
    """Return the weekday of a day, 0 = Monday."""
    return (START_WEEKDAY + day) % 7


def simulate(n: int, days: int, rng: np.random.Generator, origin: int | None = None) -> Households:
    """Return n households; the new ones came one to eight weeks before `origin`."""
    kind = rng.choice(len(KINDS), n, p=SHARES)
    day = np.arange(days)
    is_kind = {name: kind == i for i, name in enumerate(KINDS)}
    level = np.log(5.0) + 0.5 * rng.standard_normal(n)
    # The level drifts by some 14 % a year, and jumps: rarely at home, about once in nine months with those who move.
    log_use = level[:, None] + 0.02 / np.sqrt(7.0) * rng.standard_normal((n, days)).cumsum(axis=1)
    rate = np.where(is_kind["moving"], 1.0 / 270.0, 1.0 / 3000.0)
    jumps = (rng.random((n, days)) < rate[:, None]) * 0.55 * rng.standard_normal((n, days))
    log_use += jumps.cumsum(axis=1)
    # Winter's use is higher, by a different amount in each house; seasonal units much more, at their own time of year.
    amplitude = np.where(is_kind["seasonal"], 0.7, 0.15) * np.exp(0.3 * rng.standard_normal(n))
    peak = np.where(is_kind["seasonal"], rng.normal(30.0, 25.0, n), rng.normal(15.0, 20.0, n))
    log_use += amplitude[:, None] * np.cos(2 * np.pi * (day - peak[:, None]) / 365.25)
    # Days resemble the day before.
    noise = np.empty((n, days))
    noise[:, 0] = rng.standard_normal(n)
    for t in range(1, days):
        noise[:, t] = 0.4 * noise[:, t - 1] + np.sqrt(1 - 0.16) * rng.standard_normal(n)
    log_use += rng.uniform(0.2, 0.5, n)[:, None] * noise
    of_week = (START_WEEKDAY + day) % 7
    habit = 1.0 + np.where(of_week >= 5, 1.0, -0.4)[None, :] * 0.35 * rng.standard_normal(n)[:, None]
    use = np.minimum(np.exp(log_use) * np.clip(habit, 0.2, 3.0), 24.0)
    use[_away(n, days, rng)] = 0.0
    # A weekend home is visited on three weekends in five, less in winter; then it runs from Friday to Sunday.
    weekend = is_kind["weekend"]
    week = (START_WEEKDAY + day) // 7
    warm = 0.6 - 0.2 * np.cos(2 * np.pi * day / 365.25)
    visits = rng.random((n, week[-1] + 1))[:, week] < warm
    use[weekend] = np.where(visits[weekend] & (of_week >= 4), np.minimum(2.0 * use[weekend], 24.0), 0.0)
    born = np.where(is_kind["new"], (origin or 0) - rng.integers(5, 57, n), 0)
    return Households(kind, use, born, jumps)


def heated(houses: Households, rng: np.random.Generator, weather: np.ndarray) -> Households:
    """Return the same households with use doubled overnight each autumn, and halved each spring.

    weather: (years + 1, 2) days by which each winter's beginning and end come late, for all of them; each household
    follows within a week or so.
    """
    n, days = houses.use.shape
    day = np.arange(days)
    late = rng.normal(0.0, 7.0, (2, n, 1))
    on = np.zeros((n, days), dtype=bool)
    for winter, (begins, ends) in enumerate(weather):
        first = (winter - 1) * YEAR
        on |= (day >= first + 280 + begins + late[0]) & (day < first + YEAR + 105 + ends + late[1])
    return replace(houses, use=np.minimum(houses.use * np.where(on, np.sqrt(2.0), np.sqrt(0.5)), 24.0))


def _away(n: int, days: int, rng: np.random.Generator) -> np.ndarray:
    """Return the days of holidays: summer for most, Christmas for half, long weekends, an odd fortnight."""
    away = np.zeros((n, days), dtype=bool)
    for year in range(-(-days // YEAR)):
        trips = [
            (rng.normal(205, 18, n), rng.integers(7, 22, n), rng.random(n) < 0.75),
            (rng.normal(355, 3, n), rng.integers(4, 12, n), rng.random(n) < 0.4),
            (rng.uniform(0, 365, n), rng.integers(5, 16, n), rng.random(n) < 0.4),
            *[(rng.uniform(0, 365, n), rng.integers(2, 5, n), rng.random(n) < 0.7) for _ in range(3)],
        ]
        for start, length, goes in trips:
            since = np.arange(days)[None, :] - (year * YEAR + start[:, None])
            away |= (since >= 0) & (since < length[:, None]) & goes[:, None]
    return away
