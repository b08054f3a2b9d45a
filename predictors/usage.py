"""The usage forecast: how much exposure each unit will have used up by which day.

From daily use to the distribution of cumulative use C(h) over the next h days: a level per unit that drifts and changes
(usage_level.py), a yearly cycle (usage_season.py), weeks away (usage_presence.py), weekdays; each shrunk to the cohort
(usage_cohort.py).

    log median C(h) = log sum over weeks j <= h of exp(level_j + B_j' c) (1 - away_j) f
    Var log C(h) = Var(level) + drift(h) + sigma^2 / h + Var(weeks away) + Var(season) + Var(log f)

f is the mean of use over the exponential of its modelled logarithm (Duan 1983, "Smearing estimate").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.usage_cohort import KNOTS, UseCohort
from predictors.usage_days import WEEK, DailyUse, harmonics, middles
from predictors.usage_known import Known, changed, know
from predictors.usage_level import HOMEWARD, drift
from predictors.usage_presence import LEAST, MOST, OWN_WAVES, usual, wave
from predictors.usage_weeks import week_of_year

AHEAD = KNOTS[-1] // WEEK
FACTOR_WEIGHT = 8.0  # weeks that a factor of one is worth
PROFILE_WEIGHT = 28.0  # days that the cohort's weekdays are worth
EARLY_SD = 2.0  # weeks by which one year's steps come before or after another's: the weather's
SEASON_NOW = 8  # weeks that the level now was seen in
LEAST_USE = 1e-6  # of cumulative use, so that it has a logarithm
OFTEN_AWAY = 0.25  # share of weeks, from which a unit's spread is calibrated among those often away
NEW_WEEKS = 12  # known, below which a unit's spread is calibrated among the new
KNOT_WEEKS = np.array([knot // WEEK for knot in KNOTS if knot >= WEEK])
FIRST_DAYS = np.array([knot for knot in KNOTS if knot < WEEK])


@dataclass(frozen=True, slots=True)
class UsePath:
    """Hold the use to come of n units, counted from the end of each history.

    cumulative: (n, k) median exposure used up by each of KNOTS, above zero and rising. log_sd: (n, k) standard
    deviation of its logarithm. change_d: (n,) days since a change of use was detected, NaN none. change_ratio: (n,)
    level after over level before it. away: (n,) chance that the unit is away now. group: (n,) among whom its spread was
    calibrated, 0 regular, 1 changed of late, 2 often away, 3 new. cohort_only: (n,) True where nothing of its own is
    known.
    """

    cumulative: Array
    log_sd: Array
    change_d: Array
    change_ratio: Array
    away: Array
    group: NDArray[np.int64]
    cohort_only: NDArray[np.bool_]


def forecast(daily: DailyUse, cohort: UseCohort) -> UsePath:
    """Return the use to come of each unit; a unit of which nothing is known gets its cohort's, flagged."""
    parts = [_forecast(chunk, cohort) for chunk in daily.chunks()] or [_forecast(daily, cohort)]
    return UsePath(*(np.concatenate([getattr(part, name) for part in parts]) for name in UsePath.__slots__))


def _forecast(daily: DailyUse, cohort: UseCohort) -> UsePath:
    known = know(daily, cohort)
    away = known.level.away
    gone = away[:, -1] if away.shape[1] else np.zeros(len(daily))
    change_d, change_ratio = changed(known)
    group = np.where(np.isfinite(change_d), 1, np.where(known.presence.share > OFTEN_AWAY, 2, 0))
    group[np.isfinite(known.weekly.use).sum(axis=1) < NEW_WEEKS] = 3
    days = middles(daily, 0, AHEAD)
    waves = harmonics(days)
    away_ahead = _away(known, daily, cohort, waves, week_of_year(days))
    common = cohort.steps[week_of_year(middles(daily, -1, 1 + AHEAD))]  # from the last known week on
    cumulative = _cumulative(known, waves, common[:, 1:], away_ahead[0])
    first = cumulative[:, :1] * np.cumsum(_weekdays(daily, cohort), axis=1)[:, FIRST_DAYS - 1] / WEEK
    rising = np.maximum.accumulate(np.maximum(np.concatenate([first, cumulative], axis=1), LEAST_USE), axis=1)
    variance = _variance(known, cohort, waves, common, away_ahead)
    of_days = variance[:, :1] + known.noise[:, None] * (WEEK / FIRST_DAYS - 1.0)
    log_sd = np.sqrt(np.concatenate([of_days, variance], axis=1)) * cohort.scale[group]
    unseen = np.asarray(~np.isfinite(known.weekly.use).any(axis=1))
    return UsePath(rising, log_sd, change_d, change_ratio, gone, group.astype(np.int64), unseen)


