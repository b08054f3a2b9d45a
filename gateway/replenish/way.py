"""The way to its end that a slot declares: as predictors take it, and as what was measured on it remembers it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.registry.models import Slot
from predictors.declaration import LEVEL_FRACTIONS, Declaration
from predictors.predictor import Predictor

Heard = tuple[float | None, tuple[float, ...], tuple[str, ...]]


def declared(slot: Slot) -> Declaration:
    """Return what the manufacturer declared about a slot, as predictors take it."""
    return Declaration(slot.life_h, slot.life_d, slot.indicator_eol, levels(slot), tuple(slot.covariates))


def heard(of: Declaration) -> Heard:
    """Return what of a declaration a model learns to hear: the end, the levels and the covariates."""
    return of.indicator_eol, of.levels, of.covariates


def answers(model: Predictor, slot: Slot) -> bool:
    """Tell whether a model can be asked about a slot as it is declared now: its artifact says what it learned to hear.

    Levels are compared by value: the third of five says something else once it lies elsewhere, though five there are.
    """
    return heard(model.declaration) == heard(declared(slot))


def heard_by(slot: Slot, model: Predictor) -> Slot:
    """Return a slot as a model hears it: with the covariates, the levels and the end that its own declaration has.

    So a version made before the slot was declared anew can still be asked about what was known then.
    """
    own, now = model.declaration, declared(slot)
    if (own.levels, own.indicator_eol) != (now.levels, now.indicator_eol):
        slot = replace(slot, levels=list(own.levels), indicator_eol=own.indicator_eol)
    return slot if list(own.covariates) == slot.covariates else replace(slot, covariates=list(own.covariates))


def levels(slot: Slot) -> tuple[float, ...]:
    """Return the levels on the way to the end: those declared, else shares of the way from the baseline.

    Empty, which leaves them to the predictors, where neither is declared.
    """
    if slot.levels:
        return tuple(slot.levels)
    if slot.indicator_eol is None or slot.indicator_baseline is None:
        return ()
    way = slot.indicator_eol - slot.indicator_baseline
    return tuple(slot.indicator_baseline + share * way for share in LEVEL_FRACTIONS)


def mark(slot: Slot) -> str:
    """Return a short hash of the levels and the end that a slot's indicator is measured against, kept beside them."""
    had = declared(slot)
    return hashlib.sha256(repr((*had.levels, had.indicator_eol)).encode()).hexdigest()[:12]


def same(row: Mapping[str, Any], way: str) -> bool:
    """Tell whether a stored row was measured on that way; of rows from before the way was kept, nobody can tell."""
    return bool(row.get("levels", way) == way)
