"""Cycles whose end was not seen, weighed in rather than dropped.

G(a) is the chance that a cycle is still watched at age a, by Kaplan & Meier (1958) with the roles of end and censoring
exchanged. A cycle that was seen to end at age t stands for 1 / G(t) cycles; given that it was watched at age a, for
G(a) / G(t): inverse probability of censoring weights (Robins & Rotnitzky 1992; Graf et al. 1999). It holds where parts
are not taken out because of what the indicator says; where they are, no weight can mend it, and the report says so.
"""

from dataclasses import dataclass

import numpy as np

from gateway.bench.record import Array, Record

MOST = 20.0  # no cycle stands for more than so many: what nobody watched for so long cannot be judged


@dataclass(frozen=True)
class Watching:
    """Hold G as a step function: `after` (k,) is the chance beyond each age in `ages` (k,), ascending."""

    ages: Array
    after: Array

    @classmethod
    def of(cls, record: Record) -> "Watching":
        """Return how long cycles of a record were watched."""
        known = np.isfinite(record.alive_until_d)
        age = (record.alive_until_d - record.cycles.began_d)[known]
        censored = record.censored[known]
        ages, chance, after = np.unique(age[censored]), 1.0, []
        for at in ages:
            # An end at the same age comes first: it was seen, so its cycle was not at risk of being lost.
            at_risk = int((age > at).sum() + (censored & (age == at)).sum())
            chance *= 1.0 - int((censored & (age == at)).sum()) / at_risk
            after.append(chance)
        return cls(ages, np.array(after, dtype=np.float64))

    def chance(self, age: Array) -> Array:
        """Return G just before each age, (n,)."""
        if not self.ages.size:
            return np.ones_like(age)
        steps = np.concatenate([[1.0], self.after])
        return np.asarray(steps[np.searchsorted(self.ages, age, side="left")])


def weights(record: Record, rows: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None) -> Array:
    """Return the weight of each cycle (m,), or with `rows` of each of these snapshots (k,); 0 where no end was seen."""
    watching = Watching.of(record)
    cycles = np.arange(len(record.cycles)) if rows is None else record.snapshots.cycle[rows]
    life = (record.end_d - record.cycles.began_d)[cycles]
    since = np.zeros(cycles.size) if rows is None else record.snapshots.made_d[rows] - record.cycles.began_d[cycles]
    seen = np.isfinite(life)
    out = np.zeros(cycles.size)
    lost = np.maximum(watching.chance(life[seen]), 1e-12)
    out[seen] = np.minimum(watching.chance(since[seen]) / lost, MOST)
    return out