def _cumulative(known: Known, waves: Array, common: Array, away: Array) -> Array:
    """Return median use by the knots from a week on, (n, k); the level reverts as far as regimes change."""
    same = np.exp(-HOMEWARD * known.hazard[:, None] * np.arange(1, AHEAD + 1))
    level = known.home[:, None] + (known.level.mean - known.home)[:, None] * same
    season = np.einsum("nki,ni->nk", waves, known.season.mean) + common
    rate = np.exp(level + season) * (1.0 - away) * _factor(known)[:, None]
    return np.asarray(np.cumsum(rate, axis=1)[:, KNOT_WEEKS - 1])


def _variance(known: Known, cohort: UseCohort, waves: Array, common: Array, ahead: tuple[Array, Array]) -> Array:
    """Return the variance of the log of cumulative use by the knots from a week on, (n, k)."""
    away, wave_cov = ahead
    weeks = KNOT_WEEKS.astype(np.float64)
    mean_waves = np.cumsum(waves, axis=1)[:, KNOT_WEEKS - 1] / weeks[:, None]
    share = np.cumsum(away, axis=1)[:, KNOT_WEEKS - 1] / weeks
    # A share p of weeks away, alike in runs: Var = p (1 - p) / weeks * chain, of the mean 1 - p.
    spells = share / (1.0 - share) / weeks * known.presence.chain[:, None]
    own = mean_waves[..., :OWN_WAVES]
    spells += np.einsum("nki,nij,nkj->nk", own, wave_cov, own) / (1.0 - share) ** 2
    # The level was seen in the season of now: what counts is how far the season to come differs from that.
    seen = known.weekly.waves[:, -SEASON_NOW:]
    off = mean_waves - (seen.mean(axis=1) if seen.shape[1] else np.zeros((len(known.home), waves.shape[2])))[:, None]
    season = np.einsum("nki,nij,nkj->nk", off, known.season.cov, off)
    # A step comes when the weather turns: what the mean to come loses where it comes a week later.
    shifted = (common[:, KNOT_WEEKS] - common[:, :1]) / weeks
    season += (EARLY_SD * shifted) ** 2
    drifted = drift(cohort.walk, known.hazard, KNOT_WEEKS.tolist())
    factor = known.noise / (_weeks_here(known) + FACTOR_WEIGHT)
    level = (known.level.var + factor)[:, None] + known.noise[:, None] / weeks
    return np.asarray(level + drifted + season + np.minimum(spells, 1.0))


def _away(
    known: Known, daily: DailyUse, cohort: UseCohort, waves: Array, week: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return the chance of being away in weeks to come, (n, J), and the covariance of the unit's own wave in it."""
    presence, seen = known.presence, np.isfinite(known.weekly.use)
    then = week_of_year(middles(daily, -seen.shape[1], seen.shape[1]))
    surprise = np.where(seen, known.level.away - usual(presence, then, cohort), 0.0)
    own, cov = wave(presence, surprise, known.weekly.waves[..., :OWN_WAVES] * seen[:, :, None])
    ahead = np.einsum("nki,ni->nk", waves[..., :OWN_WAVES], own)
    usually = np.clip(usual(presence, week, cohort) + ahead, LEAST, MOST)
    # Who is away at Christmas is away as is usual then; what is unusual now lasts as long as spells do.
    now = surprise[:, -1:] if seen.shape[1] else np.zeros((len(daily), 1))
    fading = presence.alike[:, None] ** np.arange(1, week.shape[1] + 1)
    return np.clip(usually + now * fading, 0.0, 0.99), cov


def _weeks_here(known: Known) -> Array:
    """Return how many known weeks each unit was not away, (n,)."""
    there = np.isfinite(known.weekly.use) & np.isfinite(known.level.path)
    return np.asarray(np.where(there, 1.0 - known.level.away, 0.0).sum(axis=1))


def _factor(known: Known) -> Array:
    """Return mean use over the exponential of its modelled logarithm, (n,), shrunk to that of a log-normal."""
    level, weekly = known.level, known.weekly
    there = np.isfinite(weekly.use) & np.isfinite(level.path)
    season = np.einsum("nki,ni->nk", weekly.waves, known.season.mean) + weekly.common
    modelled = np.where(there, np.exp(np.where(there, level.path, 0.0) + season) * (1.0 - level.away), 0.0).sum(axis=1)
    used = np.where(there, weekly.use, 0.0).sum(axis=1)
    weeks = _weeks_here(known)
    prior = FACTOR_WEIGHT * np.divide(modelled, weeks, out=np.exp(known.home), where=weeks > 0)
    return np.asarray(np.clip((used + prior * np.exp(0.5 * known.noise)) / (modelled + prior), 0.5, 2.0))


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
