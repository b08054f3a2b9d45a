"""The hours timer: rated life less running hours, whatever the load. The baseline to beat."""

from typing import ClassVar

import numpy as np

from predictors import lognormal
from predictors.batch import Array, SlotBatch
from predictors.predictor import Predictor

LOG_SD = 0.25  # of life about the rated life when load is ignored


class Rated(Predictor):
    """Count hours down from the declared rated life; learns nothing but the use of the fleet."""

    name: ClassVar[str] = "rated"
    hours_only: ClassVar[bool] = True
    takes_reports: ClassVar[bool] = False

    def _left(self, used: Array, batch: SlotBatch, quantiles: tuple[float, ...]) -> tuple[Array, Array]:
        rated = self.declaration.life_h or (self.life.rated if self.life is not None else float("nan"))
        location = np.full(used.shape, np.log(rated))
        return lognormal.left(used, location, LOG_SD, quantiles), np.full(len(batch), np.nan)
