"""What the history of each unit says: its level, season and habits, and whether its use has changed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.usage_cohort import UseCohort
from predictors.usage_days import WEEK, DailyUse
from predictors.usage_level import Level, track
from predictors.usage_presence import Presence, habits
from predictors.usage_season import MOST_OF_A_YEAR, Season, fit, occam
from predictors.usage_weeks import Weekly, noise

HAZARD_WEIGHT = 52.0  # weeks that the cohort's changes are worth
HOME_WEIGHT = 8.0  # weeks that the cohort's level is worth as that of a regime to come
NEW_REGIME = 0.3  # chance that a regime began in a week, from which the season is fitted on each side of it alone
CHANGED = 0.5  # chance from which a change is told
WORTH_TELLING = 0.22  # of the log level: a quarter more or a fifth less
LATEST_CHANGE = 26  # weeks: what changed before that is what the unit is used to


@dataclass(frozen=True, slots=True)
class Known:
    """Hold what is known of n units at the end of their histories.

    noise: (n,) variance of a week about the level. home: (n,) log level of a regime to come. hazard: (n,) changes of
    regime a week.
    """

    weekly: Weekly
    noise: Array
    season: Season
    home: Array
    presence: Presence
    level: Level
    hazard: Array


def know(daily: DailyUse, cohort: UseCohort) -> Known:
    """Return level, season and habits of each unit, shrunk to its cohort."""
    weekly = Weekly.of(daily, cohort.profile, float(np.exp(cohort.level))).without(cohort.steps)
    n = len(daily)
    spread = noise(weekly.ordinary, cohort.noise)
    of_week = spread[:, None] * WEEK / np.maximum(weekly.days, 1.0)
    first = (np.full(n, cohort.level), np.full(n, cohort.level_sd**2))
    weeks = np.isfinite(weekly.use).sum(axis=1)

    def tracked(season: Season, presence: Presence) -> tuple[Level, Array]:
        flat = weekly.y - np.einsum("nki,ni->nk", weekly.waves, season.mean)
        home = _home(flat, weekly.busy, cohort.level)
        level = track(
            flat,
            of_week,
            walk=cohort.walk,
            hazard=cohort.hazard,
            first=first,
            again=home,
            presence=presence,
        )
        return level, home

    # A step may look like the side of a wave, and a wave like two steps: what is likelier, a season of one's own or
    # changes of regime in the cohort's? Then the season is fitted between the changes alone.
    nothing = np.zeros(weekly.y.shape, dtype=bool)
    presence = Presence.of(n, cohort)
    own = fit(weekly.ordinary, weekly.waves, spread, cohort.season, new=nothing, walk=cohort.walk)
    (usual, _), (waved, _) = (tracked(season, presence) for season in (cohort.season.of(n), own))
    likelier = waved.evidence + occam(own, cohort.season) > usual.evidence
    seasonal = (likelier & (weeks >= MOST_OF_A_YEAR))[:, None]
    away = np.where(seasonal, waved.away, usual.away)
    new = np.where(seasonal, np.maximum(waved.jumps, waved.began), np.maximum(usual.jumps, usual.began))
    presence = habits(away, np.isfinite(weekly.use), cohort)
    season = fit(weekly.ordinary, weekly.waves, spread, cohort.season, new=new > NEW_REGIME, walk=cohort.walk)
    level, home = tracked(season, presence)
    hazard = (HAZARD_WEIGHT * cohort.hazard + level.jumps.sum(axis=1)) / (HAZARD_WEIGHT + weeks)
    return Known(weekly, spread, season, home, presence, level, hazard)


def changed(known: Known) -> tuple[Array, Array]:
    """Return days since the present regime began and the ratio of levels, (n,) each; NaN where no change is sure."""
    began, path = known.level.began, known.level.path
    n, weeks = began.shape
    nothing = np.full(n, np.nan)
    if weeks < 3:
        return nothing, nothing
    recent = began[:, -LATEST_CHANGE:]
    start = weeks - recent.shape[1] + recent.argmax(axis=1)
    before = np.take_along_axis(path, np.maximum(start - 1, 0)[:, None], axis=1)[:, 0]
    size = known.level.mean - before
    with np.errstate(invalid="ignore"):
        told = (recent.sum(axis=1) > CHANGED) & (start > 0) & (np.abs(size) > WORTH_TELLING)
    return np.where(told, WEEK * (weeks - start), np.nan), np.exp(np.where(told, size, np.nan))


def _home(flat: Array, busy: NDArray[np.bool_], cohort: float) -> Array:
    """Return the level of a regime to come, (n,): the mean of the past, shrunk to the cohort."""
    return np.asarray((np.where(busy, flat, 0.0).sum(axis=1) + HOME_WEIGHT * cohort) / (busy.sum(axis=1) + HOME_WEIGHT))
