"""Dates by which a given exposure is used up: `python -m tests.benchmarks.usage [--data ROOT] [--json OUT]`.

Simulated households: what a unit will really use in the next 30, 90, 180 or 365 days is its exposure left, known
exactly, so that the right date is that many days away and every error is the usage forecast's. Whoever forecasts a date
has seen no more than the days before; the cohort is learned from other households. Then load schedules: vdq, where ROOT
holds it.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from predictors import future, schedule, usage, usage_learn
from predictors.batch import SlotBatch
from predictors.usage_cohort import UseCohort
from predictors.usage_days import DailyUse
from tests.benchmarks._households import KINDS, YEAR, Households, heated, simulate, weekday

DATA = Path(__file__).parents[3] / "shared" / "data"
HORIZONS = (30, 90, 180, 365)
ORIGINS = (365, 455, 550, 640, 730)  # days after the first household's first
AUTUMN = 640  # of them, in the first days of October
SPAN = 3 * YEAR
MODELS = ("usage", "today's use", "mean rate", "last rate")
QUANTILES = (0.05, 0.1, 0.5, 0.9, 0.95)
FAR = 4  # horizons beyond which a date is as wrong as at them: a rate of nothing has no date
DECLARED_H = 4.0  # running hours a day that the maker expects
LEAST_CHANGE = 0.1  # of the log level, that counts as one
MOVED, NOT_YET, TOLD = "moving, moved already", "moving, not yet", "told of a change"
NEWCOMERS = "any kind, newly come"
FRACTIONS = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold errors in days at one horizon over one kind of household; coverage and width of two intervals."""

    model: str
    kind: str
    horizon_d: int
    forecasts: int
    mae_d: float
    median_d: float
    cov80: float
    width80_d: float
    cov90: float
    width90_d: float


@dataclass(frozen=True, slots=True)
class Dates:
    """Hold the dates of one origin and horizon, (n, 5) by model, and who is among which households, (n,).

    changes: (n,) how often each household's use changed while it was seen.
    """

    horizon: int
    among: dict[str, np.ndarray]
    changes: np.ndarray
    by_model: dict[str, np.ndarray]


def daily(houses: Households, origin: int, last: int) -> DailyUse:
    """Return what is known on the morning of day `origin`."""
    return DailyUse.of(houses.seen(origin, last), weekday(origin - 1), (origin - 1) % YEAR)


def dated(houses: Households, cohort: UseCohort, origin: int) -> Iterator[Dates]:
    """Yield the dates that each model gives on the morning of day `origin`."""
    seen = houses.seen(origin)
    changes = (np.abs(houses.jumps[:, max(origin - seen.shape[1], 0) : origin]) > LEAST_CHANGE).sum(axis=1)
    path = usage.forecast(daily(houses, origin, 400), cohort)
    recent = seen[:, -28:]
    days = np.isfinite(recent).sum(axis=1)
    mean = np.nanmean(recent, axis=1)
    # As gateway.replenish.features takes it: a week of days is worth one look.
    spread = np.nanstd(recent, axis=1, ddof=1) * np.sqrt(7.0 / np.maximum(days, 7))
    plain = {"h_per_day": mean, "h_per_day_sd": spread}
    alone = np.ones(len(mean))
    per_day = float(np.exp(cohort.level)) / 7.0
    batch = SlotBatch.of(len(mean), **plain)
    pathed = SlotBatch.of(len(mean), **plain, use_path=path.cumulative, use_path_sd=path.log_sd)
    uses = {"usage": future.use(pathed, alone, per_day), "today's use": future.use(batch, alone, per_day)}
    rates = {"mean rate": np.nanmean(seen, axis=1), "last rate": mean}
    for horizon in HORIZONS:
        if origin + horizon > houses.use.shape[1]:
            continue
        left = houses.use[:, origin : origin + horizon].sum(axis=1)
        some = left > 0  # who uses nothing has nothing to be used up
        among = {name: mask[some] for name, mask in _among(houses, changes, np.isfinite(path.change_d)).items()}
        exact = np.repeat(left[:, None], len(QUANTILES), axis=1)
        dates = {name: future.dates(exact, left, use, np.zeros(len(left)), QUANTILES) for name, use in uses.items()}
        for name, rate in rates.items():
            point = np.minimum(left / np.maximum(rate, 1e-9), future.HORIZON_D)
            dates[name] = np.repeat(point[:, None], len(QUANTILES), axis=1)
        yield Dates(horizon, among, changes[some], {name: table[some] for name, table in dates.items()})


