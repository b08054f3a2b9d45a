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

from predictors import lognormal, path, trust
from predictors.artifact import DamagedArtifact
from predictors.batch import Array
from predictors.crossing import LevelCrossing
from predictors.forest import TREES, Forest
from predictors.gaussian import Prior
from predictors.history import History
from predictors.lognormal import recentred
from predictors.reckoning import Without
from predictors.trust import SHIFT, Seen, Trust

MARGIN = 0.5  # of the range of each feature: so far outside it the trees still speak


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
    def learn(cls, history: History, way: Array, prior: Prior, *, without: Without | None = None) -> Self | None:
        """Return what finished cycles teach; None where none was looked at. Trees are asked from ENOUGH ends on.

        without: the cycles as they count where some taught nothing (predictors.reckoning); None = as they are.
        """
        seen = Seen.of(history, way)
        if seen is None:
            return None
        others = without or (lambda _: history)
        ended = np.isfinite(history.exposure) & ~history.censored
        known = strange = trust.proved(seen, np.arange(len(history)), prior, others)
        if history.groups is not None and np.unique(history.groups[ended]).size > 1:
            strange = trust.proved(seen, history.groups, prior, others)
            strange = Trust(strange.share, np.maximum(strange.spread, known.spread))
        table = seen.features
        forest = Forest.grow(table, seen.target, trees=TREES if seen.enough else 1)
        low, high = table.min(axis=0).astype(np.float64), table.max(axis=0).astype(np.float64)
        return cls(forest, seen.scale, way, low, high, known, strange)

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
        trusted = np.concatenate([self.known.spread, self.strange.spread])
        spread = np.tile(law.spread, 2)
        wide, narrow = trusted * spread, np.minimum(trusted, 1.0) * spread
        kind = count + strange * self.known.spread.size
        past = recentred((np.log(at) - location) / narrow[kind], (wide / narrow)[kind])
        centre = np.log(at) - past * wide[kind]
        left = lognormal.left(np.maximum(used, at), centre, wide, quantiles, kind=kind)
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
        """Return the log exposure at the end as trees expect it, (n,), and whose features are unlike any seen."""
        table = path.features(hits, reads, self.way, self.scale)
        room = MARGIN * (self.high - self.low)
        low, high = (self.low - room).astype(path.SINGLE), (self.high + room).astype(path.SINGLE)
        outside = np.zeros(at.size, dtype=bool)
        for column, least, most in zip(table.T, low, high, strict=True):
            outside |= (column < least) | (column > most)
        return self.forest.predict(table) + np.log(at + SHIFT * self.scale), outside
