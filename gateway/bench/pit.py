"""The probability integral transform: where days lie in forecasts."""

import numpy as np

from gateway.bench.backtest import GRID, Backtest
from gateway.bench.record import Array, Indices, Record

BINS = 10


def rank(eol_d: Array, day: Array) -> Array:
    """Return where days lie in forecasts (k, q), as probabilities (k,): linear between quantiles, never quite 1."""
    below = np.sum(eol_d < day[:, None], axis=1)
    levels = np.concatenate([[0.0], GRID, [1.0]])
    last = np.clip(below, 1, eol_d.shape[1] - 1)
    row = np.arange(day.size)
    low, high = eol_d[row, last - 1], eol_d[row, last]
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(high > low, (day - low) / (high - low), 0.5)
    inner = levels[last] + np.clip(within, 0.0, 1.0) * (levels[last + 1] - levels[last])
    outer = np.where(below == 0, levels[1] / 2.0, 1.0 - levels[1] / 2.0)
    return np.asarray(np.where((below == 0) | (below == eol_d.shape[1]), outer, inner))


def tenths(position: Array) -> Indices:
    """Return the bin of each place in a forecast, (k,), of BINS."""
    return np.clip((position * BINS).astype(np.int64), 0, BINS - 1)


def histogram(record: Record, said: Backtest) -> Array:
    """Return the histogram of the probability integral transform over BINS bins, (BINS,), summing to one; else NaN.

    A calibrated model fills each bin alike (Dawid 1984). An end that was not seen lies somewhere beyond the last day on
    which the part was seen alive: its weight is spread over what the forecast put there (Czado, Gneiting & Held 2009).
    """
    cycle = record.snapshots.cycle[said.rows]
    made = record.snapshots.made_d[said.rows]
    until = record.alive_until_d[cycle]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(until) & (made < until)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    cycle, until, eol = cycle[known], until[known], said.eol_d[known]
    if not cycle.size:
        return np.full(BINS, np.nan)  # nothing was seen: flat would say that the model is calibrated
    _, inverse, count = np.unique(cycle, return_inverse=True, return_counts=True)
    position = rank(eol, until)
    mass = np.zeros(BINS)
    ended = record.ended[cycle]
    share = 1.0 / count[inverse]
    np.add.at(mass, tenths(position)[ended], share[ended])
    beyond = np.clip(edges[1:] - np.maximum(edges[:-1], position[~ended][:, None]), 0.0, None)
    mass += share[~ended] @ (beyond / beyond.sum(axis=1, keepdims=True))
    return np.asarray(mass / mass.sum())
