"""Levels and trees together: the model to take where an indicator is declared."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from predictors import path
from predictors.artifact import DamagedArtifact
from predictors.batch import Array, SlotBatch
from predictors.crossing import ENOUGH
from predictors.declaration import Declaration
from predictors.family import Family
from predictors.hit import Hit
from predictors.learner import Learner
from predictors.reckoning import Reckoning


class Fused(Hit):
    """Forecast from the levels crossed (hit), joined by trees once a dozen parts have ended (predictors.learner)."""

    name: ClassVar[str] = "fused"

    def __init__(self, declaration: Declaration) -> None:
        super().__init__(declaration)
        self.learner: Learner | None = None

    def _learn(self, cycles: Reckoning, family: Family | None) -> None:
        super()._learn(cycles, family)
        history = cycles.whole
        self.learner = None
        # A law that the family told stands alone until own parts have ended.
        ended = int((np.isfinite(history.exposure) & ~history.censored).sum())
        if self.crossing is not None and ended >= ENOUGH:
            self.learner = Learner.learn(history, self.declaration.way, self.crossing.prior, without=cycles.without)

    def _told(self, used: Array, batch: SlotBatch) -> NDArray[np.bool_]:
        looked = self._looked(used, batch)
        return looked if looked.all() else super()._told(used, batch) | looked

    def _crossed(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        looked = self._looked(used, batch)
        if not looked.all():
            left, pace = super()._crossed(used, batch, quantiles)
            if looked.any():
                left[looked], pace[looked] = self._crossed(used[looked], batch.take(looked), quantiles)
            return left, pace
        assert self.crossing is not None  # noqa: S101  # a learner stands on it
        assert self.learner is not None  # noqa: S101  # asked by _looked
        assert batch.hits is not None  # noqa: S101  # only asked of an indicator
        assert batch.reads is not None  # noqa: S101  # looked at, says _looked
        novel = None if batch.novel is None else np.nan_to_num(batch.novel) > 0
        left, pace, _ = self.learner.left(self.crossing, used, batch.hits, batch.reads, quantiles, novel=novel)
        return left, pace

    def _looked(self, used: Array, batch: SlotBatch) -> NDArray[np.bool_]:
        """Return whose indicator was read, (n,), where there are trees to ask."""
        if self.learner is None or batch.reads is None:
            return np.zeros(used.size, dtype=bool)
        return path.told(batch.reads, used)

    def _learned(self) -> dict[str, Any]:
        return {**super()._learned(), "learner": None if self.learner is None else self.learner.written()}

    def _restore(self, learned: Mapping[str, Any]) -> None:
        super()._restore(learned)
        if (written := learned.get("learner")) is not None:
            if self.crossing is None:
                raise DamagedArtifact("artifact holds a learner without the levels' law that it goes with")
            self.learner = Learner.read(written, len(self.declaration.levels))
