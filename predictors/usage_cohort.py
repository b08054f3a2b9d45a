"""What a cohort's use is like: the prior that each unit's own history is shrunk to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from predictors.artifact import DamagedArtifact
from predictors.batch import Array
from predictors.usage_days import WEEK
from predictors.usage_season import WAVES, Season
from predictors.usage_weeks import WEEKS_OF_YEAR

KNOTS = (1, 2, 3, 5, 7, 14, 28, 56, 91, 119, 147, 182, 231, 273, 322, 364, 546, 728)
"""Days from the last one known at which cumulative use is forecast; from a week on in whole weeks."""

GROUPS = 4  # of units whose spread is calibrated apart: regular, changed of late, often away, new
LEVEL_SD = 1.0  # of the log level of units of which only the declared use is known
NOISE = 0.06  # variance of a week's log use about its level
WALK = 0.0004  # a week: 14 % over a year
HAZARD = 1.0 / 104.0  # changes of regime a week: one in two years
AWAY, STAY = 0.06, 0.4  # share of weeks away, and the chance that one follows another
AWAY_WEIGHT = 12.0  # weeks that the cohort's share is worth


@dataclass(frozen=True, slots=True)
class UseCohort:
    """Hold a cohort's numbers; exposure in the unit of the histories.

    level, level_sd: mean and standard deviation over units of log use per week. noise: variance of a week about it.
    walk: variance that a level gains a week. season: the waves of log use. steps: (52,) what all have in
    common beside waves, by week of the year. hazard: changes of regime a week. away:
    share of weeks away, away_weight: how many weeks that is worth, stay: chance that one follows another. away_by_week:
    (52,) share of weeks away by week of the year, over its mean. profile: (7,) use by weekday from Monday, mean 1.
    scale: (4, k) by which the spread at each of KNOTS is multiplied, learned by looking back. units: how many units
    taught it.
    """

    level: float
    level_sd: float = LEVEL_SD
    noise: float = NOISE
    walk: float = WALK
    season: Season = field(default_factory=Season.unknown)
    hazard: float = HAZARD
    away: float = AWAY
    away_weight: float = AWAY_WEIGHT
    stay: float = STAY
    steps: Array = field(default_factory=lambda: np.zeros(WEEKS_OF_YEAR))
    away_by_week: Array = field(default_factory=lambda: np.ones(WEEKS_OF_YEAR))
    profile: Array = field(default_factory=lambda: np.ones(WEEK))
    scale: Array = field(default_factory=lambda: np.ones((GROUPS, len(KNOTS))))
    units: int = 0

    @classmethod
    def declared(cls, per_day: float) -> "UseCohort":
        """Return a cohort of which only the maker's expected use per day is known."""
        if not (np.isfinite(per_day) and per_day > 0):
            raise ValueError(f"use per day must be a positive number, not {per_day!r}")
        return cls(float(np.log(WEEK * per_day)))

    def with_scale(self, scale: Array) -> "UseCohort":
        """Return the same cohort with another calibration."""
        return replace(self, scale=scale)

    def written(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        numbers = {name: getattr(self, name) for name in (*NUMBERS, "units")}
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        return {**numbers, **arrays, "season": {"mean": self.season.mean.tolist(), "cov": self.season.cov.tolist()}}

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "UseCohort":
        """Return what `written` wrote; raise DamagedArtifact where that cannot be."""
        try:
            numbers = {name: float(written[name]) for name in NUMBERS}
            # Written before there were steps, a cohort has none.
            told = {"steps": [0.0] * WEEKS_OF_YEAR, **written}
            arrays = {name: np.array(told[name], dtype=np.float64) for name in ARRAYS}
            season = Season(*(np.array(written["season"][name], dtype=np.float64) for name in ("mean", "cov")))
            units = int(written["units"])
        except (KeyError, TypeError, ValueError) as broken:
            raise DamagedArtifact(f"artifact's use cohort cannot be read: {broken}") from broken
        if arrays["scale"].shape == (GROUPS - 1, len(KNOTS)):  # learned before the new were a group of their own
            arrays["scale"] = np.concatenate([arrays["scale"], arrays["scale"][:1]])
        shapes = {
            "steps": (WEEKS_OF_YEAR,),
            "away_by_week": (WEEKS_OF_YEAR,),
            "profile": (WEEK,),
            "scale": (GROUPS, len(KNOTS)),
        }
        sound = all(arrays[name].shape == shape for name, shape in shapes.items())
        sound &= season.mean.shape == (WAVES,) and season.cov.shape == (WAVES, WAVES)
        every = [*arrays.values(), season.mean, season.cov, np.array(list(numbers.values()))]
        if not (sound and all(np.isfinite(values).all() for values in every)):
            raise DamagedArtifact("artifact's use cohort has numbers that cannot be")
        learned: dict[str, Any] = {**numbers, **arrays}
        return cls(**learned, season=season, units=units)


NUMBERS = ("level", "level_sd", "noise", "walk", "hazard", "away", "away_weight", "stay")
ARRAYS = ("steps", "away_by_week", "profile", "scale")
