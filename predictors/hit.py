"""Levels crossed: for indicators with a knee, whose value cannot be extrapolated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array, SlotBatch
from predictors.crossing import LevelCrossing
from predictors.declaration import Declaration
from predictors.family import Family, Sibling
from predictors.predictor import Predictor
from predictors.reckoning import Reckoning


class Hit(Predictor):
    """Forecast from the levels that the indicator has crossed; from the Weibull posterior while it has crossed none."""

    name: ClassVar[str] = "hit"

    def __init__(self, declaration: Declaration) -> None:
        super().__init__(declaration)
        self.crossing: LevelCrossing | None = None

    def _learn(self, cycles: Reckoning, family: Family | None) -> None:
        """Learn from cycles on the fitted clock; raise ValueError where hits do not match the declared levels."""
        self._check_levels(cycles.whole.hits)
        super()._learn(cycles, family)
        pooled = None if family is None else LevelCrossing.pooled(cycles.whole, family, self.declaration.life_h)
        self.crossing = LevelCrossing.learn(cycles.whole, without=cycles.without) if pooled is None else pooled

    def sibling(self) -> Sibling:
        """Return what this product model tells a new one of its family, its levels with it."""
        own = super().sibling()
        return own if self.crossing is None else replace(own, law=self.crossing.law, widening=self.crossing.widening)

    def _left(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        if self.crossing is None or batch.hits is None:
            return super()._left(used, batch, quantiles)
        self._check_levels(batch.hits)
        told = self._told(used, batch)
        if told.all():
            return self._crossed(used, batch, quantiles)
        left, pace = super()._left(used, batch, quantiles)
        if told.any():
            left[told], pace[told] = self._crossed(used[told], batch.take(told), quantiles)
        return left, pace

    def _told(self, used: Array, batch: SlotBatch) -> NDArray[np.bool_]:
        """Return whom the levels say something about, (n,): those that have crossed one."""
        assert batch.hits is not None  # noqa: S101  # only asked of an indicator
        told = _any(batch.hits[:, :1], used)
        rest = np.flatnonzero(~told)  # of most the lowest level tells already
        told[rest] = _any(batch.hits[rest], used[rest])
        return told

    def _crossed(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        """Return exposure left (n, q) and pace (n,) of slots that have crossed a level."""
        assert self.crossing is not None  # noqa: S101  # only asked once levels are learned
        assert batch.hits is not None  # noqa: S101  # a level was crossed
        return self.crossing.left(used, batch.hits, quantiles)

    def _check_levels(self, hits: Array | None) -> None:
        declared = len(self.declaration.levels)
        if hits is not None and hits.shape[1] != declared:
            raise ValueError(f"hits has {hits.shape[1]} levels, {declared} are declared")

    def _learned(self) -> dict[str, Any]:
        return {**super()._learned(), "crossing": None if self.crossing is None else self.crossing.written()}

    def _restore(self, learned: Mapping[str, Any]) -> None:
        super()._restore(learned)
        if (written := learned.get("crossing")) is not None:
            self.crossing = LevelCrossing.read(written, len(self.declaration.levels))


def _any(hits: Array, used: Array) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray(((hits > 0) & (hits <= used[:, None])).any(axis=1))
