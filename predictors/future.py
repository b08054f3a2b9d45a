"""From exposure left to a date: the future use of a unit, with its own uncertainty."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from predictors.batch import Array, SlotBatch
from predictors.usage_cohort import KNOTS

HORIZON_D = 3650.0
"""Ten years: a part that nobody uses has no date beyond it."""

UNKNOWN_CV = 1.0  # of a unit's use when only the declaration is known
AVERAGE_CV = 0.5  # of recent use when only the average since fitting is known
LONE_CV = 0.3  # of recent use reported without its uncertainty
SILENCE_CV = 0.5  # approached as a unit stays silent
SILENCE_D = 30.0  # days of silence after which half of that is reached
UTMOST_LOAD = 1e3  # times the reference load, and its inverse: beyond it the sensor is wrong
MONTH = KNOTS.index(28)  # the knot that stands for a unit's use where one number is asked for
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Use:
    """Hold the future exposure of n units, log-normal at each moment.

    per_day: (n,) median exposure a day, log_sd: (n,) the standard deviation of its logarithm: use as one rate. path,
    path_sd: (n, k) median exposure used up within each of usage_cohort.KNOTS days and the standard deviation of its
    logarithm, NaN rows where use is one rate; None where it is for all.
    """

    per_day: Array
    log_sd: Array
    path: Array | None = None
    path_sd: Array | None = None


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
        used = np.where(np.isfinite(batch.load_h), batch.load_h, batch.run_h)
        per_h = per_hour(batch)
    if life_h is not None:
        told = np.where(np.isfinite(batch.left_pct), life_h * (1.0 - batch.left_pct / 100.0), life_h - batch.left_h)
        used = np.where(np.isfinite(used), used, np.maximum(told, 0.0))
    return Exposure(used, per_h)


def per_hour(batch: SlotBatch) -> Array:
    """Return recent exposure per running hour, else the average so far, else one, (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        average = np.where(batch.run_h > 0, batch.load_h / batch.run_h, 1.0)
    recent = np.where(np.isfinite(batch.load_per_h), batch.load_per_h, np.where(np.isfinite(average), average, 1.0))
    return np.where(np.isfinite(batch.load_h), np.clip(recent, 1.0 / UTMOST_LOAD, UTMOST_LOAD), 1.0)


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
    log_sd = np.sqrt(np.log1p(variance / per_day**2 + unseen**2))
    if batch.use_path is None or batch.use_path_sd is None:
        return Use(per_day, log_sd)
    if not batch.use_path.shape[1] == batch.use_path_sd.shape[1] == len(KNOTS):
        raise ValueError(f"use_path has {batch.use_path.shape[1]} knots, there are {len(KNOTS)}")
    # Forecast from a history of use (predictors.usage) where there is one. It is in load_h's unit: hours take that out.
    whole = np.asarray((batch.use_path > 0).all(axis=1) & np.isfinite(batch.use_path_sd).all(axis=1))
    path = np.where(whole[:, None], batch.use_path, np.nan) * (per_h / per_hour(batch))[:, None]
    path_sd = np.where(whole[:, None], np.hypot(batch.use_path_sd, unseen[:, None]), np.nan)
    per_day = np.where(whole, np.maximum.accumulate(path, axis=1)[:, MONTH] / KNOTS[MONTH], per_day)
    return Use(per_day, np.where(whole, path_sd[:, MONTH], log_sd), path, path_sd)


def dates(left: Array, left_median: Array, future: Use, silent_d: Array, quantiles: tuple[float, ...]) -> Array:
    """Return days from now to the end of life, (n, q), for exposure left (n, q) as it stood at the unit's last word.

    D is the day by which use has made up R, C(D) = R. Where use is one rate U, D = R / U, and on the log scale the two
    spreads add as root of squares on each side of the median, exact for log-normals:
    log D_q = log R_50 - log U_50 + sign(z_q) sqrt((log R_q - log R_50)^2 + (z_q s)^2).
    Where use is a path, log C(d) ~ N(m(d), s(d)^2), P(D > d) = P(R > C(d)) gives D_q as the first d at which
    m(d) - sign(z_q) sqrt((log R_q - log R_50)^2 + (z_q s(d))^2) >= log R_50, the same for a path that is one rate.
    Monotone in q, and in R: less exposure left never gives an earlier date.
    """
    z = ndtri(np.asarray(quantiles))
    centre = np.log(np.maximum(left_median, _TINY))[:, None]
    deviation = np.log(np.maximum(left, _TINY)) - centre
    spread = np.sqrt(deviation**2 + z**2 * future.log_sd[:, None] ** 2)
    log_d = centre - np.log(future.per_day)[:, None] + np.sign(z) * spread
    if future.path is not None and future.path_sd is not None:
        told = np.isfinite(future.path).all(axis=1)
        log_d[told] = _along(future.path[told], future.path_sd[told], centre[told], deviation[told], z)
    since = np.where(np.isfinite(silent_d), silent_d, 0.0)[:, None]
    # Cut at the horizon before subtracting, so that an overflow stays finite.
    days = np.exp(np.minimum(log_d, np.log(2.0 * HORIZON_D))) - since
    return np.asarray(np.maximum.accumulate(np.clip(days, 0.0, HORIZON_D), axis=1))


def _along(path: Array, path_sd: Array, centre: Array, deviation: Array, z: Array) -> Array:
    """Return log D (n, q) where use is a path (n, k), linear in logarithms between the knots.

    Beyond the last knot use goes on at its mean rate and its log variance grows with time, as that of a walk does.
    """
    beyond = np.array([2.0, 4.0, 8.0])
    log_day = np.log(np.concatenate([KNOTS, KNOTS[-1] * beyond]))
    log_use = np.log(np.concatenate([np.maximum.accumulate(path, axis=1), path[:, -1:] * beyond], axis=1))
    sd = np.concatenate([path_sd, path_sd[:, -1:] * np.sqrt(beyond)], axis=1)
    rows = np.arange(path.shape[0])
    columns = []
    for off, normal in zip(deviation.T, z, strict=True):
        reached = log_use - np.sign(normal) * np.hypot(off[:, None], normal * sd)
        reached = np.maximum.accumulate(reached, axis=1) - centre
        after = np.clip((reached < 0).sum(axis=1), 1, log_day.size - 1)
        low, high = reached[rows, after - 1], reached[rows, after]
        step = log_day[after] - log_day[after - 1]
        share = np.divide(-low, high - low, out=np.ones_like(low), where=high > low)
        inside = log_day[after - 1] + step * np.clip(share, 0.0, 1.0)
        # Before the first knot, and beyond the last, use is in proportion to time.
        columns.append(inside + np.minimum(-reached[:, 0], 0.0) + np.maximum(-reached[:, -1], 0.0))
    return np.column_stack(columns)
