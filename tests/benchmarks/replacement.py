"""Replacements found, and false alarms, on recorded filters: `python -m tests.benchmarks.replacement [--data ROOT]`.

Each run is cut to about six hundred looks. Quiet windows hold one filter's own looks; planted ones the last of a filter
at nine tenths of its life, then the first of another. What a fresh filter reads comes from all runs of the set and from
the run's own beginning, as gateway/replenish/signals.py has it. Nothing is skipped silently: a set that is absent is
named.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.replay import phme20
from predictors import changepoint, replacement, sensor
from predictors.batch import Array
from predictors.replacement import Verdict, Window
from predictors.sensor import Fault

DATA = Path(__file__).parents[3] / "shared" / "data"
LOOKS = 600  # of one life
WIDTH = 336  # columns of a window
EVERY = 60  # looks from one quiet window to the next
OWN_SD, LEAST_SD = 0.08, 0.05  # log spread of fresh filters in one unit, and over a set at the least


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what was said of a set's windows, by verdict, and of its sensors, by fault."""

    name: str
    runs: int
    quiet: Counter[str]
    planted: Counter[str]
    faults: Counter[str]


def esrel22(root: Path) -> Iterator[Array]:
    """Yield the pressure drop of each run in Pa, in order of time."""
    for file in sorted((root / "train").glob("*.csv")):
        yield np.array([float(row["Differenzdruck"]) for row in _rows(file)])


def together(root: Path) -> Iterator[Array]:
    """Yield the pressure drop of each run of a set that lies in one file, in Pa."""
    runs: dict[str, list[float]] = {}
    for row in _rows(root / "train" / "runs.csv"):
        runs.setdefault(row["Data_No"], []).append(float(row["Differential_pressure"]))
    yield from (np.array(run) for run in runs.values())


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        yield from csv.DictReader(opened)


SETS: dict[str, tuple[float, Callable[[Path], Iterator[Array]]]] = {
    "phme20": (phme20.EOL_PA, lambda root: (run.pressure_drop_pa for run in phme20.runs(root) if run.part == "train")),
    "esrel22": (600.0, esrel22),
    "vdq": (600.0, together),
    "p2p": (600.0, together),
}


def measure(name: str, root: Path) -> Found:
    """Return what is said of one set."""
    eol, read = SETS[name]
    runs = [_looks(run, changepoint.FLOOR * eol) for run in read(root)]
    own = np.array([np.median(run[:12]) for run in runs])
    middle = float(np.median(own))
    spread = max(1.4826 * float(np.median(np.abs(own - middle))), LEAST_SD)
    fresh = (middle / spread**2 + own / OWN_SD**2) / (1 / spread**2 + 1 / OWN_SD**2)
    sd = float(np.sqrt(1 / (1 / spread**2 + 1 / OWN_SD**2) + OWN_SD**2))
    quiet = [
        (run[max(end - WIDTH, 0) : end], i) for i, run in enumerate(runs) for end in range(60, run.size + 1, EVERY)
    ]
    late = [int(0.9 * run.size) for run in runs]
    planted = [
        (np.concatenate([run[max(end - 200, 0) : end], runs[(i + 7) % len(runs)][:60]]), i)
        for i, (run, end) in enumerate(zip(runs, late, strict=True))
    ]
    y = np.stack([_padded(window) for window, _ in quiet])
    level = fresh[[i for _, i in quiet]]
    clock = np.where(np.isfinite(y), np.arange(WIDTH, dtype=np.float64), np.nan)
    faults, _ = sensor.check(y, clock, level, np.full(len(y), sd))
    changed = np.stack([_padded(window) for window, _ in planted])
    return Found(
        name,
        len(runs),
        _judged(y, level, sd),
        _judged(changed, fresh, sd),
        Counter(Fault(int(fault)).name.lower() for fault in faults),
    )


def _judged(y: Array, fresh: Array, sd: float) -> Counter[str]:
    nobody, silent = np.full(len(y), -1), np.full(y.shape, np.nan)
    found = replacement.judge(Window(y, silent, fresh, np.full(len(y), sd), nobody, nobody))
    return Counter(Verdict(int(kind)).name.lower() for kind in found.kind)


def _looks(run: Array, floor: float) -> Array:
    """Return a run as medians of neighbours, about LOOKS of them, on the scale that is judged."""
    step = max(run.size // LOOKS, 1)
    whole = run[: run.size // step * step].reshape(-1, step)
    return changepoint.log_scale(np.median(whole, axis=1), floor=floor)


def _padded(window: Array) -> Array:
    last = window[-WIDTH:]
    return np.concatenate([np.full(WIDTH - last.size, np.nan), last])


def main() -> None:
    """Print one line for each set: quiet windows, planted replacements, sensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    root = parser.parse_args().data
    print("| set | runs | quiet windows | planted replacements | sensors |\n|---|---|---|---|---|")
    for name in SETS:
        if not (root / name).is_dir():
            print(f"| {name} | absent | | | |")
            continue
        found = measure(name, root / name)
        cells = (", ".join(f"{k} {n}" for k, n in c.most_common()) for c in (found.quiet, found.planted, found.faults))
        print(f"| {name} | {found.runs} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
