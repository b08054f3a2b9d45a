"""Trees beside the levels' law: better where parts like this one were seen, silent where none were.

    log x_EOL = (1 - v) * (levels' law) + v * log((x + SHIFT) * exp(forest)),   v chosen on units left out

The forest learns log(x_EOL / (x + SHIFT)), not log x_EOL: that is one number for all moments of a unit, which trees
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
MOST = 400  # ended units whose moments are learned from: beyond that, they say the same again
ENOUGH = 12  # ends of life before trees are asked
SHIFT = 0.3  # of the fleet's median life
SHARES = np.linspace(0.0, 1.0, 5)
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
    """Hold the moments of the units that ended and what a learner sees of them."""

    moments: path.Moments
    features: Array
    target: Array
    ends: Array
    stages: NDArray[np.int64]
    scale: float
    enough: bool


@dataclass(frozen=True, slots=True)
class Learner:
    """Hold the forest, the range of its features, (p,) each, and how far it is trusted for parts like those seen.

    scale: median life of those seen. way: (L,) the indicator's rise from level to level over its end. calm: how
    many calmer levels it reads. strange: trust
    for parts of a group, or with features, unlike any seen.
    """

    forest: Forest
    scale: float
    way: Array
    calm: int
    low: Array
    high: Array
    known: Trust
    strange: Trust

    @classmethod
    def learn(cls, history: History, way: Array, prior: Prior) -> Self | None:
        """Return what finished cycles teach; None where none crossed a level. Trees are asked from ENOUGH ends on."""
        ended = np.isfinite(history.exposure) & ~history.censored
        if history.hits is None or not ended.any():
            return None
        scale = float(np.median(history.exposure[ended]))
        calm = np.empty((len(history), 0)) if history.calm is None else history.calm
        asked = np.where(_spread_out(history.exposure, ended), history.exposure, 0.0)
        moments = path.moments(asked, history.hits, calm, scale)
        if not np.isfinite(moments.hits).any():
            return None
        table = path.features(moments.at, moments.hits, moments.calm, way, scale)
        ends = history.exposure[moments.unit]
        target = np.log(ends / (moments.at + SHIFT * scale))
        stages = np.isfinite(moments.hits).sum(axis=1)
        seen = _Seen(moments, table, target, ends, stages, scale, np.unique(moments.unit).size >= ENOUGH)
        known = strange = _trust(seen, history, np.arange(len(history)), prior)
        if history.groups is not None and np.unique(history.groups[ended]).size > 1:
            strange = _trust(seen, history, history.groups, prior)
            strange = Trust(strange.share, np.maximum(strange.spread, known.spread))
        forest = Forest.grow(table, target, trees=TREES if seen.enough else 1)
        return cls(forest, scale, way, calm.shape[1], table.min(axis=0), table.max(axis=0), known, strange)

    def left(
        self,
        law: LevelCrossing,
        used: Array,
        hits: Array,
        calm: Array | None,
        quantiles: tuple[float, ...],
        *,
        novel: NDArray[np.bool_] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return exposure left (n, q), pace of wear (n,) and the trees' share in it (n,).

        novel: (n,) True for parts of a group that the model never saw. From one moment to the next (predictors.path)
        survival alone conditions the law, and a wait leaves at most what the moments before it left: more wear never
        lengthens life.
        """
        hits = path.known(hits, used)
        told = calm is not None and calm.shape[1] == self.calm
        calm = path.known(calm, used) if told and calm is not None else np.full((used.size, self.calm), np.nan)
        news = np.column_stack([hits, calm])
        last = np.where(np.isfinite(news), news, 0.0).max(axis=1)
        count = np.isfinite(hits).sum(axis=1)
        steps = path.waits(last, used, self.scale)
        spread, fleets = law.spread, law.law.mean[-1]
        least, pace, share = np.full((used.size, len(quantiles)), np.inf), np.empty(used.size), np.empty(used.size)
        for step in range(int(steps.max(initial=0)) + 1):
            rows = np.flatnonzero(steps >= step)
            began = last[rows] + step * path.WAIT * self.scale
            until = np.where(steps[rows] > step, began + path.WAIT * self.scale, np.inf)
            at = np.maximum(began, path.LEAST * self.scale)
            location, weight, strange = self._location(
                law, at, hits[rows], calm[rows], None if novel is None else novel[rows]
            )
            pace[rows], share[rows] = np.exp(location - fleets), weight
            here = np.minimum(used[rows], until)
            for odd in (False, True):
                trust = self.strange if odd else self.known
                for crossed in np.unique(count[rows]):
                    some = np.flatnonzero((count[rows] == crossed) & (strange == odd))
                    if some.size:
                        sd = float(spread[crossed])
                        wide, narrow = float(trust.spread[crossed]), min(float(trust.spread[crossed]), 1.0)
                        now = np.log(at[some]) - location[some]
                        past = lognormal.recentred(now / (narrow * sd), wide / narrow)
                        centre = np.log(at[some]) - past * wide * sd
                        left = lognormal.left(here[some], centre, wide * sd, quantiles)
                        least[rows[some]] = np.minimum(least[rows[some]], left)
        return least, pace, share

    def written(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        trusts = {
            name: {"share": trust.share, "spread": trust.spread.tolist()}
            for name, trust in (("known", self.known), ("strange", self.strange))
        }
        ranges = {"way": self.way.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}
        return {"forest": self.forest.written(), "scale": self.scale, "calm": self.calm, **ranges, **trusts}

    @classmethod
    def read(cls, numbers: Mapping[str, Any], levels: int) -> Self:
        """Return what was written; raise DamagedArtifact where it is no learner over `levels` levels."""
        try:
            way, low, high = (np.array(numbers[name], dtype=np.float64) for name in ("way", "low", "high"))
            trusts = [
                Trust(float(told["share"]), np.array(told["spread"], dtype=np.float64))
                for told in (numbers["known"], numbers["strange"])
            ]
            scale, calm, forest = float(numbers["scale"]), int(numbers["calm"]), numbers["forest"]
        except (KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise DamagedArtifact(f"artifact's learner cannot be read: {wrong}") from None
        width = path.width(levels, max(calm, 0))
        fits = way.shape == (levels,) and low.shape == high.shape == (width,) and np.isfinite(scale) and scale > 0
        fits = fits and calm >= 0 and all(np.isfinite(column).all() for column in (way, low, high))
        sound = all(
            0 <= trust.share <= 1
            and trust.spread.shape == (levels + 1,)
            and (trust.spread > 0).all()
            and np.isfinite(trust.spread).all()
            for trust in trusts
        )
        if not (fits and sound and isinstance(forest, Mapping)):
            raise DamagedArtifact(f"artifact's learner does not fit {levels} declared levels")
        return cls(Forest.read(forest, width), scale, way, calm, low, high, *trusts)

    def _location(
        self, law: LevelCrossing, at: Array, hits: Array, calm: Array, novel: NDArray[np.bool_] | None
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return the expected log exposure at the end, the trees' share in it, and whether the part is strange."""
        table = path.features(at, hits, calm, self.way, self.scale)
        room = MARGIN * (self.high - self.low)
        outside = ((table < self.low - room) | (table > self.high + room)).any(axis=1)
        new = np.zeros(at.size, dtype=bool) if novel is None else novel
        weight = np.where(outside, 0.0, np.where(new, self.strange.share, self.known.share))
        location = law.expected(at, hits)
        heard = np.flatnonzero(weight > 0)
        trees = self.forest.predict(table[heard]) + np.log(at[heard] + SHIFT * self.scale)
        location[heard] += weight[heard] * (trees - location[heard])
        return location, weight, outside | new


def _spread_out(ends: Array, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return at most MOST of the units that ended, (m,), evenly over their lives whatever their order."""
    rows = np.flatnonzero(ended)
    if rows.size <= MOST:
        return ended
    chosen = rows[np.argsort(ends[rows], kind="stable")][np.linspace(0, rows.size - 1, MOST).astype(int)]
    kept = np.zeros(ended.size, dtype=bool)
    kept[chosen] = True
    return kept


def _trust(seen: _Seen, history: History, groups: NDArray[np.int64], prior: Prior) -> Trust:
    """Return share, offset and spread as they prove themselves on groups left out, at most FOLDS folds of them."""
    fold = np.searchsorted(np.unique(groups), groups) % FOLDS
    unit, at, stages = seen.moments.unit, seen.moments.at, seen.stages
    by_law, by_trees, sd = (np.full(at.size, np.nan) for _ in range(3))
    for out in np.unique(fold[unit]):
        law = LevelCrossing.learn(history.take(fold != out), prior=prior)
        here, others = fold[unit] == out, fold[unit] != out
        if law is None:
            continue
        by_law[here], sd[here] = law.expected(at[here], seen.moments.hits[here]), law.spread[stages[here]]
        if np.unique(unit[others]).size >= ENOUGH // 2:
            trees = Forest.grow(seen.features[others], seen.target[others], trees=TREES // 2).predict(
                seen.features[here]
            )
            by_trees[here] = trees + np.log(at[here] + SHIFT * seen.scale)
    levels = seen.moments.hits.shape[1]
    known = np.isfinite(by_law)
    if not known.any():
        return Trust(0.0, np.full(levels + 1, 1.5))
    shares = SHARES if seen.enough and np.isfinite(by_trees[known]).all() else SHARES[:1]
    mixed = [np.where(share > 0, (1.0 - share) * by_law + share * by_trees, by_law) for share in shares]
    lasts, ends = seen.moments.lasts[known], seen.ends[known]
    guesses = [np.maximum(np.exp(one[known]), at[known]) for one in mixed]
    errors = [np.average(np.abs(guess - ends), weights=lasts) for guess in guesses]
    best = int(np.argmin(errors))
    errors_of_best = _Errors(
        now=(np.log(at) - mixed[best])[known] / sd[known],
        end=(np.log(seen.ends) - mixed[best])[known] / sd[known],
        stage=stages[known],
        unit=unit[known],
        weight=seen.moments.lasts[known],
    )
    return Trust(float(shares[best]), errors_of_best.calibrated(levels))


@dataclass(frozen=True, slots=True)
class _Errors:
    """Hold how far now and the end lay from what was expected, in standard deviations of the law, at r moments."""

    now: Array
    end: Array
    stage: NDArray[np.int64]
    unit: NDArray[np.int64]
    weight: Array

    def calibrated(self, levels: int) -> Array:
        """Return the factor on the spread, (levels + 1,), by levels crossed: the least whose 80 % interval holds.

        The interval is that of the truncated law, as it will be forecast, its median where the law's own spread puts
        it. Each moment counts for as long as it lasts; the finite-sample rank (Vovk et al. 2005) counts units, for the
        moments of a unit are one draw.
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
        units, share = np.unique(self.unit[rows]).size, self.weight[rows] / self.weight[rows].sum()
        wanted = min(np.ceil((units + 1) * INNER) / units, 1.0) - 1e-9 if units else 2.0
        tail = (1.0 - INNER) / 2.0
        for factor in _FACTORS:
            narrow = min(float(factor), 1.0)
            now = recentred(self.now[rows] / narrow, factor / narrow)
            end = now + (self.end[rows] - self.now[rows]) / factor
            passed = -np.expm1(log_ndtr(-end) - log_ndtr(-now))
            if ((passed >= tail) & (passed <= 1.0 - tail)) @ share >= wanted:
                return float(factor)
        return float(_FACTORS[-1])
