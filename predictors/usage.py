"""The usage forecast: how much exposure each unit will have used up by which day.

From daily use to the distribution of cumulative use C(h) over the next h days: a level per unit that drifts and changes
(usage_level.py), a yearly cycle (usage_season.py), weeks away, weekdays; each shrunk to the cohort (usage_cohort.py).

    E log C(h) = log sum over weeks j of exp(level_j + B_j' c) (1 - away_j) f
    Var log C(h) = Var(level) + drift(h) + sigma^2 / weeks + weeks away + season + f

f is the mean of use over the exponential of its modelled logarithm (Duan 1983, "Smearing estimate").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.usage_cohort import KNOTS, UseCohort
from predictors.usage_days import WEEK, DailyUse, harmonics, middles
from predictors.usage_level import JUMP_SD, Level, Presence, drift, track
from predictors.usage_season import Season, fit
from predictors.usage_weeks import Weekly, noise, week_of_year

AHEAD = KNOTS[-1] // WEEK
STAY_WEIGHT = 4.0  # weeks away that the cohort's chance of another is worth
HAZARD_WEIGHT = 52.0  # weeks that the cohort's changes are worth
FACTOR_WEIGHT = 8.0  # weeks that a factor of one is worth
HOME_WEIGHT = 8.0  # weeks that the cohort's level is worth as that of a regime to come
PROFILE_WEIGHT = 28.0  # days that the cohort's weekdays are worth
SEASON_NOW = 8  # weeks that the level now was seen in
CHANGED = 0.9  # chance from which a change is told
WORTH_TELLING = 0.22  # of the log level: a quarter more or a fifth less
LATEST_CHANGE = 26  # weeks: what changed before that is what the unit is used to

KNOT_WEEKS = np.array([knot // WEEK for knot in KNOTS if knot >= WEEK])
FIRST_DAYS = np.array([knot for knot in KNOTS if knot < WEEK])


@dataclass(frozen=True, slots=True)
class UsePath:
    """Hold the use to come of n units, counted from the end of each history.

    cumulative: (n, k) median exposure used up by each of KNOTS, above zero and rising. log_sd: (n, k) standard deviation
    of its logarithm. change_d: (n,) days since a change of use was detected, NaN none. change_ratio: (n,) level after over
    level before it. away: (n,) chance that the unit is away now. cohort_only: (n,) True where nothing of its own is known.
    """

    cumulative: Array
    log_sd: Array
    change_d: Array
    change_ratio: Array
    away: Array
    cohort_only: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Known:
    """Hold what is known of n units at the end of their histories."""

    weekly: Weekly
    noise: Array
    season: Season
    home: Array
    presence: Presence
    level: Level


def know(daily: DailyUse, cohort: UseCohort) -> Known:
    """Return level, season and habits of each unit, shrunk to its cohort."""
    weekly = Weekly.of(daily, cohort.profile, float(np.exp(cohort.level)))
    n = len(daily)
    spread = noise(weekly.ordinary, cohort.noise)
    season = fit(weekly.ordinary, weekly.waves, spread, cohort.walk + cohort.hazard * JUMP_SD**2, cohort.season)
    flat = weekly.y - np.einsum("nki,ni->nk", weekly.waves, season.mean)
    busy = weekly.busy.sum(axis=1)
    own = np.where(weekly.busy, flat, 0.0).sum(axis=1)
    home = (own + HOME_WEIGHT * cohort.level) / (busy + HOME_WEIGHT)
    of_week = spread[:, None] * WEEK / np.maximum(weekly.days, 1.0)
    first = (np.full(n, cohort.level), np.full(n, cohort.level_sd**2))
    presence = Presence(np.full(n, cohort.away), np.full(n, cohort.stay))
    for _ in range(2):  # the second time with the unit's own habits
        level = track(
            flat,
            of_week,
            walk=cohort.walk,
            hazard=cohort.hazard,
            first=first,
            again=home,
            presence=presence,
        )
        presence, before = habits(level, np.isfinite(weekly.use), cohort), presence
    presence = before
    return Known(weekly, spread, season, home, presence, level)


def habits(level: Level, known: NDArray[np.bool_], cohort: UseCohort) -> Presence:
    """Return how often each unit is away and for how long, shrunk to its cohort as a Beta prior would."""
    share = (cohort.away_weight * cohort.away + (known * level.away).sum(axis=1)) / (cohort.away_weight + known.sum(axis=1))
    both = known[:, :-1] & known[:, 1:]
    then, now = both * level.away[:, :-1], level.away[:, 1:]
    stay = (STAY_WEIGHT * cohort.stay + (then * now).sum(axis=1)) / (STAY_WEIGHT + then.sum(axis=1))
    return Presence(np.clip(share, 1e-3, 0.9), np.clip(stay, share, 0.95))


def forecast(daily: DailyUse, cohort: UseCohort) -> UsePath:
    """Return the use to come of each unit; a unit of which nothing is known gets its cohort's, flagged."""
    parts = [_forecast(chunk, cohort) for chunk in daily.chunks()]
    names = UsePath.__slots__
    if not parts:
        parts = [_forecast(daily, cohort)]
    return UsePath(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _forecast(daily: DailyUse, cohort: UseCohort) -> UsePath:
    known = know(daily, cohort)
    level, presence, n = known.level, known.presence, len(daily)
    ahead = np.arange(1, AHEAD + 1)
    days = middles(daily, 0, AHEAD)
    waves = harmonics(days)
    gone = level.away[:, -1] if level.away.shape[1] else np.zeros(n)
    # Holidays take the same share of the weeks in which each unit would otherwise be used.
    holidays = cohort.away * (cohort.away_by_week[week_of_year(days)] - 1.0) / (1.0 - cohort.away)
    usual = np.clip(presence.share[:, None] + (1.0 - presence.share[:, None]) * holidays, 0.0, 0.95)
    away = np.clip(usual + (gone - presence.share)[:, None] * presence.stay[:, None] ** ahead, 0.0, 0.99)
    weeks_seen = np.isfinite(known.weekly.use).sum(axis=1)
    hazard = (HAZARD_WEIGHT * cohort.hazard + level.changes) / (HAZARD_WEIGHT + weeks_seen)
    same = np.exp(-hazard[:, None] * ahead)
    log_level = known.home[:, None] + (level.mean - known.home)[:, None] * same
    factor, factor_var = _factor(known)
    rate = np.exp(log_level + np.einsum("nki,ni->nk", waves, known.season.mean)) * (1.0 - away) * factor[:, None]
    total = np.cumsum(rate, axis=1)[:, KNOT_WEEKS - 1]
    first = total[:, :1] * np.cumsum(_weekdays(daily, cohort), axis=1)[:, FIRST_DAYS - 1] / WEEK
    cumulative = np.maximum.accumulate(np.maximum(np.concatenate([first, total], axis=1), 1e-9), axis=1)

    weeks = KNOT_WEEKS.astype(np.float64)
    chain = np.clip(presence.stay - presence.leave, 0.0, 0.95)[:, None]
    share = np.cumsum(away, axis=1)[:, KNOT_WEEKS - 1] / weeks
    spell = np.minimum(share / (1.0 - share) / weeks * (1.0 + chain) / (1.0 - chain), 1.0)
    drifted = np.cumsum(waves, axis=1)[:, KNOT_WEEKS - 1] / weeks[:, None] - _now(known)[:, None, :]
    seasonal = np.einsum("nki,nij,nkj->nk", drifted, known.season.cov, drifted)
    variance = (level.var + factor_var)[:, None] + drift(cohort.walk, hazard, KNOT_WEEKS) + seasonal
    variance += known.noise[:, None] / weeks + spell
    of_days = variance[:, :1] + known.noise[:, None] * (WEEK / FIRST_DAYS - 1.0)
    log_sd = np.sqrt(np.concatenate([of_days, variance], axis=1)) * cohort.scale
    change_d, change_ratio = _change(known)
    return UsePath(cumulative, log_sd, change_d, change_ratio, gone, ~np.isfinite(known.weekly.use).any(axis=1))


def _factor(known: Known) -> tuple[Array, Array]:
    """Return mean use over the exponential of its modelled logarithm, (n,), and the variance of its logarithm."""
    level, weekly = known.level, known.weekly
    there = np.isfinite(weekly.use) & np.isfinite(level.path)
    season = np.einsum("nki,ni->nk", weekly.waves, known.season.mean)
    modelled = np.where(there, np.exp(np.where(there, level.path, 0.0) + season) * (1.0 - level.away), 0.0).sum(axis=1)
    used = np.where(there, weekly.use, 0.0).sum(axis=1)
    weeks = np.where(there, 1.0 - level.away, 0.0).sum(axis=1)
    prior = FACTOR_WEIGHT * np.divide(modelled, weeks, out=np.exp(known.home), where=weeks > 0)
    factor = (used + prior * np.exp(0.5 * known.noise)) / (modelled + prior)
    return np.clip(factor, 0.5, 2.0), known.noise / (weeks + FACTOR_WEIGHT)


def _weekdays(daily: DailyUse, cohort: UseCohort) -> Array:
    """Return the use of the next seven days over their mean, (n, 7), shrunk to the cohort's weekdays."""
    known, weekday = np.isfinite(daily.days), daily.weekdays()
    day = np.where(known, daily.days, 0.0)
    total = day.sum(axis=1)
    mean = np.divide(total, known.sum(axis=1), out=np.ones(len(daily)), where=total > 0)
    columns = []
    for ahead in range(1, WEEK + 1):
        on = (weekday == ((daily.weekday + ahead) % WEEK)[:, None]) & known
        prior = cohort.profile[(daily.weekday + ahead) % WEEK]
        own = (day * on).sum(axis=1) / mean
        columns.append((own + PROFILE_WEIGHT / WEEK * prior) / (on.sum(axis=1) + PROFILE_WEIGHT / WEEK))
    profile = np.column_stack(columns)
    return np.asarray(profile / profile.mean(axis=1, keepdims=True))


def _now(known: Known) -> Array:
    """Return the waves at which the level now was seen, (n, 4)."""
    waves = known.weekly.waves[:, -SEASON_NOW:]
    return waves.mean(axis=1) if waves.shape[1] else np.zeros((len(known.home), waves.shape[2]))


def _change(known: Known) -> tuple[Array, Array]:
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
