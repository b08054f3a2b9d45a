"""Log-normal life, truncated at now."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import log_ndtr, ndtri, ndtri_exp

from predictors.batch import Array

_SHALLOWEST, _STEEPEST = -8.0, 38.0  # standard deviations beyond which log_ndtr has nothing more to say
_LOWEST, _PIECE = -9.0, 0.025  # where the table of steps begins, and the length of its pieces


def left(
    x0: Array,
    location: Array,
    sigma: Array | float,
    quantiles: tuple[float, ...],
    *,
    kind: NDArray[np.int64] | None = None,
) -> Array:
    """Return the exposure left, (n, q), of parts that have survived x0, (n,): log life ~ N(location, sigma^2).

    sigma: (n,), or one for all; with kind, (n,), (k,) of which each part has one.

    P(X > x | X > x0) = 1 - q gives z(x) = -Phi^-1((1 - q) Phi(-z(x0))). The hazard of a log-normal falls in the end;
    where the residual would grow again it stays at its least: more wear never lengthens life.
    """
    spread = np.broadcast_to(np.asarray(sigma if kind is None else np.asarray(sigma)[kind]), x0.shape)
    with np.errstate(divide="ignore"):
        now = (np.log(np.maximum(x0, 0.0)) - location) / spread
    unused = np.flatnonzero(np.isneginf(now))
    now[unused] = 0.0
    left = np.empty((len(quantiles), now.size)).T  # a column's rows beside each other
    for column, quantile in enumerate(quantiles):
        turn = _turn(sigma, quantile)
        z0 = np.minimum(now, turn if kind is None else turn[kind])
        left[:, column] = x0 * np.expm1(spread * _step(z0, quantile))
        past = np.flatnonzero(z0 < now)
        left[past, column] *= np.exp(spread[past] * (z0[past] - now[past]))
        left[unused, column] = np.exp(location[unused] + spread[unused] * ndtri(quantile))
    return left


def recentred(now: Array, sigma: Array | float) -> Array:
    """Return where now stands, in spreads `sigma` times as wide, so that the median truncated at now stays where it is.

    now: standard deviations past the location, any shape. With g(z) = Phi^-1(1 - Phi(-z) / 2) - z, the standardised
    median left, it solves g(z') = g(now) / sigma. A spread that is widened to cover must not move the median with it.
    """
    grid, left = _median_left()
    wanted = np.interp(np.asarray(now, dtype=np.float64), grid, left) / sigma
    return np.asarray(np.interp(-wanted, -left, grid))


@lru_cache(maxsize=1)
def _median_left() -> tuple[Array, Array]:
    grid = np.concatenate([np.linspace(-400.0, -10.0, 400), np.linspace(-9.9, _STEEPEST, 4000)])
    return grid, _survivor(grid, 0.5) - grid


def _survivor(z0: Array, quantile: float) -> Array:
    return np.asarray(np.maximum(-ndtri_exp(np.log1p(-quantile) + log_ndtr(-z0)), z0))


def _turn(sigma: Array | float, quantile: float) -> Array:
    """Return the z at which the residual of the standardised log-normal is least, by its table."""
    turns = _turns(quantile)
    return np.asarray(turns(np.clip(np.log(sigma), turns.x[0], turns.x[-1])))


def _step(z0: Array, quantile: float) -> Array:
    """Return how far the quantile lies beyond z0, _survivor less z0, by its table: cubics, to some billionths."""
    pieces = _steps(quantile)
    place = (np.clip(z0, _LOWEST, _STEEPEST) - _LOWEST) * (1.0 / _PIECE)
    piece = np.minimum(place.astype(np.intp), pieces.shape[1] - 1)
    at = place - piece
    a, b, c, d = (coefficients[piece] for coefficients in pieces)
    inside = a + at * (b + at * (c + at * d))
    # Below the table what has been survived tells nothing any more: the quantile stays where it is.
    return np.asarray(inside + (np.maximum(z0, _LOWEST) - z0))


@lru_cache(maxsize=256)
def _steps(quantile: float) -> Array:
    """Return the coefficients, (4, m), of the cubics on pieces of _PIECE that have _survivor's values and slopes."""
    z = np.linspace(_LOWEST, _STEEPEST, round((_STEEPEST - _LOWEST) / _PIECE) + 1)
    s = _survivor(z, quantile)
    step = s - z
    slope = ((1.0 - quantile) * np.exp((s - z) * (s + z) / 2.0) - 1.0) * _PIECE
    rise = np.diff(step)
    return np.array(
        [step[:-1], slope[:-1], 3.0 * rise - 2.0 * slope[:-1] - slope[1:], slope[:-1] + slope[1:] - 2.0 * rise]
    )


@lru_cache(maxsize=256)
def _turns(quantile: float) -> PchipInterpolator:
    """Return z by log sigma where the residual exp(sigma z) (exp(sigma (s(z) - z)) - 1), s = _survivor, is least.

    Its derivative vanishes where s'(z) = exp(-sigma (s - z)), and s' = (1 - q) phi(z) / phi(s), so that each z has its
    sigma in closed form: sigma = (-log(1 - q) - (s^2 - z^2) / 2) / (s - z), which falls as z rises.
    """
    z = np.linspace(_SHALLOWEST, _STEEPEST, 4601)
    step = _survivor(z, quantile) - z
    sigma = (-np.log1p(-quantile) - step * (z + step / 2.0)) / step
    # Where rounding hides the fall, the table ends.
    falls = np.flatnonzero(~(np.diff(sigma) < 0) | ~(sigma[1:] > 0))
    whole = int(falls[0]) + 1 if falls.size else z.size
    return PchipInterpolator(np.log(sigma[:whole][::-1]), z[:whole][::-1])
