"""What if: the history replayed with another threshold, delivery time or cost ratio.

Another threshold is another end of life: what each forecast's inputs and each label say of the end is decided anew, and
the levels on the way are read off the old ones. Where the indicator was never seen beyond a higher threshold, the cycle
counts as censored at its removal; that is all the history can say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.bench import censoring, replay
from gateway.bench.backtest import Progress, backtest, origins
from gateway.bench.contender import recipe
from gateway.bench.evaluate import TIMER
from gateway.bench.record import Array, Record
from gateway.bench.replay import Outcome
from gateway.errors import WearwellError
from gateway.registry.models import Slot
from gateway.replenish import features, labels, way

ORDERS = (0.5,)  # a replay looks at the order date alone
REPLAYED = 6  # days on which models are fitted anew
WEAK = 8.0  # fewer cycles than this, after weighing, and a replay is an anecdote


class CannotReplay(WearwellError):
    """A what-if cannot be replayed on this history; the message says what is missing."""


@dataclass(frozen=True)
class Change:
    """What is to be other than declared; None leaves it. delivery_d in days, costs of a day, threshold in its unit."""

    threshold: float | None = None
    delivery_d: float | None = None
    cost_early: float | None = None
    cost_late: float | None = None


@dataclass(frozen=True)
class WhatIf:
    """Hold a replay as it stands, as it would be, and the hours timer's beside.

    effective: how many cycles the weighted ones are worth (Kish 1965).
    """

    change: Change
    stands: Outcome
    would: Outcome
    timer: Outcome
    ended_stands: int
    ended_would: int
    effective: float
    warnings: list[str]


def whatif(record: Record, change: Change, predictor: str | None = None, *, progress: Progress | None = None) -> WhatIf:
    """Return the replay of a record with a change beside the one without. Raises CannotReplay."""
    name = predictor or record.slot.predictor
    days = origins(record, REPLAYED)
    stands = replay.replay(record, backtest(record, recipe(name), days, grid=ORDERS, progress=progress))
    other = changed(record, change)
    would = replay.replay(other, backtest(other, recipe(name), days, grid=ORDERS, progress=progress), change.delivery_d)
    timer = replay.replay(other, backtest(other, recipe(TIMER), days, grid=ORDERS), change.delivery_d)
    weight = censoring.weights(other)
    effective = float(weight.sum() ** 2 / max(float((weight**2).sum()), 1e-12))
    return WhatIf(
        change=change,
        stands=replay.outcome(record, "as declared", stands),
        would=replay.outcome(other, "with the change", would),
        timer=replay.outcome(other, "hours timer", timer),
        ended_stands=int(record.ended.sum()),
        ended_would=int(other.ended.sum()),
        effective=effective,
        warnings=_warnings(record, other, effective),
    )


def trade_off(
    record: Record, predictor: str | None = None, ratios: tuple[float, ...] = (1, 2, 4, 9, 19)
) -> list[Outcome]:
    """Return replays over late-to-early cost ratios: days thrown away against days run past the end, with money."""
    name, days, found = predictor or record.slot.predictor, origins(record, REPLAYED), []
    backtest(record, recipe(name), days, grid=ORDERS)
    for ratio in ratios:
        other = changed(record, Change(cost_late=record.slot.cost_early * ratio))
        prompted = replay.replay(other, backtest(other, recipe(name), days, grid=ORDERS))
        declared = (record.slot.cost_early, record.slot.cost_late)
        found.append(replay.outcome(record, f"{ratio:g}", prompted, declared))
    return found


def changed(record: Record, change: Change) -> Record:
    """Return the record under a change of costs and threshold; delivery time is the replay's. Raises CannotReplay."""
    slot = record.slot
    for name in ("cost_early", "cost_late"):
        value = getattr(change, name)
        if value is not None and not value > 0:
            raise CannotReplay(f"{name.replace('_', ' ')} must be above zero, not {value:g}")
        if value is not None:
            slot = replace(slot, **{name: value})
    if change.delivery_d is not None and change.delivery_d < 0:
        raise CannotReplay(f"a delivery time of {change.delivery_d:g} days cannot be; use 0 or more")
    if change.threshold is None:
        other = replace(record, slot=slot)
        other.fits.update(record.fits)  # what costs and delivery do not change
        return other
    if slot.indicator_eol is None:
        raise CannotReplay(f"the slot {slot.code!r} declares no indicator, so no threshold can be another one")
    return _with_threshold(record, _threshold_slot(slot, change.threshold))


