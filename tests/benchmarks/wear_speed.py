"""Slots forecast per second on one core: `python -m tests.benchmarks.wear_speed [--slots N]`."""

import argparse
import os
import time
from dataclasses import dataclass

import numpy as np

from predictors import registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.history import History

DECLARED = Declaration(life_h=2000.0, life_d=400.0, indicator_eol=100.0)


@dataclass(frozen=True, slots=True)
class Speed:
    """Hold how fast a model forecasts and fits."""

    model: str
    slots: int
    forecast_s: float
    fit_s: float

    @property
    def slots_per_s(self) -> float:
        """Return slots forecast per second, three quantiles each."""
        return self.slots / self.forecast_s


def fleet(n: int, seed: int = 0) -> tuple[SlotBatch, History]:
    """Return a batch of n slots with every column known, and a history of 2000 cycles, half of them running."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0.2, 0.95, len(DECLARED.levels))

    def parts(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        life = 2000.0 * rng.weibull(4.0, m)
        used = life * rng.uniform(0.0, 1.0, m)
        return life, used, life[:, None] * shares * np.exp(0.03 * rng.standard_normal((m, shares.size)))

    life, used, hits = parts(2000)
    ended = np.arange(2000) % 2 == 0
    history = History.of(np.where(ended, life, used), ~ended, hits=hits, days=np.where(ended, life, used) / 5.0)
    _, used, hits = parts(n)
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
    )
    return batch, history


def measure(slots: int = 100_000, repeats: int = 3) -> list[Speed]:
    """Return the best of `repeats` forecasts of one batch, and the time of one fit, by model."""
    batch, history = fleet(slots)
    rows = []
    for name, model in registry.MODELS.items():
        start = time.perf_counter()
        fitted = model(DECLARED).fit(history)
        fit_s = time.perf_counter() - start
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            fitted.forecast(batch)
            taken.append(time.perf_counter() - start)
        rows.append(Speed(name, slots, min(taken), fit_s))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=100_000)
    slots = parser.parse_args().slots
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'model':10} {'slots':>9} {'forecast s':>11} {'slots/s':>12} {'fit of 2000 cycles s':>21}")
    for row in measure(slots):
        print(f"{row.model:10} {row.slots:9,} {row.forecast_s:11.3f} {row.slots_per_s:12,.0f} {row.fit_s:21.3f}")


if __name__ == "__main__":
    main()
