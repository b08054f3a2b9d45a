"""Hazards lately and before, at equal age: the log-rank test with late entry, robust to units with several cycles.

Age may be days, exposure, or the place in a forecast: whatever an end is to be compared at. A spell that spans the cut
is at risk before it up to its age then, and after it from that age on, so that a young fleet, in which only short lives
have ended, is not taken for one that ends sooner. Mantel (1966); late entry: Andersen & Gill (1982); the variance is
the larger of Mantel's and that of the score residuals summed within units (Lin & Wei 1989).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from gateway.bench.record import Array, Indices, Marks


@dataclass(frozen=True)
class Spells:
    """Hold s stretches of being at risk: ages entered and left, (s,); whether each ended, whether it lies lately."""

    unit: Indices
    enters: Array
    leaves: Array
    ended: Marks
    lately: Marks


def cut(unit: Indices, leaves: Array, ended: Marks, at_cut: Array) -> Spells:
    """Return spells cut in two; `at_cut` is the age on the day of the cut, 0 or less after it began, inf once gone.

    unit, leaves, ended, at_cut: (s,). A spell that is over before the cut has at_cut of `leaves` or more.
    """
    before = at_cut > 0
    after = at_cut < leaves
    return Spells(
        unit=np.concatenate([unit[before], unit[after]]),
        enters=np.concatenate([np.zeros(int(before.sum())), np.maximum(at_cut[after], 0.0)]),
        leaves=np.concatenate([np.minimum(leaves, at_cut)[before], leaves[after]]),
        ended=np.concatenate([(ended & ~after)[before], ended[after]]),
        lately=np.concatenate([np.zeros(int(before.sum()), dtype=bool), np.ones(int(after.sum()), dtype=bool)]),
    )


def compare(spells: Spells) -> tuple[float, float]:
    """Return z and the two-sided p-value of ends lately against before; z above zero is sooner lately."""
    times = np.unique(spells.leaves[spells.ended])
    if not times.size:
        return 0.0, 1.0
    at_risk = (spells.enters[:, None] < times) & (spells.leaves[:, None] >= times)
    n = at_risk.sum(axis=0)
    share = (at_risk & spells.lately[:, None]).sum(axis=0) / n
    ends = np.array([int((spells.ended & (spells.leaves == t)).sum()) for t in times])
    hazard = ends / n
    own = spells.lately[:, None] - share
    residual = -(at_risk * own * hazard).sum(axis=1)
    place = np.searchsorted(times, spells.leaves[spells.ended])
    residual[spells.ended] += own[np.flatnonzero(spells.ended), place]
    _, unit = np.unique(spells.unit, return_inverse=True)
    summed = np.bincount(unit, residual)
    units = summed.size
    within = float(units / max(units - 1, 1) * ((summed - summed.mean()) ** 2).sum())
    spread = ends * share * (1.0 - share) * np.where(n > 1, (n - ends) / np.maximum(n - 1, 1), 0.0)
    variance = max(within, float(spread.sum()))
    if variance <= 1e-12:
        return 0.0, 1.0
    z = float(summed.sum()) / variance**0.5
    return z, float(2.0 * stats.t.sf(abs(z), max(units - 1, 1)))
