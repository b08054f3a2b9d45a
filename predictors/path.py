"""The way of a part's indicator so far, as the trees see it: looks at steps of exposure that nothing but wear has laid.

A look is taken each STEP of the life of the fleet's median part, whatever the part's own life will be: nothing in the
features tells how much of it a part has behind it. A grid of its own life fractions would, and trees would find it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.indicator import READS

STEP = 0.0125  # of the fleet's median life
MOST = 8_000  # looks learned from, of more every second, third, ...: trees of that size stay in the cache
BACK = (1, 2, 4, 8)  # levels back, over which the pace is taken
LEAST = 1e-3  # of the median life; a level crossed before that was crossed at once
SINGLE = np.float32
Features = NDArray[np.float32]
FAINT = 0.005  # of the indicator's way: below it differences are noise


@dataclass(frozen=True, slots=True)
class Looked:
    """Hold r looks at units that ended: unit (r,) row of the unit; hits (r, L), NaN not yet crossed; reads (r, 5)."""

    unit: NDArray[np.int64]
    hits: Array
    reads: Array

    @property
    def at(self) -> Array:
        """Return the exposure at each look, (r,)."""
        return np.asarray(self.reads[:, 0])


def looked(ends: Array, hits: Array, looks: Array, scale: float) -> Looked:
    """Return the looks at units that ended at `ends`, (m,), NaN or zero for one that did not.

    hits: (m, L) when levels were crossed. looks: (m, G, 5). One look counts for each STEP of `scale`.
    """
    at = looks[:, :, 0]
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(looks).all(axis=2) & (at >= LEAST * scale) & (at < ends[:, None])
    unit, place = np.nonzero(usable)
    lives = float(np.nansum(np.maximum(ends, 0.0))) / (STEP * scale)
    step = STEP * scale * max(1.0, np.ceil(lives / MOST))
    cell = np.floor(at[unit, place] / step + 1e-6)
    first = np.append(True, (np.diff(unit) != 0) | (np.diff(cell) != 0))[: unit.size]
    unit, place = unit[first], place[first]
    reads = looks[unit, place]
    return Looked(unit.astype(np.int64), known(hits[unit], reads[:, 0]), reads)


def known(hits: Array, at: Array) -> Array:
    """Return the levels crossed by `at`, (r,), NaN elsewhere: what cannot be is not known either."""
    with np.errstate(invalid="ignore"):
        return np.where((hits > 0) & (hits <= at[:, None]), hits, np.nan)


def told(reads: Array, used: Array) -> NDArray[np.bool_]:
    """Return whose indicator has been read by the exposure `used`, (n,)."""
    with np.errstate(invalid="ignore"):
        known = np.asarray((reads[:, 0] >= 0) & (reads[:, 0] <= used))
    for column in reads.T:
        known &= np.isfinite(column)
    return known


def width(levels: int) -> int:
    """Return how many features there are for so many levels."""
    return 3 + levels + len(BACK) + READS


def features(hits: Array, reads: Array, way: Array, scale: float) -> Features:
    """Return what is known at looks `reads`, (r, 5), of parts that crossed levels at `hits`, (r, L): (r, width).

    In single precision, which is what trees compare in; a column's rows lie beside each other.

    way: (L,) by how much of its way to the end the indicator moves from level to level, from the first on. Columns: log
    exposure; levels crossed; mean of the indicator so far by its levels, log; log exposure at each level, at now where
    it is not crossed; share of the exposure that the last 1, 2, 4 and 8 levels took, log; the reads, as log.
    """
    levels, rows = hits.shape[::-1]
    columns = hits.T.astype(SINGLE, order="C")
    count = np.add.reduce(np.isfinite(columns), axis=0, dtype=np.int16).astype(np.intp)
    # Column by column, so that a row's result does not depend on how many rows stand beside it.
    table = np.empty((width(levels), rows), dtype=SINGLE)
    x = np.maximum(reads[:, 0] / scale, LEAST).astype(SINGLE)
    reached = table[3 : 3 + levels]
    np.divide(columns, SINGLE(scale), out=reached)
    np.fmin(reached, x, out=reached)
    np.maximum(reached, SINGLE(LEAST), out=reached)
    shares = reached / x
    mean = np.zeros(rows, dtype=SINGLE)
    for share, step in zip(shares, way.astype(SINGLE), strict=True):
        mean += step * (SINGLE(1.0) - share)
    table[0], table[1], table[2] = x, count, mean + SINGLE(0.002)
    for column, back in enumerate(BACK, start=3 + levels):
        since = shares[np.maximum(count - 1 - back, 0), np.arange(rows)]
        table[column] = np.maximum(SINGLE(1.0) - np.where(count > back, since, SINGLE(0.0)), SINGLE(0.002))
    np.add(reads[:, 1:].T.astype(SINGLE), SINGLE(FAINT), out=table[-READS:])
    np.log(table[0], out=table[0])
    np.log(table[2:], out=table[2:])
    return table.T
