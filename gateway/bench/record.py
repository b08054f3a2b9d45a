"""The record of one slot: every cycle with what became of it, every forecast's inputs as they were known when made.

Days are counted from `epoch`. Two kinds of time are kept apart: when something was so, and when it had arrived. What a
model may learn from on a day is what had arrived by then (`known_by`); what a forecast is made from are the inputs that
its row kept (`snapshots`), which nothing that arrives later changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.registry.models import Slot
from gateway.replenish import features, labels, learn, way
from gateway.replenish.siblings import ALONE, Siblings
from predictors.batch import SlotBatch
from predictors.family import Family
from predictors.history import History
from predictors.predictor import Predictor

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]
Indices = NDArray[np.int64]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshots:
    """Hold the inputs of n forecasts in the order in which they were made.

    forecast_id: (n,) rows of table forecast. cycle: (n,) places in Record.cycles' columns. made_d: (n,) days since the
    epoch. inputs: n mappings, null where unknown.
    """

    forecast_id: Indices
    cycle: Indices
    made_d: Array
    inputs: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Cycles:
    """Hold m cycles as columns; days since the epoch.

    cycle_id, unit_id: (m,). cohort: (m,) what units are told apart by, such as region and hardware.
    began_d: (m,) when the part was fitted. removed_d: (m,) when it was taken out, NaN while it is in place.
    recorded_d: (m,) when its removal became known, infinite while it is not. delivery_d: (m,) days a part takes.
    labels: m labels of finished cycles, None of running ones.
    """

    cycle_id: Indices
    unit_id: Indices
    cohort: tuple[str, ...]
    began_d: Array
    removed_d: Array
    recorded_d: Array
    delivery_d: Array
    labels: tuple[Row | None, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Money:
    """What a new part costs, in minor units of a currency; over its rated days, what a day of life costs."""

    currency: str
    price_minor: int


@dataclass(frozen=True)
class Record:
    """Hold what is known of one slot at `until_d`."""

    slot: Slot
    epoch: datetime
    until_d: float
    cycles: Cycles
    snapshots: Snapshots
    money: Money | None = None
    siblings: Siblings = ALONE

    def date(self, day: float) -> datetime:
        """Return a day as a date."""
        return self.epoch + timedelta(days=float(day))

    def day(self, at: datetime) -> float:
        """Return a date as a day."""
        return (at - self.epoch) / timedelta(days=1)

    @cached_property
    def seen(self) -> features.Seen:
        """The snapshots as features.py returns them, so that what counts as an end is decided in one place."""
        return features.recalled(self.slot, [dict(row) for row in self.snapshots.inputs], self.epoch)

    @cached_property
    def fits(self) -> dict[tuple[str, float], Predictor]:
        """Models fitted on this record already, by predictor and day; another record has none of them."""
        return {}

    @property
    def batch(self) -> SlotBatch:
        """The snapshots as columns."""
        return self.seen.batch

    def asked(self, model: Predictor) -> SlotBatch:
        """Return the snapshots as the columns that a model's own declaration has; what they do not hold is unknown."""
        slot = way.heard_by(self.slot, model)
        inputs = [dict(row) for row in self.snapshots.inputs]
        return self.batch if slot is self.slot else features.batch_of(slot, inputs)

    @cached_property
    def shows_end(self) -> Marks:
        """Whether a snapshot shows the end itself: by the indicator, or by the unit's own report; (n,)."""
        return labels.shows_end(self.seen)

    @cached_property
    def end_d(self) -> Array:
        """The day on which each part reached its end of life, (m,); NaN where that was not seen.

        It is the first day on which a forecast's inputs showed it, as they were known then; else the removal, where the
        label says that the unit showed its end.
        """
        end = np.array(
            [
                removed if label is not None and label.get("witnessed") and not label.get("censored") else np.nan
                for removed, label in zip(self.cycles.removed_d, self.cycles.labels, strict=True)
            ]
        )
        showing = np.flatnonzero(self.shows_end)
        np.fmin.at(end, self.snapshots.cycle[showing], self.snapshots.made_d[showing])
        return end

    @cached_property
    def alive_until_d(self) -> Array:
        """The last day on which each part was seen not to be at its end, (m,); NaN where nothing would have shown it.

        For a part that reached its end it is that day.
        """
        last = np.full(len(self.cycles), np.nan)
        alive = np.flatnonzero(self.seen.alive & ~self.shows_end)
        np.fmax.at(last, self.snapshots.cycle[alive], self.snapshots.made_d[alive])
        for i, label in enumerate(self.cycles.labels):
            if label is not None:
                last[i] = self.cycles.removed_d[i] if label.get("witnessed") else np.nan
        return np.where(np.isfinite(self.end_d), self.end_d, last)

    @property
    def witnessed(self) -> Marks:
        """Whether a cycle is finished and its end would have shown itself, (m,): what teaches a life."""
        return np.array(
            [label is not None and bool(label.get("witnessed")) for label in self.cycles.labels], dtype=bool
        )

    @property
    def ended(self) -> Marks:
        """Whether the end of a part was seen, (m,)."""
        return np.isfinite(self.end_d)

    @property
    def censored(self) -> Marks:
        """Whether a part was seen to be alive and its end was not, (m,)."""
        return np.isfinite(self.alive_until_d) & ~self.ended

    def known_by(self, day: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what had arrived by a day: labels of finished cycles, features of running ones as last known.

        A cycle whose removal became known later was, on that day, still running.
        """
        told = np.flatnonzero(self.witnessed & (self.cycles.recorded_d <= day))
        finished = [dict(label) for i in told if (label := self.cycles.labels[i]) is not None]
        arrived = np.flatnonzero(self.snapshots.made_d <= day)
        latest = np.full(len(self.cycles), -1)
        latest[self.snapshots.cycle[arrived]] = arrived  # in the order in which they were made: the last one stays
        rows = latest[(latest >= 0) & (self.cycles.recorded_d > day)]
        teaches = self.seen.alive & self.seen.heard
        return finished, [dict(self.snapshots.inputs[i]) for i in rows if teaches[i]]

    def history_by(self, day: float, *, hours_only: bool) -> History:
        """Return what had arrived by a day as what a model learns from."""
        finished, running = self.known_by(day)
        return learn.history(self.slot, finished, running, hours_only=hours_only)

    def family_by(self, day: float) -> Family | None:
        """Return what siblings' versions in force on a day lend, None where there are none."""
        return self.siblings.family(self.date(day))
