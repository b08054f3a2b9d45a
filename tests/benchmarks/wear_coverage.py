"""Errors and coverage on units a model has not seen: `python -m tests.benchmarks.wear_coverage [--data ROOT]`.

Simulated households always; the recorded sets phme20 and esrel22 where ROOT holds them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.replay import phme20, score
from predictors import registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.forecast import Forecasts
from predictors.history import History

DATA = Path(__file__).parents[3] / "shared" / "data"
DECLARED = Declaration(life_h=2000.0, life_d=400.0, indicator_eol=100.0)
SHARES = np.linspace(0.2, 0.92, len(DECLARED.levels))  # of life at which the simulated indicator crosses its levels


@dataclass(frozen=True, slots=True)
class Result:
    """Hold errors in days of the end of life over unseen slots, each somewhere within its life."""

    model: str
    units: int
    unseen: int
    mae_d: float
    cov80: float
    width80_d: float


@dataclass(frozen=True, slots=True)
class _Households:
    """Hold the truth of m households: exposure of life, exposure per hour, hours per day, hits."""

    life: np.ndarray
    load: np.ndarray
    h_per_day: np.ndarray
    hits: np.ndarray

    def take(self, rows: np.ndarray) -> "_Households":
        return _Households(self.life[rows], self.load[rows], self.h_per_day[rows], self.hits[rows])


def households(m: int, rng: np.random.Generator) -> _Households:
    """Return parts of Weibull life about a tenth below the rated one, in air and use that differ between households."""
    life = 2000.0 * rng.weibull(4.5, m)
    steps = 0.01 * rng.standard_normal((m, SHARES.size)).cumsum(axis=1)
    load = np.exp(0.3 * rng.standard_normal(m))
    return _Households(life, load, 5.0 * np.exp(0.3 * rng.standard_normal(m)), life[:, None] * SHARES * np.exp(steps))


def simulated(name: str, *, units: int, unseen: int, seed: int) -> Result:
    """Fit on `units` households, two thirds of their parts running, and score on `unseen` others somewhere in life.

    Use of the days to come differs from what is seen by 10 %, as the batch says it does.
    """
    rng = np.random.default_rng(seed)
    known = households(units, rng)
    ended = np.arange(units) % 3 == 0
    # Stopped at a time that has nothing to do with the part's own life.
    stop = np.where(ended, np.inf, rng.uniform(0.1, 1.2, units) * 2000.0)
    exposure = np.minimum(known.life, stop)
    history = History.of(
        exposure,
        stop < known.life,
        hits=np.where(known.hits <= exposure[:, None], known.hits, np.nan),
        days=exposure / known.load / known.h_per_day,
    )
    # Looked at on a day that has nothing to do with its life, as a fleet is: those whose part had ended are not asked.
    candidates = households(4 * unseen, rng)
    used = rng.uniform(0.0, 2400.0, 4 * unseen)
    alive = np.flatnonzero(used < candidates.life)[:unseen]
    other, used = candidates.take(alive), used[alive]
    seen = other.h_per_day * np.exp(0.1 * rng.standard_normal(unseen))
    batch = SlotBatch.of(
        unseen,
        run_h=used / other.load,
        load_h=used,
        age_d=used / other.load / other.h_per_day,
        h_per_day=seen,
        h_per_day_sd=0.1 * seen,
        load_per_h=other.load,
        silent_d=0.0,
        hits=np.where(other.hits <= used[:, None], other.hits, np.nan),
    )
    truth = (other.life - used) / other.load / other.h_per_day
    forecasts = registry.named(name)(DECLARED).fit(history).forecast(batch)
    return _result(name, units, forecasts, truth)


def _result(name: str, units: int, forecasts: Forecasts, truth: np.ndarray) -> Result:
    low, middle, high = forecasts.eol_d.T
    return Result(
        name,
        units,
        truth.size,
        mae_d=float(np.mean(np.abs(middle - truth))),
        cov80=float(np.mean((low <= truth) & (truth <= high))),
        width80_d=float(np.mean(high - low)),
    )


def phme20_series(root: Path) -> list[score.Series]:
    """Return the phme20 runs as the series that score takes."""
    return [
        score.Series(
            run.name,
            run.profile,
            run.time_s,
            run.pressure_drop_pa,
            score.load(run.flow_m3_h, run.solid_ratio),
            run.eol_s,
        )
        for run in phme20.runs(root)
    ]


def esrel22_series(root: Path) -> list[score.Series]:
    """Return the esrel22 runs: differential pressure in Pa over time, load = dust feed; ten folds by unit as groups."""
    series = []
    for place, file in enumerate(sorted(root.glob("t*/run_*.csv"))):
        table = np.genfromtxt(file, delimiter=",", names=True, encoding="utf-8")
        past = np.flatnonzero(table["Differenzdruck"] > 600.0)
        cut = slice(0, past[0] + 1 if past.size else None)
        time_s = table["Zeit"][cut]
        eol_s = float(time_s[-1])
        feed = table["Vorschub"][cut]
        series.append(score.Series(file.stem, f"fold {place % 10}", time_s, table["Differenzdruck"][cut], feed, eol_s))
    return series


def recorded(root: Path) -> Iterator[tuple[str, list[score.Summary]]]:
    """Yield a title and the errors of each recorded set that root holds."""
    if (root / "phme20").is_dir():
        series = phme20_series(root / "phme20")
        for title, held_out in (
            ("phme20, one profile left out", lambda one: one.group),
            ("phme20, one solid ratio left out", lambda one: one.group.rpartition(" ")[2]),
            ("phme20, one run left out", lambda one: one.name),
        ):
            yield title, score.summarise(score.score(series, phme20.EOL_PA, held_out=held_out))
    if (root / "esrel22").is_dir():
        series = esrel22_series(root / "esrel22")
        fractions = (0.3, 0.5, 0.7, 0.9)
        yield "esrel22, ten folds by unit", score.summarise(score.score(series, 600.0, fractions=fractions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    root = parser.parse_args().data
    print("simulated households, parts the model has not seen")
    print(f"  {'model':9} {'fitted on':>9} {'unseen':>7} {'MAE d':>7} {'cov80':>6} {'width80 d':>10}")
    for units in (30, 300, 3000):
        for name in registry.MODELS:
            row = simulated(name, units=units, unseen=5000, seed=1)
            numbers = f"{row.mae_d:7.1f} {row.cov80:6.2f} {row.width80_d:10.1f}"
            print(f"  {row.model:9} {row.units:9} {row.unseen:7} {numbers}")
    for title, rows in recorded(root):
        print(title)
        print(f"  {'model':9} {'life':>5} {'runs':>5} {'MAE s':>7} {'bias s':>7} {'cov80':>6} {'width80 s':>10}")
        for one in rows:
            at = "all" if one.fraction is None else f"{one.fraction:.0%}"
            numbers = f"{one.mae_s:7.1f} {one.bias_s:7.1f} {one.cov80:6.2f} {one.width80_s:10.1f}"
            print(f"  {one.model:9} {at:>5} {one.runs:5} {numbers}")


if __name__ == "__main__":
    main()
