"""From exposure left to a date: the future use of a unit, with its own uncertainty."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from predictors.batch import Array, SlotBatch

HORIZON_D = 3650.0
"""Ten years: a part that nobody uses has no date beyond it."""

UNKNOWN_CV = 1.0  # of a unit's use when only the declaration is known
AVERAGE_CV = 0.5  # of recent use when only the average since fitting is known
LONE_CV = 0.3  # of recent use reported without its uncertainty
SILENCE_CV = 0.5  # approached as a unit stays silent
SILENCE_D = 30.0  # days of silence after which half of that is reached
UTMOST_LOAD = 1e3  # times the reference load, and its inverse: beyond it the sensor is wrong
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Use:
    """Hold the future exposure per day of n units as log-normals: median per_day (n,), log_sd (n,)."""

    per_day: Array
    log_sd: Array


@dataclass(frozen=True, slots=True)
class Exposure:
    """Hold where n parts stand on the exposure clock.

    used: (n,) exposure so far, NaN where nothing tells it. per_h: (n,) exposure per running hour in the time to come.
    """

    used: Array
    per_h: Array


def exposure(batch: SlotBatch, life_h: float | None, *, hours_only: bool = False) -> Exposure:
    """Return the exposure of each slot: load integral, else running hours, else what the unit's own report implies."""
    n = len(batch)
    used, per_h = batch.run_h, np.ones(n)
    if not hours_only:
        loaded = np.isfinite(batch.load_h)
        with np.errstate(divide="ignore", invalid="ignore"):
            average = np.where(batch.run_h > 0, batch.load_h / batch.run_h, 1.0)
        recent = np.where(np.isfinite(batch.load_per_h), batch.load_per_h, np.where(np.isfinite(average), average, 1.0))
        used = np.where(loaded, batch.load_h, batch.run_h)
        per_h = np.where(loaded, np.clip(recent, 1.0 / UTMOST_LOAD, UTMOST_LOAD), 1.0)
    if life_h is not None:
        told = np.where(np.isfinite(batch.left_pct), life_h * (1.0 - batch.left_pct / 100.0), life_h - batch.left_h)
        used = np.where(np.isfinite(used), used, np.maximum(told, 0.0))
    return Exposure(used, per_h)


def use(batch: SlotBatch, per_h: Array, cohort_per_day: float) -> Use:
    """Return the future exposure per day of each unit, shrunk to its cohort.

    Normal-normal shrinkage of the unit's use (mean h, sd s) to the cohort (mean c, sd UNKNOWN_CV c):
    mean = (h/s^2 + c/t^2) / (1/s^2 + 1/t^2); silence widens it, for nobody saw the use since.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        average = np.where(batch.age_d >= 1.0, batch.run_h / batch.age_d, np.nan)
    told = np.isfinite(batch.h_per_day)
    hours = np.minimum(np.where(told, batch.h_per_day, average), 24.0)
    reported_sd = np.where(np.isfinite(batch.h_per_day_sd), batch.h_per_day_sd, LONE_CV * hours)
    spread = np.where(told, reported_sd, AVERAGE_CV * hours)
    mean, sd = hours * per_h, spread * per_h
    known = np.isfinite(mean)
    prior_sd = UNKNOWN_CV * cohort_per_day
    # A spread of exactly zero (one day seen, a constant) is believed to a hundredth of the cohort.
    sd = np.maximum(sd, 0.01 * np.minimum(cohort_per_day, np.where(known, mean, 0.0)) + _TINY)
    weight = np.where(known, 1.0 / (1.0 + (np.where(known, sd, 0.0) / prior_sd) ** 2), 0.0)
    per_day = weight * np.where(known, mean, 0.0) + (1.0 - weight) * cohort_per_day
    variance = np.where(known, weight * np.where(known, sd, 0.0) ** 2, prior_sd**2)
    silent = np.where(np.isfinite(batch.silent_d), batch.silent_d, 0.0)
    unseen = SILENCE_CV * silent / (silent + SILENCE_D)
    per_day = np.maximum(per_day, 1e-6 * cohort_per_day)
    return Use(per_day, np.sqrt(np.log1p(variance / per_day**2 + unseen**2)))


def dates(left: Array, left_median: Array, future: Use, silent_d: Array, quantiles: tuple[float, ...]) -> Array:
    """Return days from now to the end of life, (n, q), for exposure left (n, q) as it stood at the unit's last word.

    D = R / U. On the log scale the two spreads add as root of squares on each side of the median, exact for
    log-normals:
    log D_q = log R_50 - log U_50 + sign(z_q) sqrt((log R_q - log R_50)^2 + (z_q s)^2).
    Monotone in q, and in R: less exposure left never gives a later date.
    """
    z = ndtri(np.asarray(quantiles))
    centre = np.log(np.maximum(left_median, _TINY))[:, None]
    deviation = np.log(np.maximum(left, _TINY)) - centre
    log_d = centre - np.log(future.per_day)[:, None] + np.sign(z) * np.hypot(deviation, z * future.log_sd[:, None])
    since = np.where(np.isfinite(silent_d), silent_d, 0.0)[:, None]
    # Cut at the horizon before subtracting, so that an overflow stays finite.
    days = np.exp(np.minimum(log_d, np.log(2.0 * HORIZON_D))) - since
    return np.asarray(np.maximum.accumulate(np.clip(days, 0.0, HORIZON_D), axis=1))
