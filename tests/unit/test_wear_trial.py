"""The benchmark on recorded parts: nobody is asked with what only the future could tell, and who would is caught."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.wear import trial
from tests.benchmarks.wear.recording import Recording, recording
from tests.benchmarks.wear.sets import SETS, RecordedSet
from tests.benchmarks.wear.trial import Fold, Forecast
from tests.conftest import DATA

EOL = 100.0
NAMES = ("timer", "linear", "weibull", "hit")
AT = 0.5
PHME20 = next(each for each in SETS if each.name == "phme20")

recorded = pytest.mark.skipif(not (DATA / "phme20").is_dir(), reason="../shared/data/phme20 is absent")


def part(i: int) -> Recording:
    """A part that clogs along a knee, at a load and a pace of its own; three dusts in turn."""
    rng = np.random.default_rng(i)
    ends = float(round(300.0 * np.exp(0.2 * rng.standard_normal())))
    time = np.arange(1.0, 1.2 * ends)
    load = 1.0 + 0.3 * rng.random(time.size)
    pressure = EOL * (0.02 + 0.98 * (time / ends) ** 3) * np.exp(0.02 * rng.standard_normal(time.size))
    return recording(f"part {i}", f"dust {i % 3}", (time, pressure, load), ends)


def nothing(_: Path) -> Iterator[Recording]:
    yield from ()


KNEE = RecordedSet("knee", nothing, EOL, smoothing=5)
PARTS = [part(i) for i in range(18)]


@pytest.fixture(autouse=True)
def few_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOMENTS", np.array([0.3, AT, 0.9]))


def told(of: RecordedSet, folds: list[Fold], name: str, names: tuple[str, ...] = NAMES) -> list[Forecast]:
    """All that is forecast of one part half way through its life."""
    found = trial.run(of, folds, names)
    return [one for model in names for one in found[model] if one.unit == name and one.fraction == AT]


def fold(of: list[Recording], asked: Recording) -> list[Fold]:
    return [Fold([unit for unit in of if unit.name != asked.name], [asked], by_condition=False)]


def shuffled(unit: Recording, seed: int = 1) -> Recording:
    """The same part, what it told in the second half of its life put in another order."""
    later = np.flatnonzero(unit.time > AT * unit.ends)
    order = np.arange(unit.time.size)
    order[later] = np.random.default_rng(seed).permutation(later)
    others = None if unit.covariates is None else unit.covariates[order]
    return replace(unit, indicator=unit.indicator[order], load=unit.load[order], covariates=others)


def lost(unit: Recording) -> Recording:
    """The same part, what it told in the second half of its life gone but for the last sample of all."""
    kept = (unit.time <= AT * unit.ends) | (np.arange(unit.time.size) == unit.time.size - 1)
    others = None if unit.covariates is None else unit.covariates[kept]
    return replace(unit, time=unit.time[kept], indicator=unit.indicator[kept], load=unit.load[kept], covariates=others)


def absurd(unit: Recording) -> Recording:
    """The same part, what it told in the second half of its life a thousand times as high."""
    later = unit.time > AT * unit.ends
    others = None if unit.covariates is None else np.where(later[:, None], 9.0, unit.covariates)
    pressure, load = np.where(later, 1e3 * EOL, unit.indicator), np.where(later, 50.0, unit.load)
    return replace(unit, indicator=pressure, load=load, covariates=others)


TAMPERED = (shuffled, lost, absurd)


@pytest.mark.parametrize("tamper", TAMPERED)
def test_what_comes_after_the_moment_changes_nothing(tamper: Callable[[Recording], Recording]) -> None:
    """Samples behind the moment of a forecast in another order, gone or absurd: each model says the same."""
    honest = told(KNEE, fold(PARTS, PARTS[0]), "part 0")
    assert len(NAMES) == len({one.q50 for one in honest})  # each model has learned something of its own
    assert honest == told(KNEE, fold(PARTS, tamper(PARTS[0])), "part 0")


def test_the_model_that_looks_at_the_indicator_does_not_look_ahead_either() -> None:
    """The trees and reads of the default model, asked once."""
    honest, later = (told(KNEE, fold(PARTS, unit), "part 0", ("fused",)) for unit in (PARTS[0], absurd(PARTS[0])))
    assert 1 == len(honest)
    assert honest == later


def test_a_reader_that_lets_the_end_slip_in_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted leak, samples of a little later handed out with the past: what comes after does change forecasts."""

    def leaky(unit: Recording, now: float) -> Recording:
        past = unit.time <= 1.3 * now
        columns = (unit.time[past], unit.indicator[past], unit.load[past])
        return Recording(unit.name, unit.condition, *columns, float("nan"), unit.conditions)

    monkeypatch.setattr(Recording, "until", leaky)
    honest = told(KNEE, fold(PARTS, PARTS[0]), "part 0")
    assert all(honest != told(KNEE, fold(PARTS, tamper(PARTS[0])), "part 0") for tamper in (lost, absurd))


