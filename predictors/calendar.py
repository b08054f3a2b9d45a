"""The calendar: age alone, for slots that no telemetry reaches."""

from typing import ClassVar

import numpy as np

from predictors.batch import SlotBatch
from predictors.future import Exposure
from predictors.predictor import Predictor


class Calendar(Predictor):
    """Forecast from days since fitting and the rated life in days, every date flagged as not measured."""

    name: ClassVar[str] = "calendar"

    def _clock(self, batch: SlotBatch) -> Exposure:
        n = len(batch)
        return Exposure(np.full(n, np.nan), np.ones(n))
