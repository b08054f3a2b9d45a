"""The way of a part's indicator so far, as the learner sees it: features at moments that nothing but wear has chosen.

A moment is a level crossed, or a further WAIT of the life of the fleet's median part without the next one. Taking
features at moments, not at every reading, has two ends: a forecast is made anew only when there is news, and nothing in
the features tells how much of its own life a part has behind it, which a grid of life fractions would.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array

WAIT = 0.025  # of the fleet's median life
MOST_WAITS = 80  # two median lives without a level crossed: nothing more is learned from that
BACK = (1, 2, 4, 8)  # levels back, over which the pace is taken
LEAST = 1e-3  # of the median life; a level crossed before that was crossed at once


@dataclass(frozen=True, slots=True)
class Moments:
    """Hold r moments in the lives of m units.

    unit: (r,) row of the unit. at: (r,) exposure. hits: (r, L) levels crossed by then, NaN not yet. lasts: (r,)
    exposure until the unit's next moment or its end.
    """

    unit: NDArray[np.int64]
    at: Array
    hits: Array
    calm: Array
    lasts: Array


def moments(ends: Array, hits: Array, calm: Array, scale: float) -> Moments:
    """Return every moment in the lives of units that ended at `ends`, (m,), having crossed levels at `hits`, (m, L).

    calm: (m, C) when calmer signals crossed theirs (predictors.indicator); C may be zero.
    """
    units, at, lasts = [], [], []
    for i, end in enumerate(ends):
        news = np.concatenate([hits[i], calm[i]])
        crossed = news[np.isfinite(news) & (news < end)]
        if not end > 0:
            continue
        starts = np.unique(np.concatenate([[0.0], crossed, [end]]))
        places = [
            start + WAIT * scale * np.arange(int(waits(start, stop, scale)) + 1)
            for start, stop in itertools.pairwise(starts)
        ]
        mine = np.concatenate(places)
        mine = mine[(mine >= LEAST * scale) & (mine < end)]
        units.append(np.full(mine.size, i))
        at.append(mine)
        lasts.append(np.diff(mine, append=end))
    unit = np.concatenate([np.empty(0), *units]).astype(np.int64)
    place, last = np.concatenate([np.empty(0), *at]), np.concatenate([np.empty(0), *lasts])
    return Moments(unit, place, known(hits[unit], place), known(calm[unit], place), last)


def known(hits: Array, at: Array) -> Array:
    """Return the levels crossed by `at`, (r,), NaN elsewhere: what cannot be is not known either."""
    with np.errstate(invalid="ignore"):
        return np.where((hits > 0) & (hits <= at[:, None]), hits, np.nan)


def width(levels: int, calm: int) -> int:
    """Return how many features there are for so many levels and calmer ones."""
    return 3 + levels + len(BACK) + calm + 1


def waits(since: float | Array, now: float | Array, scale: float) -> NDArray[np.int64]:
    """Return how many whole WAITs lie between the last level crossed and now."""
    whole = np.floor((np.asarray(now) - since) / (WAIT * scale) - 1e-9)
    return np.asarray(np.clip(whole, 0, MOST_WAITS), dtype=np.int64)


def features(at: Array, hits: Array, calm: Array, shares: Array, scale: float) -> Array:
    """Return what is known at exposures `at`, (r,), of parts that crossed levels at `hits`, (r, L): (r, width).

    shares: (L,) by how much of its way to the end the indicator rises from level to level, from the first on; they sum
    to at most 1. Columns: log exposure; levels crossed; mean of the indicator so far over its end; log exposure at each
    level, at now where it is not crossed; share of the exposure that the last 1, 2, 4 and 8 levels took, log; log
    exposure at each calmer level, (r, C), and their count.
    """
    crossed = np.isfinite(hits)
    count = crossed.sum(axis=1)
    x = np.maximum(at / scale, LEAST)
    reached = np.clip(np.where(crossed, hits, at[:, None]) / scale, LEAST, x[:, None])
    mean = ((1.0 - reached / x[:, None]) * shares).sum(axis=1)
    rows = np.arange(at.size)
    columns = [np.log(x), count.astype(np.float64), np.log(mean + 0.002)]
    columns += list(np.log(reached).T)
    for back in BACK:
        since = np.where(count > back, reached[rows, np.maximum(count - 1 - back, 0)], 0.0)
        columns.append(np.log(np.maximum(1.0 - since / x, 0.002)))
    calmly = np.isfinite(calm)
    columns += list(np.log(np.clip(np.where(calmly, calm, at[:, None]) / scale, LEAST, x[:, None])).T)
    columns.append(calmly.sum(axis=1).astype(np.float64))
    return np.column_stack(columns)
