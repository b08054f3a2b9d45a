"""A fleet updated and forecast on one core: `python -m tests.benchmarks.wear_speed [--slots N] [--repeats N]`.

update: every slot crosses its next level at this moment, and is forecast with it. forecast: every slot as it stands,
long after its last level, with what its indicator reads. changed: one slot in twenty is updated and forecast, as the
gateway does between two rounds. Seconds are of the core's own time, so that whoever shares it does not count: medians
of the repeats. Memory is how much the process grew at its peak during the updates, the batch itself not counted.
"""

import argparse
import os
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from predictors import registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.history import History
from predictors.path import STEP

DECLARED = Declaration(life_h=2000.0, life_d=400.0, indicator_eol=100.0)


AIM_S = 2.0  # a million slots updated and forecast
CHANGED = 20  # one slot in so many
MIB = 1024


@dataclass(frozen=True, slots=True)
class Speed:
    """Hold the medians of a model in seconds, and its memory in MiB, NaN where the system does not tell."""

    model: str
    slots: int
    update_s: float
    forecast_s: float
    changed_s: float
    fit_s: float
    memory_mib: float

    @property
    def slots_per_s(self) -> float:
        """Return slots updated and forecast per second, three quantiles each."""
        return self.slots / self.update_s

    @property
    def meets_aim(self) -> bool:
        """Tell whether a million slots would take at most AIM_S."""
        return self.update_s / self.slots * 1e6 <= AIM_S


def fleet(n: int, seed: int = 0, *, cycles: int = 2000) -> tuple[SlotBatch, History]:
    """Return a batch of n slots with every column known, and a history of some cycles, half of them running."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0.2, 0.95, len(DECLARED.levels))

    def parts(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        life = 2000.0 * rng.weibull(4.0, m)
        used = life * rng.uniform(0.0, 1.0, m)
        return life, used, life[:, None] * shares * np.exp(0.03 * rng.standard_normal((m, shares.size)))

    def read(at: np.ndarray, life: np.ndarray) -> np.ndarray:
        share = (at / life) ** 2 * np.exp(0.03 * rng.standard_normal(at.shape))
        return np.stack([at, share, share, share, share / 3.0], axis=-1)

    life, used, hits = parts(cycles)
    ended = np.arange(cycles) % 2 == 0
    grid = np.tile(2000.0 * STEP * np.arange(1.0, 160.0), (cycles, 1))
    now = np.where(ended, life, used)
    looks = [table[table[:, 0] <= last] for table, last in zip(read(grid, life[:, None]), now, strict=True)]
    history = History.of(now, ~ended, hits=hits, days=now / 5.0, looks=looks)
    life, used, hits = parts(n)
    batch = SlotBatch(
        run_h=used / 1.1,
        load_h=used,
        age_d=used / 5.0,
        h_per_day=rng.uniform(2.0, 8.0, n),
        h_per_day_sd=rng.uniform(0.1, 1.0, n),
        load_per_h=rng.uniform(0.8, 1.4, n),
        left_pct=rng.uniform(0.0, 100.0, n),
        left_h=np.full(n, np.nan),
        silent_d=rng.exponential(0.5, n),
        hits=np.where(hits <= used[:, None], hits, np.nan),
        reads=read(used, life),
    )
    return batch, history


def updated(batch: SlotBatch) -> SlotBatch:
    """Return the slots with one crossing more: the level after the last one is reached at this very exposure."""
    assert batch.hits is not None
    hits = batch.hits.copy()
    count = np.isfinite(hits).sum(axis=1)
    more = np.flatnonzero(count < hits.shape[1])
    hits[more, count[more]] = batch.load_h[more]
    columns: dict[str, Any] = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return SlotBatch(**{**columns, "hits": hits})


def measure(
    slots: int = 100_000, repeats: int = 3, *, cycles: int = 2000, models: Iterable[str] = registry.MODELS
) -> list[Speed]:
    """Return how long each of the models takes, and what memory."""
    batch, history = fleet(slots, cycles=cycles)
    some = batch.take(np.arange(slots) % CHANGED == 0)
    rows = []
    for name in models:
        start = time.process_time()
        fitted = registry.named(name)(DECLARED).fit(history)
        fit_s = time.process_time() - start
        fitted.forecast(some)
        before = _resident("VmRSS") if _forget_peak() else float("nan")
        update_s = _median(lambda: fitted.forecast(updated(batch)), repeats)  # noqa: B023  # called at once
        grown = (_resident("VmHWM") - before) / MIB
        forecast_s = _median(lambda: fitted.forecast(batch), repeats)  # noqa: B023  # likewise
        changed_s = _median(lambda: fitted.forecast(updated(some)), repeats)  # noqa: B023  # likewise
        rows.append(Speed(name, slots, update_s, forecast_s, changed_s, fit_s, grown))
    return rows


def _median(work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def _forget_peak() -> bool:
    """Let Linux measure the peak anew; tell whether it does."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> float:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return float("nan")
    return float(found[1]) if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = measure(asked.slots, asked.repeats)
    hit = next(row for row in rows if row.model == "hit")
    heads = ("update s", "of hit", "forecast s", "of hit", "changed s", "slots/s", "memory MiB", "fit s")
    print(f"{'model':10} {'slots':>9}" + "".join(f"{head:>12}" for head in heads) + f"  1e6 in {AIM_S:g} s")
    for row in rows:
        print(
            f"{row.model:10} {row.slots:9,}{row.update_s:12.3f}{row.update_s / hit.update_s:12.2f}"
            f"{row.forecast_s:12.3f}{row.forecast_s / hit.forecast_s:12.2f}{row.changed_s:12.3f}"
            f"{row.slots_per_s:12,.0f}{row.memory_mib:12,.0f}{row.fit_s:12.2f}  {'met' if row.meets_aim else 'missed'}"
        )


if __name__ == "__main__":
    main()
