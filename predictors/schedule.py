"""A duty schedule recognised by analogy: what comes is what came to those whose past resembles this one's.

Where a cohort follows a plan by age or by the calendar, the mean of the past says little about the future, and the last
rate ends with the next step of the plan. Similarity of trajectories in the sense of Wang, Yu, Siegel & Lee (2008), "A
similarity-based prognostics approach for remaining useful life estimation", here on the load and not on the health.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from predictors.batch import Array

BLOCKS = 50  # a cohort's median length is looked at in so many blocks
SHIFTS = (-0.5, -0.25, 0.0, 0.25, 0.5)  # of a block: a step of the plan need not come to the second
RESEMBLANCE = 0.2  # standard deviation of the log load of a block between units on one plan
NOBODY = 1.0  # standard deviations per block at which the unit's own rate is as likely as a member that far away
RECENT = 0.2  # share of a trajectory that its last level is taken from
FAINT = 0.05  # of the mean load: below it, loads are alike
LEAST = 1e-6  # weight below which a scenario is left out
STEPS = 400  # of the horizon


@dataclass(frozen=True, slots=True)
class Scenarios:
    """Hold s futures of one unit.

    weights: (s,) sum to 1; the last one belongs to the unit's own rate going on, which is always there.
    time: (k,) from now, 0 to the horizon. cumulative: (s, k) load used up by then, 0 now, non-decreasing.
    """

    weights: Array
    time: Array
    cumulative: Array

    @property
    def recognised(self) -> float:
        """Return how far the cohort resembles this unit, 0 to 1: the weight of all but its own rate."""
        return float(self.weights[:-1].sum())

    @property
    def mean(self) -> Array:
        """Return the expected cumulative load, (k,)."""
        return np.asarray(self.weights @ self.cumulative)

    def when(self, left: ArrayLike) -> Array:
        """Return the time from now at which each scenario has used up each of `left`, (s, m).

        Beyond the horizon a scenario goes on at its mean rate; where that is zero the time is inf.
        """
        asked = np.asarray(left, dtype=np.float64)
        return np.stack([_when(self.time, path, asked) for path in self.cumulative])

    def dates(self, levels: ArrayLike, left: ArrayLike, quantiles: Sequence[float]) -> Array:
        """Return the quantiles, (q,), of the time from now at which the load left is used up.

        levels, left: (m,) the quantile function of the load left, ascending in both; beyond its ends it is taken as
        constant, so give levels outside the quantiles asked for. With F_R its distribution and X_s the scenarios,
        P(D <= d) = sum over s of w_s F_R(X_s(d)):
        each scenario's dates are left's quantiles pushed through X_s^-1, and the mixture's quantile is read off their
        weighted steps. Monotone in `quantiles` and in `left`.
        """
        # F_R between its given levels is linear; 200 equal shares of it are pushed through every scenario.
        shares = (np.arange(200) + 0.5) / 200
        drawn = np.interp(shares, np.asarray(levels, dtype=np.float64), np.maximum.accumulate(np.maximum(left, 0.0)))
        times = self.when(drawn).ravel()
        mass = np.repeat(self.weights / shares.size, shares.size)
        order = np.argsort(times, kind="stable")
        reached = np.cumsum(mass[order])
        at = np.searchsorted(reached, np.asarray(quantiles) * reached[-1], side="left")
        return np.asarray(times[order][np.minimum(at, times.size - 1)])


def scenarios(
    own_time: ArrayLike,
    own_load: ArrayLike,
    cohort: Sequence[tuple[ArrayLike, ArrayLike]],
    horizon: float,
    *,
    resemblance: float = RESEMBLANCE,
) -> Scenarios:
    """Return the futures of a unit up to `horizon` from its last sample.

    own_time, own_load: (n,) time since the start and the load from the sample before up to then, in any units that the
    cohort shares. cohort: the same of other units, finished or still running; those that are no older than this unit
    have no future to lend and are left out. resemblance: standard deviation of the log load of a block between two
    units on the same plan.

    Member j's log-likelihood, over blocks b counted back from now:
    log w_j = -1/2 sum_b min over shifts of (log l_own,b - log l_j,b)^2 / resemblance^2
    and the own rate's, -1/2 NOBODY^2 per block: it takes over when nobody resembles. A member that ended before the
    horizon goes on as those that went further do, weighted alike; where nobody did, at its own last level. NaN, samples
    out of order and an empty past are borne: what is left is used. Raises ValueError unless the horizon is positive.
    """
    if not (np.isfinite(horizon) and horizon > 0):
        raise ValueError(f"horizon must be a positive number, not {horizon!r}")
    own = _trajectory(own_time, own_load)
    now = own[0][-1]
    paths = [path for path in (_trajectory(*member) for member in cohort) if path[0][-1] > now]
    paths.sort(key=lambda path: (path[0][-1], path[1][-1]))
    time = np.linspace(0.0, horizon, STEPS + 1)
    level = _last_level(own) if now > 0 else (_mean_level(paths) if paths else 0.0)
    alone = (level * time)[None, :]
    if not paths:
        return Scenarios(np.ones(1), time, alone)
    fit = np.append(_fit(own, paths, resemblance), -0.5 * NOBODY**2 * _blocks(now, paths)[0])
    weights = np.exp(fit - fit.max())
    weights /= weights.sum()
    kept = np.append(weights[:-1] > LEAST, True)
    weights = weights[kept] / weights[kept].sum()
    lent = [path for path, keep in zip(paths, kept[:-1], strict=True) if keep]
    futures = _futures(lent, weights[:-1], now, time) * _levels(own, lent)[:, None]
    return Scenarios(weights, time, np.concatenate([futures, alone]))


Trajectory = tuple[Array, Array]  # time and cumulative load, both from 0, non-decreasing


def _trajectory(time: ArrayLike, load: ArrayLike) -> Trajectory:
    t, rate = np.asarray(time, dtype=np.float64).ravel(), np.asarray(load, dtype=np.float64).ravel()
    seen = np.isfinite(t) & np.isfinite(rate) & (t > 0) & (rate >= 0)
    order = np.argsort(t[seen], kind="stable")
    t, rate = t[seen][order], rate[seen][order]
    return np.append(0.0, t), np.append(0.0, np.cumsum(rate * np.diff(t, prepend=0.0)))


def _used(path: Trajectory, at: Array) -> Array:
    return np.interp(at, *path)


def _last_level(path: Trajectory) -> float:
    end = path[0][-1]
    return float((path[1][-1] - _used(path, np.array([(1.0 - RECENT) * end]))[0]) / (RECENT * end))


def _mean_level(paths: list[Trajectory]) -> float:
    return float(np.mean([path[1][-1] / path[0][-1] for path in paths]))


def _blocks(now: float, paths: list[Trajectory]) -> tuple[int, float]:
    """Return how many blocks the own past has, and their length; at least one block where there is a past at all."""
    length = float(np.median([path[0][-1] for path in paths])) / BLOCKS
    return (0, length) if now <= 0 else (max(int(now // length), 1), min(length, now))


def _fit(own: Trajectory, paths: list[Trajectory], resemblance: float) -> Array:
    """Return the log-likelihood of each member, (j,)."""
    count, length = _blocks(own[0][-1], paths)
    if not count:
        return np.zeros(len(paths))
    edges = own[0][-1] - length * np.arange(count, -1, -1)
    floor = FAINT * _mean_level(paths) + np.finfo(np.float64).tiny
    mine = np.log(np.diff(_used(own, edges)) / length + floor)
    shifted = [np.maximum(edges + shift * length, 0.0) for shift in SHIFTS]
    fits = []
    for path in paths:
        theirs = np.stack([np.diff(_used(path, at)) / np.maximum(np.diff(at), length / 2) for at in shifted])
        misfit = np.min((np.log(theirs + floor) - mine) ** 2, axis=0)
        fits.append(-0.5 * misfit.sum() / resemblance**2)
    return np.array(fits)


def _levels(own: Trajectory, paths: list[Trajectory]) -> Array:
    """Return by how much this unit's load so far lay above each member's, (j,): a plan is lent, not its level."""
    now, mine = own[0][-1], own[1][-1]
    theirs = np.array([_used(path, np.array([now]))[0] for path in paths])
    known = (theirs > 0) & (mine > 0)
    return np.where(known, mine / np.where(known, theirs, 1.0), 1.0)


def _futures(paths: list[Trajectory], weights: Array, now: float, time: Array) -> Array:
    """Return the cumulative load of each member from now, (j, k), those that ended going on as the others do."""
    at = now + time
    rates = np.array([np.diff(_used(path, at)) for path in paths]).reshape(len(paths), time.size - 1)
    runs = np.array([path[0][-1] for path in paths])[:, None] >= at[1:]
    mass = weights @ runs
    others = np.divide(weights @ np.where(runs, rates, 0.0), mass, out=np.zeros_like(mass), where=mass > 0)
    last = np.array([_last_level(path) for path in paths])[:, None] * np.diff(time)
    rates = np.where(runs, rates, np.where(mass > 0, others, last))
    return np.concatenate([np.zeros((len(paths), 1)), np.cumsum(rates, axis=1)], axis=1)


def _when(time: Array, path: Array, left: Array) -> Array:
    total, horizon = path[-1], time[-1]
    # The earliest time at which it is reached, so a pause counts in full: path[i - 1] < left <= path[i].
    i = np.clip(np.searchsorted(path, left, side="left"), 1, path.size - 1)
    step = path[i] - path[i - 1]
    share = np.clip(left - path[i - 1], 0.0, step) / np.where(step > 0, step, 1.0)
    inside = time[i - 1] + (time[i] - time[i - 1]) * share
    with np.errstate(over="ignore"):
        beyond = horizon * left / total if total > 0 else np.where(left > 0, np.inf, 0.0)
    return np.where(left <= total, inside, np.maximum(beyond, horizon))