def _among(houses: Households, changes: np.ndarray, told: np.ndarray) -> dict[str, np.ndarray]:
    """Return who is of which kind, and who has moved already or was told so, (n,) each."""
    kinds = {name: houses.kind == k for k, name in enumerate(KINDS)}
    moving = kinds["moving"]
    return kinds | {MOVED: moving & (changes > 0), NOT_YET: moving & (changes == 0), TOLD: told}


def newcomers(houses: Households, origin: int, rng: np.random.Generator) -> Households:
    """Return the same households, of every kind, as if they had come 5 to 56 days before `origin`."""
    return replace(houses, born=origin - rng.integers(5, 57, len(houses.born)))


def attainable(found: list[Dates]) -> dict[str, dict[int, float]]:
    """Return how much of the truth an interval of 80 % covers where every past change is known, by kind and horizon.

    Its width about the forecast's median is what held 80 % of every other household that had changed as often. Changes
    to come are as unknown to it as to anyone.
    """
    covered: dict[str, dict[int, float]] = {"all": {}, **{name: {} for name in KINDS[:4]}}
    for horizon in HORIZONS:
        here = [dates for dates in found if dates.horizon == horizon]
        off = np.concatenate([np.abs(np.log(dates.by_model["usage"][:, 2] / horizon)) for dates in here])
        often = np.concatenate([dates.among["weekend"] for dates in here])
        changes = np.minimum(np.concatenate([dates.changes for dates in here]), 3)
        group = np.where(often, 4, changes)
        new = np.concatenate([dates.among["new"] for dates in here])
        asked = np.arange(len(off)) % 2 == 1
        width = np.array([np.quantile(off[~asked & ~new & (group == g)], 0.8) for g in range(5)])
        for name, by_horizon in covered.items():
            mask = asked & ~new & np.concatenate([dates.among.get(name, dates.changes >= 0) for dates in here])
            by_horizon[horizon] = float((off[mask] <= width[group[mask]]).mean())
    return covered


def alarms(units: int, seed: int) -> dict[str, float]:
    """Return how often a change of use is told: by kind where there was none in half a year, and where there was one.

    There was one: half as much again or more, or the inverse, once, four to twenty weeks ago.
    """
    told: dict[str, list[np.ndarray]] = {}
    for origin in ORIGINS:
        rng = np.random.default_rng([seed, origin])
        others, houses = simulate(units, SPAN, rng, origin), simulate(units, SPAN, rng, origin)
        cohort = usage_learn.learn(daily(others, origin, 2 * YEAR), UseCohort.declared(DECLARED_H))
        alarm = np.isfinite(usage.forecast(daily(houses, origin, 400), cohort).change_d)
        past = np.abs(houses.jumps[:, :origin])
        still = (past[:, -182:] == 0).all(axis=1)
        once = (past[:, -140:-28].max(axis=1) > np.log(1.5)) & ((past[:, -182:] > 0).sum(axis=1) == 1)
        for k, kind in enumerate(KINDS[:4]):
            told.setdefault(f"none, {kind}", []).append(alarm[still & (houses.kind == k)])
        told.setdefault("one, moving", []).append(alarm[once & (houses.kind == KINDS.index("moving"))])
    return {name: float(np.concatenate(found).mean()) for name, found in told.items()}