def _threshold_slot(slot: Slot, threshold: float) -> Slot:
    """Return the slot with another end; its levels keep their place on the way there."""
    old = way.declared(slot)
    eol = float(slot.indicator_eol or 0.0)
    start = slot.indicator_baseline if slot.indicator_baseline is not None else old.levels[0] if old.falling else 0.0
    share = (threshold - start) / (eol - start)
    if not share > 0:
        raise CannotReplay(f"a threshold of {threshold:g} does not lie beyond the baseline of {start:g}; {eol:g} does")
    return replace(slot, indicator_eol=threshold, levels=[start + share * (level - start) for level in old.levels])


def _with_threshold(record: Record, slot: Slot) -> Record:
    old, new = way.declared(record.slot), way.declared(slot)
    old_way = (*old.levels, float(old.indicator_eol or 0.0))
    was, becomes = way.mark(record.slot), way.mark(slot)

    def moved(row: Mapping[str, Any], end: float | None) -> dict[str, Any]:
        told = {**row, "levels": becomes}
        as_many = len(row.get("hits") or old.levels) == len(old.levels)
        if not (as_many and way.same(row, was)):  # measured on a way before: nothing to read off
            told |= {"hits": None, "reads": None, "looks": None}
        hits = [*(told.get("hits") or [None] * len(old.levels)), end]
        return {**told, "hits": _read_off(old_way, hits, new.levels), **_reads(told, old.span, new.span)}

    told = []
    for label in record.cycles.labels:
        if label is None or not label.get("witnessed"):
            told.append(label)
            continue
        at_end = None if label.get("censored") else label.get("load_h") or label.get("run_h")
        row = moved(label, at_end)
        ended = bool(labels.shows_end(features.recalled(slot, [row], record.epoch))[0])
        told.append(row | {"censored": not ended})
    inputs = tuple(moved(row, None) for row in record.snapshots.inputs)
    other = replace(
        record,
        slot=slot,
        cycles=replace(record.cycles, labels=tuple(told)),
        snapshots=replace(record.snapshots, inputs=inputs),
    )
    return replace(other, cycles=replace(other.cycles, labels=_at_first_end(other)))


def _at_first_end(record: Record) -> tuple[Mapping[str, Any] | None, ...]:
    """Return labels whose exposure is that of the first forecast that shows the end, as labels.py makes them."""
    first: dict[int, int] = {}
    for row in np.flatnonzero(record.shows_end):
        first.setdefault(int(record.snapshots.cycle[row]), int(row))
    told: list[Mapping[str, Any] | None] = []
    for i, label in enumerate(record.cycles.labels):
        if label is None or label.get("censored") or i not in first:
            told.append(label)
            continue
        inputs = record.snapshots.inputs[first[i]]
        at_end = ("run_h", "load_h", "age_d", *features.COVARIATES)
        told.append({**label, **{name: inputs[name] for name in at_end if name in inputs}})
    return tuple(told)


def _reads(row: Mapping[str, Any], old: tuple[float, float], new: tuple[float, float]) -> dict[str, Any]:
    """Return the row's reads and looks as shares of the new way, where it has some."""

    def shifted(look: list[float | None]) -> list[float | None]:
        at, *shares = look
        seen = [None if share is None else old[0] + share * (old[1] - old[0]) for share in shares]
        return [at, *(None if one is None else max((one - new[0]) / (new[1] - new[0]), 0.0) for one in seen)]

    moved: dict[str, Any] = {}
    if row.get("reads"):
        moved["reads"] = shifted(row["reads"])
    if row.get("looks"):
        moved["looks"] = [shifted(look) for look in row["looks"]]
    return moved


def _read_off(way: tuple[float, ...], hits: list[float | None], levels: tuple[float, ...]) -> list[float | None]:
    """Return the exposures at other levels: linear between the two nearest that were crossed, None beyond them."""
    known = [(level, hit) for level, hit in zip(way, hits, strict=True) if hit is not None and hit > 0]
    if not known:
        return [None] * len(levels)
    at: Array = np.array([level for level, _ in known])
    exposure = np.maximum.accumulate(np.array([hit for _, hit in known], dtype=np.float64))
    sign = -1.0 if way[-1] < way[0] else 1.0
    found = np.interp(sign * np.array(levels), sign * at, exposure, right=np.nan)
    below = sign * np.array(levels) < sign * at[0]
    found[below] = exposure[0] * np.clip(np.array(levels)[below] / at[0], 0.05, 1.0)
    return [None if not np.isfinite(value) else float(value) for value in found]


def _warnings(record: Record, other: Record, effective: float) -> list[str]:
    said = []
    lost = int((record.ended & ~other.ended).sum())
    if lost:
        said.append(
            f"{lost} ends were not seen at the other threshold: those parts were taken out before, and weigh in"
        )
    if effective < WEAK:
        said.append(f"the history is worth {effective:.1f} cycles here: too few to decide on")
    return said
