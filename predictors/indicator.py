"""From a recorded indicator to the exposure at which its levels were crossed, and to what it reads now."""

import numpy as np
from numpy.typing import NDArray

from predictors.batch import UTMOST, Array

WIDTH = 21
WINDOWS = (1, 5, 15)  # over which the indicator is averaged
READS = len(WINDOWS) + 1
MOST_LOOKS = 1000


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


def reads(exposure: Array, indicator: Array, at: Array, *, way: tuple[float, float], width: int = WIDTH) -> Array:
    """Return what the indicator read at exposures `at`, (k,), ascending: (k, 1 + READS), NaN before a window was seen.

    Columns: the exposure of the last sample by then; the mean over the last 1, 5 and 15 windows of `width` samples; the
    mean over the part's whole exposure. Means are of shares of the way from way[0], a new part's, to way[1], the end's,
    zero below it.
    Where a level lies within the noise, a mean tells where the indicator is, a crossing only where the noise was.
    """
    seen = _believed(indicator) & np.isfinite(exposure)
    clock, signal = np.asarray(exposure, dtype=np.float64)[seen], np.asarray(indicator, dtype=np.float64)[seen]
    out = np.full((at.size, 1 + READS), np.nan)
    samples = np.searchsorted(clock, at, side="right")
    told = samples >= width
    n = samples[told]
    if not n.size:
        return out
    share = np.maximum((signal - way[0]) / (way[1] - way[0]), 0.0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    worn = np.concatenate([[0.0], np.cumsum(share * np.diff(clock, prepend=0.0))])
    out[told, 0] = clock[n - 1]
    for column, windows in enumerate(WINDOWS, start=1):
        since = np.maximum(n - windows * width, 0)
        out[told, column] = (total[n] - total[since]) / (n - since)
    out[told, -1] = worn[n] / np.where(clock[n - 1] > 0, clock[n - 1], 1.0)
    return out


def looks(exposure: Array, indicator: Array, step: float, *, way: tuple[float, float], width: int = WIDTH) -> Array:
    """Return what a part's indicator read each `step` of exposure, (k, 1 + READS), until its recording ends.

    Steps are of the clock, never of the part's own life: at a known share of its life the exposure is the answer.
    """
    clock = np.asarray(exposure, dtype=np.float64)
    last = float(np.nanmax(clock, initial=0.0))
    count = min(int(last / step) if 0 < step <= last else 0, MOST_LOOKS)
    grid: Array = step * np.arange(1.0, count + 1.0)
    table = reads(clock, indicator, grid, way=way, width=width)
    return table[np.isfinite(table[:, 0])]


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
