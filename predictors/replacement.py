"""Was the part replaced? What a unit's own signals say where nobody told it.

Evidence in this order: somebody told it, by an event or a tag > the slot's own counter starts again as new > the
indicator falls to what a fresh part reads (predictors.changepoint). The posterior of the four causes

    P(cause | evidence) ~ PRIOR(cause) * BF_indicator(cause) * P(counter reset or not | cause)

is read as a verdict where one cause holds SURE of it. Where the counter and the indicator tell of different moments, or
no cause is likely enough, the verdict is that it is unknown. A change too new to be judged gets no verdict yet. Nothing
beyond the window is looked at.

False alarms: without a change a verdict is to come from fewer than one window in a thousand; with a change of the use
alone likewise, because the indicator is normalised by flow before (predictors.flow).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from predictors.batch import Array
from predictors.changepoint import CAUSES, LEAST, NEAR, Evidence, Places, evidence, pack


class Verdict(IntEnum):
    """What is believed of one part in one window."""

    NOTHING = 0
    REPLACED = 1  # told, or the counter began again as well, or there is no counter
    CLEANED = 2  # the indicator fell part of the way: rinsed, shaken out, regenerated
    RESET = 3  # the counter began again, the indicator did not fall: the same part
    UNRESET = 4  # the indicator fell to a fresh part's, the counter counts on: a new part whose counter nobody reset
    UNKNOWN = 5  # something happened, and the evidence does not say what


PRIOR = {"nothing": 0.967, "cleaned": 0.01, "replaced": 0.02, "jumped": 0.003}
"""Of one window of two weeks: a part lasts half a year, and four fittings in five are told."""

RESETS = {"nothing": 0.002, "cleaned": 0.1, "replaced": 0.7, "jumped": 0.002}
"""How often the slot's own counter is set to new in the same window, by cause."""

SURE = 0.9  # of the posterior: below it the verdict is that it is unknown
CERTAIN = 0.99  # with two witnesses: enough to act without asking
LIKELY = 0.7  # enough to ask, where the counter says otherwise or is all there is
QUIET = 0.5  # of "nothing": above it nothing is said, unless the counter began again
NEW = 0.9  # share of life left that a counter set to new shows
RISE = 0.2  # by which it must have risen
HELD = 2  # looks for which it must have held