def households(units: int, seed: int) -> tuple[list[Row], dict[str, dict[int, float]]]:
    """Return the rows of simulated households, by who they are and over all, and what coverage was attainable."""
    found: list[Dates] = []
    fresh: list[Dates] = []
    for origin in ORIGINS:
        rng = np.random.default_rng([seed, origin])
        others, houses = simulate(units, SPAN, rng, origin), simulate(units, SPAN, rng, origin)
        cohort = usage_learn.learn(daily(others, origin, 2 * YEAR), UseCohort.declared(DECLARED_H))
        found += dated(houses, cohort, origin)
        fresh += dated(newcomers(houses, origin, np.random.default_rng([seed, origin, 1])), cohort, origin)
    rows = []
    for model in MODELS:
        for horizon in (*HORIZONS, 0):
            rows += [rowed(model, name, horizon, found) for name in ("all", *KINDS, MOVED, NOT_YET, TOLD)]
            rows.append(replace(rowed(model, "all", horizon, fresh), kind=NEWCOMERS))
    return rows, attainable(found)


def steps(units: int, seed: int) -> tuple[list[Row], dict[str, float]]:
    """Return rows of households whose heating doubles use overnight, and the share told of a change that was none.

    The rows of a model at each horizon over all five days, and over the one a week or two before the heating season.
    """
    found: list[Dates] = []
    autumn: list[Dates] = []
    told = []
    for origin in ORIGINS:
        rng = np.random.default_rng([seed, origin, 2])
        weather = rng.normal(0.0, 7.0, (SPAN // YEAR + 1, 2))
        others, houses = (heated(simulate(units, SPAN, rng, origin), rng, weather) for _ in range(2))
        cohort = usage_learn.learn(daily(others, origin, 2 * YEAR), UseCohort.declared(DECLARED_H))
        here = list(dated(houses, cohort, origin))
        found += here
        autumn += here if origin == AUTUMN else []
        alarm = np.isfinite(usage.forecast(daily(houses, origin, 400), cohort).change_d)
        still = (houses.jumps[:, max(origin - 182, 0) : origin] == 0).all(axis=1) & (houses.kind == 0)
        if origin > YEAR + YEAR // 12:  # a year and a month: the steps have been seen
            told.append(alarm[still])
    rows = [
        replace(rowed(model, "all", horizon, dates), kind=kind)
        for model in MODELS
        for kind, dates in (("heated", found), ("heated, before autumn", autumn))
        for horizon in HORIZONS
    ]
    return rows, {"none, heated": float(np.concatenate(told).mean())}


def rowed(model: str, name: str, horizon: int, found: list[Dates]) -> Row:
    """Return the figures of a model at a horizon, 0 for all of them, over the households of a name, "all" for all."""
    here = [dates for dates in found if horizon in {0, dates.horizon}]
    table = np.concatenate([dates.by_model[model] / dates.horizon for dates in here])
    scale = np.concatenate([np.full(len(dates.changes), dates.horizon) for dates in here])
    chosen = np.concatenate([dates.among.get(name, dates.changes >= 0) for dates in here])
    return row(model, name, horizon, table[chosen], scale[chosen])


def row(model: str, kind: str, horizon: int, table: np.ndarray, scale: np.ndarray) -> Row:
    """Return the figures of dates (n, 5) in units of their horizons (n,), the right one being 1."""
    table = np.minimum(table, FAR)
    off = np.abs(table[:, 2] - 1.0) * scale
    inside = [((table[:, low] <= 1.0) & (table[:, high] >= 1.0)).mean() for low, high in ((1, 3), (0, 4))]
    width = [((table[:, high] - table[:, low]) * scale).mean() for low, high in ((1, 3), (0, 4))]
    figures = (off.mean(), np.median(off), inside[0], width[0], inside[1], width[1])
    return Row(model, kind, horizon, len(off), *(float(figure) for figure in figures))


def recorded(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return time and dust feed of each run of a vdq file, in which the headers Dust_feed and RUL are swapped."""
    runs: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            runs.setdefault(line["Data_No"], []).append((float(line["Time"]), float(line["RUL"])))
    return [(samples[:, 0], samples[:, 1]) for samples in map(np.array, runs.values())]


def schedules(train: Path, test: Path) -> dict[str, dict[str, float]]:
    """Return relative errors of the mean load from now to the end of each run, by life fraction and model.

    Each run of `train` against the others; where `test` stands, its runs against all of `train`.
    """
    cohort = recorded(train)
    asked = [(run, cohort) for run in recorded(test)] if test.exists() else []
    asked = asked or [(run, [*cohort[:i], *cohort[i + 1 :]]) for i, run in enumerate(cohort)]
    found: dict[str, dict[str, float]] = {}
    for fraction in FRACTIONS:
        errors = []
        for (at, load), others in asked:
            k = int(fraction * len(at))
            span = at[-1] - at[k - 1]
            truth = float((load[k:] * np.diff(at[k - 1 :])).sum())
            seen = schedule.scenarios(at[:k], load[:k], others, span)
            told = (seen.mean[-1], load[:k].mean() * span, load[k - 1] * span)
            errors.append([abs(value / truth - 1.0) for value in told])
        mean = np.mean(errors, axis=0)
        found[str(fraction)] = dict(zip(("schedule", "mean rate", "last rate"), map(float, mean), strict=True))
    return found


def speed(units: int = 20_000) -> float:
    """Return CPU seconds per 100,000 units with 400 days each."""
    days = np.random.default_rng(1).lognormal(1.0, 0.5, (units, 400))
    start = time.process_time()
    usage.forecast(DailyUse.of(days, 3, 100), UseCohort.declared(DECLARED_H))
    return (time.process_time() - start) * 100_000 / units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    rows, best = households(asked.units, asked.seed)
    heating, false = steps(asked.units, asked.seed)
    rows += heating
    print(f"simulated households: {asked.units} at each of {len(ORIGINS)} days, seed {asked.seed}")
    head = (
        "model",
        "households",
        "horizon d",
        "forecasts",
        "MAE d",
        "median d",
        "cov80",
        "width80 d",
        "cov90",
        "w90 d",
    )
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for r in rows:
        figures = (
            f"{r.mae_d:.1f} | {r.median_d:.1f} | {r.cov80:.2f} | {r.width80_d:.0f} | {r.cov90:.2f} | {r.width90_d:.0f}"
        )
        print(f"| {r.model} | {r.kind} | {r.horizon_d or 'all'} | {r.forecasts} | {figures} |")
    print("\ncoverage of 80 % that knowing every past change would give")
    print("| households | " + " | ".join(f"{horizon} d" for horizon in HORIZONS) + " |\n" + "|---" * 5 + "|")
    for name, covered in best.items():
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in covered.values()) + " |")
    told = alarms(asked.units, asked.seed) | false
    print("\nshare of units told that their use changed")
    print("| change, households | told |\n|---|---|")
    for name, share in told.items():
        print(f"| {name} | {share:.3f} |")
    print(f"\nCPU: {speed():.1f} s for 100,000 units with 400 days each")
    vdq: dict[str, dict[str, float]] = {}
    if (train := asked.data / "vdq" / "train" / "runs.csv").exists():
        vdq = schedules(train, asked.data / "vdq" / "test" / "runs.csv")
        print("\nvdq: relative error of the mean load from now to the end of life")
        print("| life | schedule | mean rate | last rate |\n|---|---|---|---|")
        for fraction, errors in vdq.items():
            print(f"| {float(fraction):.0%} | " + " | ".join(f"{error:.3f}" for error in errors.values()) + " |")
    else:
        print(f"\nvdq: not in {asked.data}", file=sys.stderr)
    if asked.json:
        asked.json.write_text(
            json.dumps({"households": [asdict(r) for r in rows], "best": best, "told": told, "vdq": vdq}, indent=1)
        )


if __name__ == "__main__":
    main()
