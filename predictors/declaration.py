"""What the maker declares about the part in a slot."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from predictors.batch import Array

LEVEL_FRACTIONS = (
    0.025, 0.03, 0.035, 0.042, 0.05, 0.059, 0.07, 0.083, 0.099, 0.117, 0.139,
    0.165, 0.196, 0.233, 0.277, 0.328, 0.39, 0.463, 0.55, 0.653, 0.775, 0.92,
)  # fmt: skip
"""Levels of the indicator as shares of its value at the end of life: even steps of its logarithm, each 19 % above the
last, so that a knee-shaped signal is followed where it lies low as where it is steep."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Name the rated life, the indicator's end and the levels on the way there.

    life_h: rated life in running hours at the reference load; None where only the calendar is declared.
    life_d: rated life in calendar days, what a unit without telemetry gets.
    indicator_eol: value of the indicator at the end of life, in its channel's unit; None without indicator.
    levels: values of the indicator on its way to indicator_eol, in the order in which they are crossed (falling for an
    indicator that falls); empty means LEVEL_FRACTIONS of indicator_eol.
    covariates: names of what may wear the part besides its load, each a logarithm (predictors.clock), in the order of
    the columns of a batch's and a history's covariates.
    """

    life_h: float | None
    life_d: float
    indicator_eol: float | None = None
    levels: tuple[float, ...] = ()
    covariates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("life_h", "life_d"):
            value = getattr(self, name)
            if not (value is None and name == "life_h") and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, not {value!r}")
        if not all(isinstance(name, str) and name for name in self.covariates) or len(set(self.covariates)) < len(
            self.covariates
        ):
            raise ValueError(f"covariates are names, each declared once: {self.covariates!r}")
        if self.indicator_eol is None:
            if self.levels:
                raise ValueError("levels are declared without indicator_eol: name the value at the end of life")
            return
        if not math.isfinite(self.indicator_eol):
            raise ValueError(f"indicator_eol must be a number, not {self.indicator_eol!r}")
        if not self.levels:
            if self.indicator_eol <= 0:
                raise ValueError("an indicator that ends at or below zero needs its levels declared")
            object.__setattr__(self, "levels", tuple(share * self.indicator_eol for share in LEVEL_FRACTIONS))
        way = (*self.levels, self.indicator_eol)
        steps = [after - before for before, after in itertools.pairwise(way)]
        if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
            raise ValueError(f"levels must run one way to indicator_eol {self.indicator_eol}: {self.levels}")

    @property
    def span(self) -> tuple[float, float]:
        """Return the indicator of a new part, the first level taken for the first share, and at the end of life."""
        if self.indicator_eol is None:
            return (0.0, 1.0)
        first = LEVEL_FRACTIONS[0]
        return (self.levels[0] - first / (1.0 - first) * (self.indicator_eol - self.levels[0]), self.indicator_eol)

    @property
    def way(self) -> Array:
        """Return by how much of its whole way the indicator moves up to each level, (L,), from the one before."""
        if self.indicator_eol is None:
            return np.empty(0)
        start, end = self.span
        return np.asarray(np.diff(np.array([start, *self.levels])) / (end - start))

    @property
    def falling(self) -> bool:
        """Tell whether the indicator falls as the part wears."""
        return self.indicator_eol is not None and self.levels[0] > self.indicator_eol
