"""Trees beside the levels' law: better where parts like this one were seen, silent where none were.

    log x_EOL = (1 - v) * (levels' law) + v * log((x + SHIFT) * exp(forest)),   v chosen on units left out

The forest learns log(x_EOL / (x + SHIFT)), not log x_EOL: that is one number for all looks at a unit, which trees
learn by heart. Law and trees are weighed, and the spread of what they say together is measured, on units that neither
has seen (stacking: Wolpert 1992, Neural Networks 5; conformal: Vovk et al. 2005); with groups, once more on whole
groups left out, for parts of a group that is new.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from predictors import lognormal, path
from predictors.artifact import DamagedArtifact
from predictors.batch import Array
from predictors.crossing import LevelCrossing
from predictors.forest import TREES, Forest
from predictors.gaussian import Prior
from predictors.history import History
from predictors.lognormal import recentred

FOLDS = 5  # in which units are left out to weigh law and trees
ENOUGH = 12  # ends of life before trees are asked
SHIFT = 0.03  # of the fleet's median life
SHARES = np.linspace(0.0, 1.0, 5)
CHUNK = 8192  # rows that the trees are asked about at once
_FACTORS = np.geomspace(0.3, 8.0, 34)  # on the law's spread, looked through for the least that covers
MARGIN = 0.5  # of the range of each feature: so far outside it the trees still speak
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
class _Seen:
    """Hold the looks at the units that ended and what a learner sees of them."""

    looks: path.Looked
    features: path.Features
    target: Array
    ends: Array
    stages: NDArray[np.int64]
    scale: float
    enough: bool


@dataclass(frozen=True, slots=True)
class Learner:
    """Hold the forest, the range of its features, (p,) each, and how far it is trusted for parts like those seen.

    scale: median life of those seen. way: (L,) the indicator's move from level to level over its way. strange: trust
    for parts of a group, or with features, unlike any seen.
    """

    forest: Forest
    scale: float
    way: Array
    low: Array
    high: Array
    known: Trust
    strange: Trust

    @classmethod
    def learn(cls, history: History, way: Array, prior: Prior) -> Self | None:
        """Return what finished cycles teach; None where none was looked at. Trees are asked from ENOUGH ends on."""
        ended = np.isfinite(history.exposure) & ~history.censored
        if history.hits is None or history.looks is None or not ended.any():
            return None
        scale = float(np.median(history.exposure[ended]))
        looks = path.looked(np.where(ended, history.exposure, 0.0), history.hits, history.looks, scale)
        if not looks.unit.size:
            return None
        table = path.features(looks.hits, looks.reads, way, scale)
        ends = history.exposure[looks.unit]
        target = np.log(ends / (looks.at + SHIFT * scale))
        stages = np.isfinite(looks.hits).sum(axis=1)
        seen = _Seen(looks, table, target, ends, stages, scale, np.unique(looks.unit).size >= ENOUGH)
        known = strange = _trust(seen, history, np.arange(len(history)), prior)
        if history.groups is not None and np.unique(history.groups[ended]).size > 1:
            strange = _trust(seen, history, history.groups, prior)
            strange = Trust(strange.share, np.maximum(strange.spread, known.spread))
        forest = Forest.grow(table, target, trees=TREES if seen.enough else 1)
        low, high = table.min(axis=0).astype(np.float64), table.max(axis=0).astype(np.float64)
        return cls(forest, scale, way, low, high, known, strange)

    def left(
        self,
        law: LevelCrossing,
        used: Array,
        hits: Array,
        reads: Array,
        quantiles: tuple[float, ...],
        *,
        novel: NDArray[np.bool_] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return exposure left (n, q), pace of wear (n,) and the trees' share in it (n,).

        reads: (n, 5) of parts that path.told tells of. novel: (n,) True for parts of a group that the model never saw.
        What is expected is what was expected at the last look; since then survival alone conditions: more wear never
        lengthens life.
        """
        hits = path.known(hits, reads[:, 0])
        at = np.maximum(reads[:, 0], path.LEAST * self.scale)
        count = np.isfinite(hits).sum(axis=1)
        location, share, strange = self._location(law, at, hits, reads, novel)
        trusted = np.where(strange, self.strange.spread[count], self.known.spread[count])
        wide, narrow = trusted * law.spread[count], np.minimum(trusted, 1.0) * law.spread[count]
        past = recentred((np.log(at) - location) / narrow, wide / narrow)
        left = lognormal.left(np.maximum(used, at), np.log(at) - past * wide, wide, quantiles)
        return left, np.exp(location - law.law.mean[-1]), share

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        trusts = {
            name: {"share": trust.share, "spread": trust.spread.tolist()}
            for name, trust in (("known", self.known), ("strange", self.strange))
        }
        ranges = {"way": self.way.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}
        return {"forest": self.forest.written(), "scale": self.scale, **ranges, **trusts}

    @classmethod
    def read(cls, numbers: Mapping[str, Any], levels: int) -> Self:
        """Return what was written; raise DamagedArtifact where it is no learner over `levels` levels."""
        try:
            way, low, high = (np.array(numbers[name], dtype=np.float64) for name in ("way", "low", "high"))
            trusts = [
                Trust(float(told["share"]), np.array(told["spread"], dtype=np.float64))
                for told in (numbers["known"], numbers["strange"])
            ]
            scale, forest = float(numbers["scale"]), numbers["forest"]
        except (KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise DamagedArtifact(f"artifact's learner cannot be read: {wrong}") from None
        width = path.width(levels)
        fits = way.shape == (levels,) and low.shape == high.shape == (width,) and np.isfinite(scale) and scale > 0
        fits = fits and all(np.isfinite(column).all() for column in (way, low, high))
        sound = all(
            0 <= trust.share <= 1
            and trust.spread.shape == (levels + 1,)
            and (trust.spread > 0).all()
            and np.isfinite(trust.spread).all()
            for trust in trusts
        )
        if not (fits and sound and isinstance(forest, Mapping)):
            raise DamagedArtifact(f"artifact's learner does not fit {levels} declared levels")
        return cls(Forest.read(forest, width), scale, way, low, high, *trusts)

    def _location(
        self, law: LevelCrossing, at: Array, hits: Array, reads: Array, novel: NDArray[np.bool_] | None
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return the expected log exposure at the end, the trees' share in it, and whether the part is strange."""
        trees, outside = self._trees(at, hits, reads)
        new = np.zeros(at.size, dtype=bool) if novel is None else novel
        share = np.where(outside, 0.0, np.where(new, self.strange.share, self.known.share))
        location = law.expected(at, hits)
        return np.where(share > 0, location + share * (trees - location), location), share, outside | new

    def _trees(self, at: Array, hits: Array, reads: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return the log exposure at the end as trees expect it, (n,), and whose features are unlike any seen.

        A CHUNK of rows at a time, so that they stay in the cache, those that are alike one after another.
        """
        trees, outside = np.empty(at.size), np.empty(at.size, dtype=bool)
        room = MARGIN * (self.high - self.low)
        low, high = (self.low - room).astype(path.SINGLE), (self.high + room).astype(path.SINGLE)
        order = np.lexsort((np.isfinite(hits).sum(axis=1), at))
        for start in range(0, at.size, CHUNK):
            rows = order[start : start + CHUNK]
            table = path.features(hits[rows], reads[rows], self.way, self.scale)
            outside[rows] = ((table < low) | (table > high)).any(axis=1)
            trees[rows] = self.forest.predict(table)
        return trees + np.log(at + SHIFT * self.scale), outside


def _trust(seen: _Seen, history: History, groups: NDArray[np.int64], prior: Prior) -> Trust:
    """Return share and spread as they prove themselves on groups left out, at most FOLDS folds of them."""
    fold = np.searchsorted(np.unique(groups), groups) % FOLDS
    unit, at, stages = seen.looks.unit, seen.looks.at, seen.stages
    by_law, by_trees, sd = (np.full(at.size, np.nan) for _ in range(3))
    for out in np.unique(fold[unit]):
        law = LevelCrossing.learn(history.take(fold != out), prior=prior)
        here, others = fold[unit] == out, fold[unit] != out
        if law is None:
            continue
        by_law[here], sd[here] = law.expected(at[here], seen.looks.hits[here]), law.spread[stages[here]]
        if np.unique(unit[others]).size >= ENOUGH // 2:
            grown = Forest.grow(seen.features[others], seen.target[others], trees=TREES // 2)
            by_trees[here] = grown.predict(seen.features[here]) + np.log(at[here] + SHIFT * seen.scale)
    levels = seen.looks.hits.shape[1]
    known = np.isfinite(by_law)
    if not known.any():
        return Trust(0.0, np.full(levels + 1, 1.5))
    shares = SHARES if seen.enough and np.isfinite(by_trees[known]).all() else SHARES[:1]
    mixed = [np.where(share > 0, (1.0 - share) * by_law + share * by_trees, by_law) for share in shares]
    errors = [np.mean(np.abs(np.maximum(np.exp(one[known]), at[known]) - seen.ends[known])) for one in mixed]
    best = int(np.argmin(errors))
    errors_of_best = _Errors(
        now=(np.log(at) - mixed[best])[known] / sd[known],
        end=(np.log(seen.ends) - mixed[best])[known] / sd[known],
        stage=stages[known],
        unit=unit[known],
    )
    return Trust(float(shares[best]), errors_of_best.calibrated(levels))


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
