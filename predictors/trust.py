"""How far trees and the levels' law are trusted: as they prove themselves on units, or groups of units, left out.

Law and trees are weighed, and the spread of what they say together is measured, on looks at units that neither has seen
(stacking: Wolpert 1992, Neural Networks 5; conformal: Vovk et al. 2005). Those units have not taught the exposure clock
either (predictors.reckoning).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from predictors import path
from predictors.batch import Array
from predictors.crossing import LevelCrossing
from predictors.forest import Forest
from predictors.gaussian import Prior
from predictors.history import History
from predictors.lognormal import recentred
from predictors.reckoning import Without

FOLDS = 5  # in which units are left out to weigh law and trees
ENOUGH = 12  # ends of life before trees are asked
SHIFT = 0.03  # of the fleet's median life
SHARES = np.linspace(0.0, 1.0, 5)
_FACTORS = np.geomspace(0.3, 8.0, 34)  # on the law's spread, looked through for the least that covers
INNER = 0.8  # the interval that calibration makes honest
_FEW = 10  # units: below it a stage borrows from its neighbours


@dataclass(frozen=True, slots=True)
class Trust:
    """Hold what proves true on units left out.

    share: of the trees, 0 to 1. spread: (L + 1,) factor on the levels' law's standard deviation, by levels crossed.
    """

    share: float
    spread: Array


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold the looks at the units that ended, what a learner sees of them, and what it is to learn.

    target: (r,) log of the exposure at the end over that at the look, SHIFT added. ends: (r,). stages: (r,) levels
    crossed. way: (L,) the indicator's move from level to level over its way. scale: median life.
    """

    looks: path.Looked
    features: path.Features
    target: Array
    ends: Array
    stages: NDArray[np.int64]
    way: Array
    scale: float

    @classmethod
    def of(cls, history: History, way: Array) -> Self | None:
        """Return what finished cycles show; None where none was looked at."""
        ended = np.isfinite(history.exposure) & ~history.censored
        if history.hits is None or history.looks is None or not ended.any():
            return None
        scale = float(np.median(history.exposure[ended]))
        looks = path.looked(np.where(ended, history.exposure, 0.0), history.hits, history.looks, scale)
        if not looks.unit.size:
            return None
        ends = history.exposure[looks.unit]
        target = np.log(ends / (looks.at + SHIFT * scale))
        stages = np.isfinite(looks.hits).sum(axis=1)
        return cls(looks, path.features(looks.hits, looks.reads, way, scale), target, ends, stages, way, scale)

    @property
    def enough(self) -> bool:
        """Whether trees may be asked."""
        return bool(np.unique(self.looks.unit).size >= ENOUGH)


def proved(seen: Seen, groups: NDArray[np.int64], prior: Prior, without: Without) -> Trust:
    """Return share and spread as they prove themselves on groups (m,) left out, at most FOLDS folds of them."""
    fold = np.searchsorted(np.unique(groups), groups) % FOLDS
    found = [
        said
        for out in np.unique(fold[seen.looks.unit])
        if (said := _said(without(fold == out), fold == out, prior, seen.way)) is not None
    ]
    levels = seen.looks.hits.shape[1]
    if not found:
        return Trust(0.0, np.full(levels + 1, 1.5))
    at, ends, by_law, sd, by_trees = (
        np.concatenate([getattr(said, name) for said in found]) for name in ("at", "ends", "law", "sd", "trees")
    )
    stage, unit = (np.concatenate([getattr(said, name) for said in found]) for name in ("stage", "unit"))
    shares = SHARES if seen.enough and np.isfinite(by_trees).all() else SHARES[:1]
    mixed = [np.where(share > 0, (1.0 - share) * by_law + share * by_trees, by_law) for share in shares]
    errors = [np.mean(np.abs(np.maximum(np.exp(one), at) - ends)) for one in mixed]
    best = int(np.argmin(errors))
    now, end = (np.log(at) - mixed[best]) / sd, (np.log(ends) - mixed[best]) / sd
    return Trust(float(shares[best]), _Errors(now, end, stage, unit).calibrated(levels))


@dataclass(frozen=True, slots=True)
class _Said:
    """Hold what law and trees said of r looks at units that neither had seen: log exposure at the end, beside it.

    at, ends: exposure at the look and at the end. sd: of the law. trees: NaN where too few units taught them.
    """

    unit: NDArray[np.int64]
    at: Array
    ends: Array
    stage: NDArray[np.int64]
    law: Array
    sd: Array
    trees: Array


def _said(history: History, out: NDArray[np.bool_], prior: Prior, way: Array) -> _Said | None:
    """Return what the cycles not in `out`, (m,), teach about those that are; None where they are too few."""
    law, seen = LevelCrossing.learn(history.take(~out), prior=prior), Seen.of(history, way)
    if law is None or seen is None:
        return None
    here, unit = out[seen.looks.unit], seen.looks.unit
    at, stages = seen.looks.at[here], seen.stages[here]
    trees = np.full(at.size, np.nan)
    if np.unique(unit[~here]).size >= ENOUGH // 2:
        grown = Forest.grow(seen.features[~here], seen.target[~here])
        trees = grown.predict(seen.features[here]) + np.log(at + SHIFT * seen.scale)
    expected = law.expected(at, seen.looks.hits[here])
    return _Said(unit[here], at, seen.ends[here], stages, expected, law.spread[stages], trees)


@dataclass(frozen=True, slots=True)
class _Errors:
    """Hold how far now and the end lay from what was expected, in standard deviations of the law, at r looks."""

    now: Array
    end: Array
    stage: NDArray[np.int64]
    unit: NDArray[np.int64]

    def calibrated(self, levels: int) -> Array:
        """Return the factor on the spread, (levels + 1,), by levels crossed: the least whose 80 % interval holds.

        The interval is that of the truncated law, as it will be forecast, its median where the law's own spread puts
        it. The finite-sample rank (Vovk et al. 2005) counts units, for the looks at a unit are one draw.
        """
        factor = np.ones(levels + 1)
        few = min(_FEW, max(4, np.unique(self.unit).size // 2 + 1))
        for stage in range(levels + 1):
            near = 0
            while near < levels and np.unique(self.unit[np.abs(self.stage - stage) <= near]).size < few:
                near += 1
            factor[stage] = self._least(np.abs(self.stage - stage) <= near)
        return factor

    def _least(self, rows: NDArray[np.bool_]) -> float:
        units = np.unique(self.unit[rows]).size
        wanted = min(np.ceil((units + 1) * INNER) / units, 1.0) - 1e-9 if units else 2.0
        tail = (1.0 - INNER) / 2.0
        for factor in _FACTORS:
            narrow = min(float(factor), 1.0)
            now = recentred(self.now[rows] / narrow, factor / narrow)
            end = now + (self.end[rows] - self.now[rows]) / factor
            passed = -np.expm1(log_ndtr(-end) - log_ndtr(-now))
            if ((passed >= tail) & (passed <= 1.0 - tail)).mean() >= wanted:
                return float(factor)
        return float(_FACTORS[-1])
