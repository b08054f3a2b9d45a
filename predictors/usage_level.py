"""The level of use now: how it drifts, when it changed, and who is away.

Weekly log use y_k of one unit, season taken out. Within a regime the level walks (Kalman 1960); with a chance h a week
a new regime begins at a level of its own: Bayesian online change-point detection (Adams & MacKay 2007,
arXiv:0710.3742), here over the week s in which the present regime began:

    level_k = level_(k-1) + N(0, q),  y_k = level_k + N(0, sigma^2)
    P(s, y_1..k) = P(s, y_1..k-1) (1 - h) p(y_k | s) for s < k,  h p(y_k | new) for s = k

A week may also be spent away, which says nothing about the level: p(y_k | s) = (1 - a) N(y_k; m_s, P_s + sigma^2) +
a f(y_k), f flat below the level. Being away begins with a rate and goes on with a chance of its own, a two-state chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictors.batch import Array
from predictors.usage_presence import Presence

HAZARDS = (1 / 1000, 1 / 400, 1 / 200, 1 / 100, 1 / 50, 1 / 25, 1 / 12)  # a week, over which drift is interpolated
SETTLED = 6  # weeks after which it is known whether a regime began
JUMP_SD = 0.6  # of the log level from one regime to the next
HOMEWARD = 0.5  # of the way to its usual level that a change leads a unit, between none and all: a year tells neither
AWAY_BELOW = 0.5  # of log use below the level, from where a week may as well be one away
AWAY_RANGE = 4.0  # of log use over which weeks away spread, down to nothing


@dataclass(frozen=True, slots=True)
class Level:
    """Hold what is known of the level of n units after K weeks.

    mean, var: (n,) of the log level now. path: (n, K) the level as it was seen each week, NaN before the first one.
    away: (n, K) the chance that a week was spent away. began: (n, K) the chance that the present regime began in a
    week. jumps: (n, K) the chance that one began then, as it was seen SETTLED weeks later, 0 in the last weeks.
    evidence: (n,) log-likelihood of all weeks.
    """

    mean: Array
    var: Array
    path: Array
    away: Array
    began: Array
    jumps: Array
    evidence: Array


def track(
    y: Array,
    noise: Array,
    *,
    walk: float,
    hazard: float,
    first: tuple[Array, Array],
    again: Array,
    presence: Presence,
) -> Level:
    """Return the level of each unit.

    y: (n, K) weekly log use, NaN not known. noise: (n, K) its variance about the level. walk: q, and hazard: h, a week.
    first: mean and variance, (n,) each, of the level before anything was seen. again: (n,) mean of the level of a new
    regime.
    """
    n, weeks = y.shape
    weight, mean, var = (np.zeros((weeks, n)) for _ in range(3))
    path, away = np.full((weeks, n), np.nan), np.zeros((weeks, n))
    jumps, seen_each, noises = np.zeros((weeks, n)), np.isfinite(y).T, np.ascontiguousarray(noise.T)
    evidence = np.zeros(n)
    each = np.where(seen_each, y.T, 0.0)
    leave, stay = presence.leave, presence.stay
    seen, gone = np.zeros(n, dtype=bool), np.zeros(n)
    for k in range(weeks):
        known = seen_each[k]
        fresh = known & ~seen
        weight[:k] *= 1.0 - hazard
        weight[k] = np.where(fresh, 1.0, np.where(seen, hazard, 0.0))
        mean[k] = np.where(fresh, first[0], again)
        var[k] = np.where(fresh, first[1], JUMP_SD**2)
        seen |= known
        a = stay * gone + leave * (1.0 - gone)
        m, p = mean[: k + 1], var[: k + 1]
        total = p + noises[k]
        error = each[k] - m
        here = np.exp(error * error / (-2.0 * total)) * ((1.0 - a) / np.sqrt(2.0 * np.pi) / np.sqrt(total))
        elsewhere = np.minimum(np.maximum(error, -AWAY_BELOW), 0.0) * (-a / AWAY_BELOW / AWAY_RANGE)
        elsewhere[k] *= fresh  # a regime begins with a week of use: else being away would never become one
        likely = here + elsewhere + 1e-12
        present = here / likely * known
        likely[:, ~known] = 1.0
        w = weight[: k + 1]
        w *= likely
        whole = np.where(seen, w.sum(axis=0), 1.0)
        evidence += np.where(known, np.log(whole), 0.0)
        w /= whole
        gain = present * p / total
        m += gain * error
        p *= 1.0 - gain
        gone = np.where(known, (w * (1.0 - present)).sum(axis=0), a)
        away[k] = np.where(seen, gone, 0.0)
        path[k] = np.where(seen, (w * m).sum(axis=0), np.nan)
        p += walk
        if k > SETTLED:
            jumps[k - SETTLED] = np.where(np.isnan(path[k - SETTLED - 1]), 0.0, w[k - SETTLED])
    now = np.where(seen, (weight * mean).sum(axis=0), first[0])
    spread = np.where(seen, (weight * (var + (mean - now) ** 2)).sum(axis=0), first[1])
    return Level(now, spread, path.T, away.T, weight.T, jumps.T, evidence)


def drift(walk: float, hazard: Array, weeks: Sequence[int]) -> Array:
    """Return the variance that the mean log level of the next weeks has beyond that of now, (n, len(weeks)).

    hazard: (n,). The walk, and regimes that begin with hazard h, each the share b of the way home with a standard
    deviation s: the mean over j, k <= weeks of
    Cov_jk = q min(j, k) + s^2 (1 - exp(-h c min(j, k))) / c exp(-h b |j - k|), c = b (2 - b), interpolated in log h.
    """
    fades = HOMEWARD * (2.0 - HOMEWARD)
    j = np.arange(1, max(weeks) + 1)
    least, apart = np.minimum.outer(j, j), np.abs(np.subtract.outer(j, j))
    tables = []
    for h in HAZARDS:
        changes = JUMP_SD**2 / fades * -np.expm1(-h * fades * least) * np.exp(-h * HOMEWARD * apart)
        covariance = walk * least + changes
        tables.append((np.diag(covariance.cumsum(axis=0).cumsum(axis=1)) / j**2)[np.asarray(weeks) - 1])
    grid, table = np.log(HAZARDS), np.array(tables)
    return np.column_stack([np.interp(np.log(hazard), grid, column) for column in table.T])
