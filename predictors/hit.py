"""Levels crossed: for indicators with a knee, whose value cannot be extrapolated."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from predictors.batch import Array, SlotBatch
from predictors.crossing import LevelCrossing
from predictors.declaration import Declaration
from predictors.history import History
from predictors.predictor import Predictor


class Hit(Predictor):
    """Forecast from the levels that the indicator has crossed; from the Weibull posterior while it has crossed none."""

    name: ClassVar[str] = "hit"

    def __init__(self, declaration: Declaration) -> None:
        super().__init__(declaration)
        self.crossing: LevelCrossing | None = None

    def fit(self, history: History) -> Self:
        """Learn from finished and running cycles; raise ValueError where hits do not match the declared levels."""
        self._check_levels(history.hits)
        super().fit(history)
        self.crossing = LevelCrossing.learn(history)
        return self

    def _left(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        left, pace = super()._left(used, batch, quantiles)
        if self.crossing is None or batch.hits is None:
            return left, pace
        self._check_levels(batch.hits)
        with np.errstate(invalid="ignore"):
            known = ((batch.hits > 0) & (batch.hits <= used[:, None])).any(axis=1)
        left[known], pace[known] = self.crossing.left(used[known], batch.hits[known], quantiles)
        return left, pace

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