def test_a_smoother_that_looks_both_ways_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted leak, levels read off the whole recording and cut at the moment only then."""
    whole = {unit.name: unit for unit in PARTS}

    def centred(of: RecordedSet, unit: Recording, clock: np.ndarray) -> np.ndarray:
        full = whole[unit.name]
        ahead = full.indicator[20 : 20 + clock.size]
        seen = np.append(ahead, np.full(clock.size - ahead.size, np.nan))
        return real(of, replace(unit, indicator=seen), clock)

    real = trial._crossings
    monkeypatch.setattr(trial, "_crossings", centred)
    honest = told(KNEE, fold(PARTS, PARTS[0]), "part 0")
    whole["part 0"] = absurd(PARTS[0])
    assert honest != told(KNEE, fold(PARTS, absurd(PARTS[0])), "part 0")


def test_what_is_handed_to_a_question_ends_at_its_moment() -> None:
    """The past of a part has no sample behind now and no end."""
    for now in (0.0, 1.0, 57.3, 1e9):
        past = PARTS[1].until(now)
        assert (past.time <= now).all()
        assert np.isnan(past.ends)
        assert (PARTS[1].time <= now).sum() == past.time.size


def test_nobody_asked_is_learned_from() -> None:
    """In folds by unit each part is asked once, by a fold that does not know it."""
    folds = trial.by_unit(PARTS)
    assert trial.FOLDS == len(folds)
    for each in folds:
        assert not {unit.name for unit in each.asked} & {unit.name for unit in each.known}
        assert len(PARTS) == len(each.asked) + len(each.known)
    assert sorted(unit.name for unit in PARTS) == sorted(unit.name for each in folds for unit in each.asked)


def test_a_condition_left_out_is_nowhere_in_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a whole dust left out no part is learned from, be it as an end, a level or somebody's use to come."""
    folds = trial.by_condition(PARTS, trial.label_of("condition"))
    assert 3 == len(folds)
    for each in folds:
        assert 1 == len({unit.condition for unit in each.asked})
        assert not {unit.condition for unit in each.asked} & {unit.condition for unit in each.known}
        assert each.by_condition
    read: set[str] = set()
    monkeypatch.setattr(Recording, "exposure", property(lambda unit: read.add(unit.name) or real(unit)))
    trial._exposure_quantiles(KNEE, folds[0], trial.MODELS["weibull"], questions(folds[0]), set(), clocked=False)
    assert {unit.name for unit in folds[0].known} == read & {unit.name for unit in PARTS} - asked_of(folds[0])


def real(unit: Recording) -> np.ndarray:
    return np.asarray(np.cumsum(unit.load * np.diff(unit.time, prepend=0.0)))


def questions(each: Fold) -> list[trial.Question]:
    return trial._questions(KNEE, each, list(each.asked))


def asked_of(each: Fold) -> set[str]:
    return {unit.name for unit in each.asked}


def test_the_others_of_a_condition_left_out_do_not_matter() -> None:
    """Asked about one part of a dust left out, it does not matter what became of the rest of that dust."""
    label = trial.label_of("condition")
    mine = label(PARTS[0])
    changed = [absurd(unit) if label(unit) == mine and unit.name != "part 0" else unit for unit in PARTS]
    honest, other = (told(KNEE, trial.by_condition(units, label), "part 0") for units in (PARTS, changed))
    assert honest == other


# The same on recorded parts.


@pytest.fixture(scope="module")
def runs() -> list[Recording]:
    train, _ = PHME20.parts(DATA)
    return train[::2]  # half of them teach as well how not to look ahead


@recorded
@pytest.mark.parametrize("tamper", TAMPERED)
def test_the_future_of_a_recorded_run_changes_nothing(
    runs: list[Recording], tamper: Callable[[Recording], Recording]
) -> None:
    """phme20: a run asked half way says the same, whatever its second half is made to be."""
    names = ("timer", "linear", "hit")
    honest, later = (told(PHME20, fold(runs, unit), runs[0].name, names) for unit in (runs[0], tamper(runs[0])))
    assert len(names) == len(honest)
    assert honest == later


@recorded
@pytest.mark.parametrize("protocol", PHME20.protocols)
def test_a_recorded_condition_left_out_is_left_out_whole(runs: list[Recording], protocol: str) -> None:
    """phme20: neither profile nor concentration of those asked is known to the fold."""
    label = trial.label_of(protocol)
    for each in trial.by_condition(runs, label):
        assert not {label(unit) for unit in each.asked} & {label(unit) for unit in each.known}
