"""Where a unit lives: how long it runs in each hour of the week, and through what air."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

HOURS_OF_WEEK = 168
EPOCH_HOUR = 72  # 1970-01-01 was a Thursday; hour 0 of the week is Monday's first

# Relative use by hour of the day, from midnight: a little at night, some in the morning, most in the evening.
WORKDAY = (1, 1, 1, 1, 1, 2, 5, 7, 4, 2, 2, 2, 3, 2, 2, 3, 5, 8, 10, 10, 9, 8, 5, 2)
WEEKEND = (2, 1, 1, 1, 1, 1, 2, 4, 6, 8, 8, 8, 8, 7, 7, 7, 8, 9, 10, 10, 9, 8, 6, 4)
COOKING = {7: 1.3, 12: 1.3, 18: 1.8, 19: 1.8, 20: 1.4}  # dust by hour of the day, against the household's mean


@dataclass(frozen=True, slots=True)
class Habits:
    """The range of households: medians and spreads (of the logarithm) over units, and how regular each is."""

    run_h_per_day: float = 5.0
    run_spread: float = 0.15
    pm25: float = 12.0  # ug/m3
    pm25_spread: float = 0.15
    irregular: float = 0.5  # of the hours from week to week; 0: every week is the same


class Hour(NamedTuple):
    """One hour: how much of it the unit ran (0..1), PM2.5 (mean, ug/m3), air (°C), noise of its sensors (sigmas)."""

    ran: float
    pm25: float
    temperature: float
    noise: float


class Household:
    """One household, drawn from the habits; the same seed gives the same years, however they are cut."""

    def __init__(self, rng: np.random.Generator, habits: Habits) -> None:
        self._rng = rng
        self._irregular = habits.irregular
        self.run_h_per_day = habits.run_h_per_day * float(np.exp(rng.normal(0, habits.run_spread)))
        self.pm25 = habits.pm25 * float(np.exp(rng.normal(0, habits.pm25_spread)))
        shape = np.array((*WORKDAY * 5, *WEEKEND * 2), dtype=float) * np.exp(rng.normal(0, 0.3, HOURS_OF_WEEK))
        self.pattern = _scaled(shape, self.run_h_per_day)
        self._dust = 0.0

    def memory(self) -> dict[str, Any]:
        """Return, for JSON, what the coming weeks depend on besides the draw of the household itself."""
        return {"rng": self._rng.bit_generator.state, "dust": self._dust}

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on from a memory."""
        self._rng.bit_generator.state = memory["rng"]
        self._dust = memory["dust"]

    def hours(self, start: float, count: int) -> Iterator[Hour]:
        """Live `count` hours from `start` (Unix seconds)."""
        first = int(start // 3600) + EPOCH_HOUR
        for k, (use, dust, air, noise) in enumerate(self._rng.standard_normal((count, 4)).tolist()):
            hour = (first + k) % HOURS_OF_WEEK
            self._dust = 0.9 * self._dust + 0.15 * dust
            yield Hour(
                ran=min(1.0, self.pattern[hour] * max(0.0, 1 + self._irregular * use)),
                pm25=self.pm25 * COOKING.get(hour % 24, 0.75) * float(np.exp(self._dust)),
                temperature=21 + 0.6 * air,
                noise=noise,
            )


def _scaled(shape: np.ndarray, run_h_per_day: float) -> list[float]:
    """Scale a weekly shape so that its hours sum to the daily mean; no hour holds more than one."""
    scale = 7 * run_h_per_day / shape.sum()
    pattern = np.minimum(shape * scale, 1.0)
    for _ in range(20):
        open_hours = pattern < 1
        if not open_hours.any():
            break
        missing = 7 * run_h_per_day - pattern.sum()
        pattern = np.minimum(np.where(open_hours, pattern * (1 + missing / pattern[open_hours].sum()), 1.0), 1.0)
    return [float(p) for p in pattern]
