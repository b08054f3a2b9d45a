"""Cycles on the exposure clock that they teach themselves, and on the one that only the others teach.

What a model does with parts that it has not seen is measured on parts left out; they must not have taught the clock
either that their exposure is counted by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from predictors.clock import ExposureClock
from predictors.history import History

Without = Callable[[NDArray[np.bool_]], History]
"""Return all cycles as they count where those marked, (m,), taught nothing."""


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Hold cycles as `declared`, by the load alone, and as `whole`, on the fitted clock; None = no clock is fitted."""

    declared: History
    clock: ExposureClock | None
    whole: History

    @classmethod
    def of(cls, history: History, *, fitted: bool) -> Self:
        """Return cycles on the clock that they teach; on the declared load where none is to be fitted."""
        clock = ExposureClock.learn(history) if fitted else None
        return cls(history, clock, history if clock is None else clock.history(history))

    def without(self, out: NDArray[np.bool_]) -> History:
        """Return all cycles on the clock that those not in `out`, (m,), teach."""
        if self.clock is None or not self.clock.beta.any():
            return self.whole
        clock = ExposureClock.learn(self.declared.take(~out))
        return self.whole if clock is None else clock.history(self.declared)
