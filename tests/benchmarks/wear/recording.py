"""One recorded part: what a unit told until its end, whatever file it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """Hold one part's channels over time, (n,) each, in order of time.

    time: since the part was fitted, in seconds (cycles where the set counts cycles), each sample above the one before.
    indicator: in the unit of the set's declared end. load: what wears the part besides time; ones where none is known.
    ends: when it reached its end of life, NaN where nobody saw it. condition: what is held out together; seen: the
    conditions that may be held out instead, by name of the protocol. covariates: (n, C) logarithms of what else may
    wear the part, NaN unknown, those that the set names.
    """

    name: str
    condition: str
    time: Array
    indicator: Array
    load: Array
    ends: float
    conditions: tuple[tuple[str, str], ...] = ()
    covariates: Array | None = None

    @property
    def exposure(self) -> Array:
        """Return the integral of load over time, (n,)."""
        return np.asarray(np.cumsum(self.load * np.diff(self.time, prepend=0.0)))

    def until(self, now: float) -> "Recording":
        """Return what had been told by `now`: nothing later, and no end."""
        past = self.time <= now
        columns = (self.time[past], self.indicator[past], self.load[past])
        covariates = None if self.covariates is None else self.covariates[past]
        return Recording(self.name, self.condition, *columns, float("nan"), self.conditions, covariates)

    @property
    def middle(self) -> Array:
        """Return the median of each covariate over what was told, (C,); NaN where it is not known."""
        if self.covariates is None:
            return np.empty(0)
        known = [column[np.isfinite(column)] for column in self.covariates.T]
        return np.array([np.median(column) if column.size else np.nan for column in known])


def recording(
    name: str,
    condition: str,
    columns: Sequence[Array],
    ends: float,
    *,
    covariates: Sequence[Array | float] = (),
    **conditions: str,
) -> Recording:
    """Build a recording from time, indicator and load: in order of time, cut at the end, without gaps.

    covariates: what else may wear the part, one number or (n,) each, above zero; the recording holds its logarithm.
    """
    time, indicator, load = columns
    raw = [np.broadcast_to(np.asarray(each, dtype=np.float64), time.shape) for each in covariates]
    order = np.argsort(time, kind="stable")
    time, indicator, load = time[order], indicator[order], load[order]
    sound = np.isfinite(time) & np.isfinite(indicator) & np.isfinite(load) & (time > 0)
    sound &= np.append(True, np.diff(time) > 0)
    if np.isfinite(ends):
        sound &= time <= ends
    kept = (time[sound], indicator[sound], np.maximum(load[sound], 0.0))
    logs = None
    if raw:
        table = np.column_stack(raw)[order][sound]
        logs = np.where(table > 0, np.log(np.where(table > 0, table, 1.0)), np.nan)
    return Recording(name, condition, *kept, ends, tuple(sorted(conditions.items())), logs)
