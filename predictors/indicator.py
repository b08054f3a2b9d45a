"""From a recorded indicator to the exposure at which its levels were crossed."""

import numpy as np
from numpy.typing import NDArray

from predictors.batch import UTMOST, Array

WIDTH = 21
CALM = 5


def smooth(values: Array, width: int = WIDTH) -> Array:
    """Return the running median over the last `width` values, (n,); causal, NaN skipped, fewer at the start."""
    values = np.asarray(values, dtype=np.float64)
    seen = _believed(values)
    compact = values[seen]
    out = np.full(values.shape, np.nan)
    if not compact.size:
        return out
    medians = np.empty(compact.size)
    head = min(width - 1, compact.size)
    medians[:head] = [np.median(compact[: i + 1]) for i in range(head)]
    if compact.size >= width:
        medians[width - 1 :] = np.median(np.lib.stride_tricks.sliding_window_view(compact, width), axis=1)
    out[seen] = medians
    return out


def crossings(exposure: Array, indicator: Array, levels: tuple[float, ...], *, width: int = WIDTH) -> Array:
    """Return the exposure at which the smoothed indicator first reached each level, (L,), NaN not yet.

    exposure, indicator: (n,) in order of time, exposure non-decreasing. Levels fall where the indicator falls with
    wear. A level counts once a whole window has been seen: a few noisy values at the start cross nothing.
    """
    smoothed = smooth(indicator, width)
    seen = np.isfinite(smoothed) & np.isfinite(exposure)
    clock = np.asarray(exposure, dtype=np.float64)[seen]
    return _first(clock[width - 1 :], smoothed[seen][width - 1 :], levels)


def calm_crossings(exposure: Array, indicator: Array, levels: tuple[float, ...], *, width: int = WIDTH) -> Array:
    """Return the exposure at which two calmer signals first reached each level, (2 L,), NaN not yet.

    First the indicator's mean over the last CALM windows, then its mean over the part's whole exposure so far. Where a
    level lies within the noise, they cross it when the indicator is there, not when the noise is; they lag instead.
    """
    seen = _believed(indicator) & np.isfinite(exposure)
    clock, signal = np.asarray(exposure, dtype=np.float64)[seen], np.asarray(indicator, dtype=np.float64)[seen]
    if clock.size < width:
        return np.full(2 * len(levels), np.nan)
    total = np.concatenate([[0.0], np.cumsum(signal)])
    span = CALM * width
    recent = (total[span:] - total[:-span]) / span if clock.size >= span else np.empty(0)
    steps = np.diff(clock, prepend=0.0)
    worn = np.cumsum(steps)
    life = np.cumsum(signal * steps) / np.where(worn > 0, worn, 1.0)
    return np.concatenate(
        [
            _first(clock[clock.size - recent.size :], recent, levels),
            _first(clock[width - 1 :], life[width - 1 :], levels),
        ]
    )


def _believed(values: Array) -> NDArray[np.bool_]:
    """Return which values an indicator can have, (n,): beyond UTMOST their sums would overflow."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) <= UTMOST)


def _first(clock: Array, signal: Array, levels: tuple[float, ...]) -> Array:
    """Return the clock at which the signal first reached each level, (L,), falling levels from above."""
    hits = np.full(len(levels), np.nan)
    if not signal.size:
        return hits
    way = np.asarray(levels, dtype=np.float64)
    if way.size > 1 and way[-1] < way[0]:
        signal, way = -signal, -way
    reached = np.maximum.accumulate(signal)
    first = np.searchsorted(reached, way, side="left")
    crossed = first < reached.size
    hits[crossed] = clock[first[crossed]]
    return hits
