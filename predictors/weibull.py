"""Conjugate censored Weibull in exposure: the default model, from the first unit on."""

from typing import ClassVar

from predictors.predictor import Predictor


class Weibull(Predictor):
    """Forecast exposure left from the Weibull posterior that every model keeps (predictors.life)."""

    name: ClassVar[str] = "weibull"