@dataclass(frozen=True, slots=True)
class Window:
    """Hold what n units showed of one slot, in T columns in order of time; NaN where nobody looked.

    indicator: (n, T) log indicator, normalised by flow, rising with wear (changepoint.log_scale).
    left: (n, T) share of life left by the slot's own counter, 0 to 1; all NaN without a counter.
    fresh, fresh_sd: (n,) log level of a fresh part and its spread over the fleet; NaN unknown.
    told: (n,) column at which somebody told that the part was fitted, -1 nobody did.
    reset: (n,) column at which the unit said that the slot's counter was reset, -1 it did not.

    Raises ValueError where shapes differ.
    """

    indicator: Array
    left: Array
    fresh: Array
    fresh_sd: Array
    told: Places
    reset: Places

    def __post_init__(self) -> None:
        if self.indicator.ndim != 2 or self.left.shape != self.indicator.shape:
            raise ValueError(f"indicator has shape {self.indicator.shape}, left has {self.left.shape}")
        for name in ("fresh", "fresh_sd", "told", "reset"):
            if getattr(self, name).shape != self.indicator.shape[:1]:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, there are {len(self.indicator)} units")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Hold the verdict on n parts.

    kind: (n,) of Verdict. probability: (n,) that the part in place is another one than before the moment.
    at: (n,) column of the first look after the moment, -1 where there is none.
    certain: (n,) True where counter and indicator both tell of a new part, beyond doubt.
    posterior: (n, 4) of changepoint.CAUSES. reset: (n,) column at which the counter began again, -1 it did not.
    waits: (n,) True where the counter began again and the indicator has not had the time to say what that means.
    change: the indicator's word.
    """

    kind: NDArray[np.int64]
    probability: Array
    at: Places
    certain: NDArray[np.bool_]
    posterior: Array
    reset: Places
    waits: NDArray[np.bool_]
    change: Evidence


def judge(window: Window) -> Verdicts:
    """Return what became of each part in its window."""
    change = evidence(window.indicator, window.fresh, window.fresh_sd)
    seen_at, counted = resets(window.left)
    reset_at = np.where(window.reset >= 0, window.reset, seen_at)
    reset = reset_at >= 0
    waits = reset & _too_early(window.indicator, reset_at)
    elsewhere = change
    if reset.any():  # the counter says when; the indicator's word about that moment is asked for
        change = evidence(window.indicator, window.fresh, window.fresh_sd, reset_at)
    by_sight = np.log([PRIOR[cause] for cause in CAUSES]) + change.factors
    said = np.array([RESETS[cause] for cause in CAUSES])
    told = np.where(reset[:, None], np.log(said), np.where(counted[:, None], np.log1p(-said), 0.0))
    posterior, sight = _shares(by_sight + told), _shares(by_sight)[:, 2]
    nothing, cleaned, replaced, _ = posterior.T
    moved = _shares(np.log([PRIOR[cause] for cause in CAUSES]) + elsewhere.factors)[:, 0] < QUIET
    apart = reset & change.seen & moved & (np.abs(elsewhere.at - reset_at) > NEAR)
    young = elsewhere.new & (moved | ~reset)
    kinds = (
        (window.told >= 0, Verdict.REPLACED),
        (waits | young, Verdict.NOTHING),
        (apart & (cleaned < SURE), Verdict.UNKNOWN),
        ((replaced >= SURE) & (reset | ~counted), Verdict.REPLACED),
        ((sight >= SURE) & (replaced >= LIKELY), Verdict.UNRESET),
        (cleaned >= SURE, Verdict.CLEANED),
        (reset & (nothing + cleaned >= SURE), Verdict.RESET),  # a little cleaned or not: the same part
        (reset & ~change.seen & (replaced >= LIKELY), Verdict.REPLACED),
        (reset | (nothing < QUIET), Verdict.UNKNOWN),
    )
    kind = np.select([holds for holds, _ in kinds], [int(verdict) for _, verdict in kinds], int(Verdict.NOTHING))
    at = np.where(window.told >= 0, window.told, np.where(reset, reset_at, change.at))
    fell = change.seen & (change.factors[:, 2] > np.maximum(change.factors[:, 1], change.factors[:, 3]))
    return Verdicts(
        kind=kind,
        probability=np.where(window.told >= 0, 1.0, replaced),
        at=np.where(kind != Verdict.NOTHING, at, -1),
        certain=(kind == Verdict.REPLACED) & reset & fell & ~apart & (replaced >= CERTAIN),
        posterior=posterior,
        reset=reset_at,
        waits=waits | (reset & young),
        change=change,
    )


def _shares(logs: Array) -> Array:
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _too_early(indicator: Array, reset_at: Places) -> NDArray[np.bool_]:
    """Return where there is an indicator, (n,), and it was looked at too seldom since the counter began again."""
    looks = np.isfinite(indicator)
    since = looks & (np.arange(indicator.shape[1]) >= reset_at[:, None])
    after = since.sum(axis=1)
    return np.asarray((looks.sum(axis=1) - after >= LEAST) & (after < LEAST))


def resets(left: Array) -> tuple[Places, NDArray[np.bool_]]:
    """Return the column at which each counter began again as new, (n,), -1 where it did not, and whether there is one.

    left: (n, T) share of life left. It has begun again where it rose by RISE to NEW or more and stayed up for HELD
    looks: one bad report is none. The latest such moment counts.
    """
    packed, places, count = pack(left)
    none = np.full(left.shape[0], -1)
    if left.shape[1] <= HELD:
        return none, count > HELD
    tau = np.arange(1, left.shape[1] - HELD + 1)
    held = np.min(np.stack([packed[:, tau + i] for i in range(HELD)]), axis=0)
    with np.errstate(invalid="ignore"):
        begun = (held >= NEW) & (held - packed[:, tau - 1] >= RISE)  # NaN is neither
    last = begun.shape[1] - 1 - np.argmax(begun[:, ::-1], axis=1)
    return np.where(begun.any(axis=1), places[np.arange(left.shape[0]), tau[last]], none), count > HELD
