"""Can the indicator be believed? A sensor that stuck, that jumped, that reads what no part can.

Each fault is found in the part's own series, nothing else: constant for too long while running; a rise within one look
at an exposure that did not change, which wear cannot make; a level below what any fresh part reads. A faulty indicator
is not used: the forecast falls back to exposure, and says so.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.changepoint import calm, pack, spread

STILL = 24  # looks that say exactly the same, and
TIMES = 3  # so many times as long as ever before: coarse sensors repeat themselves
NEVER = 48  # looks of a series that never changed at all
SIDE = 6  # looks on each side of a jump
RISE = 0.4  # log step, half as much again, which is no noise and no wear within one look
SUDDEN = 0.7  # share of a jump that lies within one look
DEVIATIONS = 6.0  # of the noise that a jump exceeds
BELOW = 0.5  # log distance below a fresh part's level
FRESH_DEVIATIONS = 4.0  # of fresh parts' spread
SHORT = 3  # looks: fewer say nothing


class Fault(IntEnum):
    """What is wrong with an indicator."""

    NONE = 0
    SHORT = 1  # too few looks to judge; nothing is crossed yet either
    UNORDERED = 2  # exposure runs backwards: the series was put together wrongly
    STUCK = 3
    JUMPED = 4  # the sensor moved, or was exchanged
    BIASED = 5  # reads what no fresh part reads, or nothing at all while running


def check(
    y: Array, exposure: Array, fresh: Array, fresh_sd: Array, said: Array | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the Fault of each series, (n,), and the column at which a JUMPED one jumped, -1 elsewhere.

    y: (n, T) log indicator while running (changepoint.log_scale), NaN where nobody looked or nothing above zero was
    read. exposure: (n, T) at each look, NaN where nobody looked. fresh, fresh_sd: (n,) log level of a fresh part, and
    its spread; NaN unknown. said: (n, T) what the sensor said itself, where y is normalised by flow; None = y.
    Raises ValueError where shapes differ.
    """
    if y.ndim != 2 or exposure.shape != y.shape or fresh.shape != y.shape[:1] or fresh_sd.shape != y.shape[:1]:
        raise ValueError(f"indicator has shape {y.shape}, exposure {exposure.shape}, fresh {fresh.shape}")
    packed, places, count = pack(y)
    looks = np.isfinite(exposure).sum(axis=1)
    jump = _jump(packed, count)
    with np.errstate(invalid="ignore"):
        low = _last(packed, count) < fresh - np.maximum(FRESH_DEVIATIONS * fresh_sd, BELOW)
        faults = (
            (_backwards(exposure), Fault.UNORDERED),
            ((looks >= 2 * SHORT) & (count < looks / 2), Fault.BIASED),
            (count < SHORT, Fault.SHORT),
            (_stuck(*pack(y if said is None else said)), Fault.STUCK),
            (jump >= 0, Fault.JUMPED),
            (low, Fault.BIASED),
        )
    found = np.select([holds for holds, _ in faults], [int(fault) for _, fault in faults], int(Fault.NONE))
    at = np.where(found == Fault.JUMPED, places[np.arange(len(y)), np.maximum(jump, 0)], -1) if y.shape[1] else jump
    return found, at


def _backwards(exposure: Array) -> NDArray[np.bool_]:
    packed, _, _ = pack(exposure)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.diff(packed, axis=1) < -1e-9).any(axis=1))


def _stuck(packed: Array, _: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where the last looks say exactly the same for longer than ever before, (n,)."""
    n, width = packed.shape
    if width < 2:
        return np.zeros(n, dtype=bool)
    same = np.zeros((n, width), dtype=bool)
    same[:, 1:] = np.diff(packed, axis=1) == 0.0
    columns = np.arange(width)
    changed = np.maximum.accumulate(np.where(same, 0, columns), axis=1)
    run = columns - changed + 1  # looks that say the same up to here
    last = np.maximum(count - 1, 0)
    row = np.arange(n)
    tail, began = run[row, last], changed[row, last]
    before = np.where(columns < began[:, None], run, 0).max(axis=1)
    return np.asarray((tail >= np.where(began == 0, NEVER, STILL)) & (tail >= TIMES * before) & (count > 0))


def _jump(packed: Array, count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the packed column of the greatest sudden rise of each series, (n,); -1 none."""
    n, width = packed.shape
    if width < 2 * SIDE:
        return np.full(n, -1)
    level = calm(packed)
    tau = np.arange(SIDE, width - SIDE + 1)
    sides = np.lib.stride_tricks.sliding_window_view(level, SIDE, axis=1).mean(axis=2)
    rise = sides[:, tau] - sides[:, tau - SIDE]
    noise = spread(packed, np.zeros_like(count)) * np.sqrt(2.0 / SIDE)
    with np.errstate(invalid="ignore"):
        sudden = level[:, tau] - level[:, tau - 1] >= SUDDEN * rise
        holds = sudden & (rise >= np.maximum(RISE, DEVIATIONS * noise)[:, None])
    best = np.argmax(np.where(holds, rise, -np.inf), axis=1)
    return np.where(holds.any(axis=1), tau[best], -1)


def _last(packed: Array, count: NDArray[np.int64]) -> Array:
    """Return the median of the last looks of each series, (n,)."""
    if not packed.shape[1]:
        return np.full(packed.shape[0], np.nan)
    columns = np.maximum(count[:, None] - 1 - np.arange(SHORT), 0)
    return np.asarray(np.median(np.take_along_axis(packed, np.minimum(columns, packed.shape[1] - 1), axis=1), axis=1))
