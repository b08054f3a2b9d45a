"""Many slots at one moment, as columns."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UTMOST = 1e9
"""Above this no hours, days or exposure are believed: a hundred thousand years."""

LEAST = 1e-9
"""Below this a quantity is zero."""


BLOCK = 16_000  # slots that are looked at at once; columns a power of two apart would share places in the cache
MATRICES = ("hits", "reads", "use_path", "use_path_sd", "covariates", "covariates_recent")
SIGNED = ("covariates", "covariates_recent")  # logarithms: they may be negative
LATER = ("novel", "change_d", "change_ratio")  # columns that may be left out


@dataclass(frozen=True, slots=True)
class SlotBatch:
    """Hold n slots that share one declaration; float64 columns of shape (n,), NaN = unknown.

    run_h: running hours of this part.
    load_h: exposure in reference hours, the integral of load / load_ref over running time.
    age_d: days since fitting.
    h_per_day, h_per_day_sd: mean use expected in the days to come, in running hours per day, and its uncertainty.
    load_per_h: recent exposure per running hour.
    left_pct: the unit's own report, 0 to 100.
    left_h: the unit's own report, running hours left.
    silent_d: days since the last word.
    hits: (n, L) exposure at which each declared level was first crossed, NaN not yet; None without indicator.
    reads: (n, 5) what the indicator read last, and at which exposure (predictors.indicator.reads); a row that is not
    whole is unknown. None where it was not looked at.
    novel: 1 where the slot's group (dust, region, product model) is none of those that the model learned from.
    use_path, use_path_sd: (n, k) exposure that the unit is expected to use up (median) within each of usage_cohort's
    KNOTS days from its last word, in the unit of load_h, and the standard deviation of its logarithm; a row that is not
    whole is unknown. None where no history of use was read.
    change_d, change_ratio: days since a change of use was detected, and the level of use after over before it.
    covariates, covariates_recent: (n, C) mean of each declared covariate, a logarithm, over the part's life so far, and
    over the recent days; None where none are declared.

    What cannot be (negative unless a logarithm, above UTMOST, a percentage above 100) is taken as unknown. Raises
    ValueError where shapes differ.
    """

    run_h: Array
    load_h: Array
    age_d: Array
    h_per_day: Array
    h_per_day_sd: Array
    load_per_h: Array
    left_pct: Array
    left_h: Array
    silent_d: Array
    hits: Array | None = None
    reads: Array | None = None
    novel: Array | None = None
    use_path: Array | None = None
    use_path_sd: Array | None = None
    change_d: Array | None = None
    change_ratio: Array | None = None
    covariates: Array | None = None
    covariates_recent: Array | None = None

    def __post_init__(self) -> None:
        n = np.size(self.run_h)
        for field in fields(self):
            given = getattr(self, field.name)
            if given is None and (field.name in MATRICES or field.name in LATER):
                continue
            column = np.array(given, dtype=np.float64)
            matrix = field.name in MATRICES
            shape = (n, column.shape[-1]) if matrix and column.ndim > 1 else (n,)
            if column.shape != shape or (matrix and column.ndim != 2):
                raise ValueError(f"{field.name} has shape {column.shape}, run_h has {n} slots")
            most = 100.0 if field.name == "left_pct" else UTMOST
            for some in blocks(n):
                _believe(column[some], most, signed=field.name in SIGNED)
            column.flags.writeable = False
            object.__setattr__(self, field.name, column)

    def __len__(self) -> int:
        return int(self.run_h.size)

    def take(self, rows: NDArray[np.bool_] | slice) -> "SlotBatch":
        """Return the slots where `rows` is True, or those of a slice; nothing of them is looked at again."""
        taken = object.__new__(SlotBatch)
        for field in fields(self):
            column = getattr(self, field.name)
            some = None if column is None else column[rows]
            if some is not None:
                some.flags.writeable = False
            object.__setattr__(taken, field.name, some)
        return taken

    @classmethod
    def of(cls, n: int, **columns: Array | float | None) -> "SlotBatch":
        """Build a batch of n slots from the columns that are known; scalars are repeated, the rest is NaN."""
        whole: dict[str, Any] = {name: columns.pop(name) for name in MATRICES if name in columns}
        known: dict[str, Any] = {
            name: np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)) for name, value in columns.items()
        }
        names = [field.name for field in fields(cls) if field.name not in {*MATRICES, *LATER}]
        return cls(**{name: known.pop(name, np.full(n, np.nan)) for name in names}, **known, **whole)


def blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover n slots, each so small that what is computed of it stays in the cache."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def _believe(column: Array, most: float, *, signed: bool) -> None:
    """Turn what cannot be, in place, into NaN, and what is hardly anything into zero."""
    with np.errstate(invalid="ignore"):
        np.copyto(column, np.nan, where=~((column >= (-most if signed else 0.0)) & (column <= most)))
        if not signed:
            np.copyto(column, 0.0, where=column < LEAST)
