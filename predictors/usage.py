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
from predictors.usage_level import Level, drift, track
from predictors.usage_presence import LEAST, MOST, OWN_WAVES, Presence, habits, usual, wave
from predictors.usage_season import Season, fit
from predictors.usage_weeks import Weekly, noise, week_of_year

AHEAD = KNOTS[-1] // WEEK
HAZARD_WEIGHT = 52.0  # weeks that the cohort's changes are worth
FACTOR_WEIGHT = 8.0  # weeks that a factor of one is worth
HOME_WEIGHT = 8.0  # weeks that the cohort's level is worth as that of a regime to come
PROFILE_WEIGHT = 28.0  # days that the cohort's weekdays are worth
NEW_REGIME = 0.3  # chance that a regime began in a week, from which the season is fitted on each side of it alone
SEASON_NOW = 8  # weeks that the level now was seen in
CHANGED = 0.9  # chance from which a change is told
WORTH_TELLING = 0.22  # of the log level: a quarter more or a fifth less
LATEST_CHANGE = 26  # weeks: what changed before that is what the unit is used to

LEAST_USE = 1e-6  # of cumulative use, so that it has a logarithm

KNOT_WEEKS = np.array([knot // WEEK for knot in KNOTS if knot >= WEEK])
FIRST_DAYS = np.array([knot for knot in KNOTS if knot < WEEK])


@dataclass(frozen=True, slots=True)
class UsePath:
    """Hold the use to come of n units, counted from the end of each history.

    cumulative: (n, k) median exposure used up by each of KNOTS, above zero and rising. log_sd: (n, k) standard
    deviation of its logarithm. change_d: (n,) days since a change of use was detected, NaN none. change_ratio: (n,)
    level after over level before it. away: (n,) chance that the unit is away now. cohort_only: (n,) True where nothing
    of its own is known.
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
    of_week = spread[:, None] * WEEK / np.maximum(weekly.days, 1.0)
    first = (np.full(n, cohort.level), np.full(n, cohort.level_sd**2))
    # What the first round finds to be a change of regime does not bend the season of the second.
    presence, new = Presence.of(n, cohort), np.zeros(weekly.y.shape, dtype=bool)
    for _ in range(2):
        season = fit(weekly.ordinary, weekly.waves, spread, cohort.season, new=new, walk=cohort.walk)
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
        assumed, presence = presence, habits(level.away, np.isfinite(weekly.use), cohort)
        new = np.maximum(level.jumps, level.began) > NEW_REGIME
    return Known(weekly, spread, season, home, assumed, level)


def _home(flat: Array, busy: NDArray[np.bool_], cohort: float) -> Array:
    """Return the level of a regime to come, (n,): the mean of the past, shrunk to the cohort."""
    return np.asarray((np.where(busy, flat, 0.0).sum(axis=1) + HOME_WEIGHT * cohort) / (busy.sum(axis=1) + HOME_WEIGHT))


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
    usually, wave_cov = _usually(known, daily, cohort, days)
    away = np.clip(usually + (gone - presence.share)[:, None] * presence.stay[:, None] ** ahead, 0.0, 0.99)
    weeks_seen = np.isfinite(known.weekly.use).sum(axis=1)
    hazard = (HAZARD_WEIGHT * cohort.hazard + level.jumps.sum(axis=1)) / (HAZARD_WEIGHT + weeks_seen)
    same = np.exp(-hazard[:, None] * ahead)
    log_level = known.home[:, None] + (level.mean - known.home)[:, None] * same
    factor, factor_var = _factor(known)
    rate = np.exp(log_level + np.einsum("nki,ni->nk", waves, known.season.mean)) * (1.0 - away) * factor[:, None]
    total = np.cumsum(rate, axis=1)[:, KNOT_WEEKS - 1]
    first = total[:, :1] * np.cumsum(_weekdays(daily, cohort), axis=1)[:, FIRST_DAYS - 1] / WEEK
    cumulative = np.maximum.accumulate(np.maximum(np.concatenate([first, total], axis=1), LEAST_USE), axis=1)

    weeks = KNOT_WEEKS.astype(np.float64)
    share = np.cumsum(away, axis=1)[:, KNOT_WEEKS - 1] / weeks
    spell = np.minimum(share / (1.0 - share) / weeks * presence.chain[:, None], 1.0)
    drifted = np.cumsum(waves, axis=1)[:, KNOT_WEEKS - 1] / weeks[:, None] - _now(known)[:, None, :]
    seasonal = np.einsum("nki,nij,nkj->nk", drifted, known.season.cov, drifted)
    variance = (level.var + factor_var)[:, None] + drift(cohort.walk, hazard, KNOT_WEEKS.tolist()) + seasonal
    own = np.cumsum(waves, axis=1)[:, KNOT_WEEKS - 1, :OWN_WAVES] / weeks[:, None]
    spell += np.einsum("nki,nij,nkj->nk", own, wave_cov, own) / (1.0 - share) ** 2
    variance += known.noise[:, None] / weeks + np.minimum(spell, 1.0)
    of_days = variance[:, :1] + known.noise[:, None] * (WEEK / FIRST_DAYS - 1.0)
    log_sd = np.sqrt(np.concatenate([of_days, variance], axis=1)) * cohort.scale
    change_d, change_ratio = _change(known)
    unseen = np.asarray(~np.isfinite(known.weekly.use).any(axis=1))
    return UsePath(cumulative, log_sd, change_d, change_ratio, gone, unseen)


def _usually(known: Known, daily: DailyUse, cohort: UseCohort, days: Array) -> tuple[Array, Array]:
    """Return the chance of being away in weeks to come, (n, J), and the covariance of the unit's own wave in it."""
    presence, seen = known.presence, np.isfinite(known.weekly.use)
    then = week_of_year(middles(daily, -seen.shape[1], seen.shape[1]))
    surprise = np.where(seen, known.level.away - usual(presence, then, cohort), 0.0)
    own, cov = wave(presence, surprise, known.weekly.waves[..., :OWN_WAVES] * seen[:, :, None])
    ahead = harmonics(days)[..., :OWN_WAVES]
    return np.clip(usual(presence, week_of_year(days), cohort) + np.einsum("nki,ni->nk", ahead, own), LEAST, MOST), cov


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
