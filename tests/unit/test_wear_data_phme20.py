"""The filter-clogging runs of PHM Europe 2020: read with their quirks, forecast without looking ahead."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.replay import phme20, score
from tests.benchmarks import wear_coverage
from tests.conftest import DATA

SET = DATA / "phme20"
HEADER = "Time(s),Flow_Rate(ml/m),Upstream_Pressure(psi),Downstream_Pressure(psi)\n"

recorded = pytest.mark.skipif(not SET.is_dir(), reason="../shared/data/phme20 is absent")


@pytest.fixture(scope="module")
def runs() -> list[phme20.Run]:
    return list(phme20.runs(SET))


@pytest.fixture(scope="module")
def series() -> list[score.Series]:
    return wear_coverage.phme20_series(SET)


def small_set(folder: Path, *, rows: str, header: str = HEADER, profiles: str | None = None) -> Path:
    """A set of one run."""
    (folder / "train" / "Small").mkdir(parents=True)
    (folder / "train" / "Small" / "Sample07.csv").write_text(header + rows, encoding="utf-8-sig")
    if profiles is not None:
        (folder / "train" / "Operation Profiles.csv").write_text(profiles, encoding="utf-8-sig")
    return folder


@recorded
def test_all_runs_are_read_with_their_profiles(runs: list[phme20.Run]) -> None:
    """24 runs of two particle sizes and three solid ratios, each run to its end, the first samples included."""
    trained = [run for run in runs if run.part == "train"]
    assert 24 == len(trained)
    assert {"45-53", "63-75"} == {run.particles_um for run in trained}
    assert {0.4, 0.425, 0.45} == {run.solid_ratio for run in trained}
    assert 6 == len({run.profile for run in trained})
    first = next(run for run in trained if run.name == "Sample01")
    assert ("Small", 273.4, 0.0) == (first.size, first.eol_s, first.time_s[0])


@recorded
def test_what_was_recorded_after_the_end_is_cut(runs: list[phme20.Run]) -> None:
    """Only the last sample of a run lies past 20 psi."""
    for run in runs:
        assert run.time_s[-1] == run.eol_s
        past = run.pressure_drop_pa > phme20.EOL_PA
        assert past[-1]
        assert not past[:-1].any()


@recorded
def test_units_are_si(runs: list[phme20.Run]) -> None:
    """ml/min and psi arrive as cubic metres per hour and pascal."""
    assert pytest.approx(137_895.146, rel=1e-6) == phme20.EOL_PA
    assert 0.03 < np.median(runs[0].flow_m3_h) < 0.04


def test_quirks_of_the_files_are_read(tmp_path: Path) -> None:
    """BOM, decimal commas, rows that are cut short or hold no number, samples out of order."""
    rows = "0.2,560,4.5,1\n0.0,550,1,1\n0.1,oops,1,1\n0.3,560\n0.4,560,25,1\n0.5,560,30,1\n"
    profiles = "sample;Particle Size (micron);Solid Ratio(%)\n7;45-53;0,425\n;;\n"
    (run,) = phme20.runs(small_set(tmp_path, rows=rows, profiles=profiles))
    assert [0.0, 0.2, 0.4] == run.time_s.tolist()
    assert pytest.approx(3.5 * 6894.757293168) == run.pressure_drop_pa[1]
    assert (0.4, 0.425, "45-53 0.425%") == (run.eol_s, run.solid_ratio, run.profile)


def test_a_run_without_profile_or_end_is_still_a_run(tmp_path: Path) -> None:
    """Where no profile names it the concentration is unknown; where it never clogged it is censored."""
    (run,) = phme20.runs(small_set(tmp_path, rows="0.0,550,1,1\n0.1,550,2,1\n") / "train")
    assert (None, None, "Small unknown") == (run.eol_s, run.solid_ratio, run.profile)
    assert score.load(run.flow_m3_h, run.solid_ratio) is None


def test_files_laid_out_otherwise_are_refused(tmp_path: Path) -> None:
    """A wrong header says which columns it needs; an empty file and an empty folder say so."""
    with pytest.raises(phme20.UnreadableRun, match="needs the columns"):
        list(phme20.runs(small_set(tmp_path / "a", rows="1,2\n", header="a,b\n")))
    with pytest.raises(phme20.UnreadableRun, match="no samples"):
        list(phme20.runs(small_set(tmp_path / "b", rows="")))
    with pytest.raises(phme20.UnreadableRun, match="Solid Ratio"):
        list(phme20.runs(small_set(tmp_path / "c", rows="0.0,550,1,1\n", profiles="x;y\n")))
    with pytest.raises(FileNotFoundError, match="no run"):
        list(phme20.runs(tmp_path))


@recorded
def test_forecasts_of_unseen_profiles_beat_the_hours_timer(series: list[score.Series]) -> None:
    """With a whole profile left out, levels and trees err a quarter of what the timer errs, and the interval holds."""
    rows = score.score(series, phme20.EOL_PA, models=("fused", "rated"))
    errors = {one.model: one for one in score.summarise(rows) if one.fraction is None}
    assert errors["fused"].mae_s < 0.25 * errors["rated"].mae_s
    assert errors["fused"].cov80 >= 0.7
    assert {24 * 3} == {one.runs for one in errors.values()}


@recorded
def test_forecasts_get_nearer_as_life_goes_on(series: list[score.Series]) -> None:
    """At 90 % of life the error and the interval are smaller than at half of it."""
    rows = score.score(series, phme20.EOL_PA, models=("hit",), held_out=lambda one: one.name)
    at = {one.fraction: one for one in score.summarise(rows)}
    assert at[0.9].mae_s < 0.5 * at[0.5].mae_s
    assert at[0.9].width80_s < at[0.5].width80_s
    assert all(row.now_s <= row.q10 <= row.q50 <= row.q90 for row in rows)


@recorded
def test_the_future_does_not_change_a_forecast(series: list[score.Series]) -> None:
    """Samples after the moment of the forecast may be shuffled or lost: the forecast is the same."""
    rng = np.random.default_rng(1)

    def shuffled(one: score.Series) -> score.Series:
        later = np.flatnonzero(one.time_s > 0.5 * (one.eol_s or 0.0))
        order = np.arange(one.time_s.size)
        order[later] = rng.permutation(later)
        load = None if one.load is None else one.load[order]
        return replace(one, pressure_drop=one.pressure_drop[order], load=load)

    name = series[0].name
    tampered = [shuffled(one) if one.name == name else one for one in series]
    honest, leaky = (
        score.score(runs, phme20.EOL_PA, fractions=(0.5,), held_out=lambda one: one.name) for runs in (series, tampered)
    )
    assert [row for row in honest if row.run == name] == [row for row in leaky if row.run == name]


@recorded
def test_without_concentration_the_clock_is_hours(series: list[score.Series]) -> None:
    """Runs whose load nobody knows are forecast by time and indicator, worse and still within bounds."""
    blind = [replace(one, load=None) for one in series]
    rows = score.score(blind, phme20.EOL_PA, models=("hit",), held_out=lambda one: one.name)
    overall = score.summarise(rows)[-1]
    assert overall.mae_s < 12.0
    assert overall.cov80 >= 0.75


def ramp(name: str, eol: float) -> score.Series:
    time = np.arange(0.0, eol + 1.0)
    return score.Series(name, name, time, 10.0 * (time / eol) ** 2, None, eol)


def test_nothing_to_learn_from_is_said() -> None:
    """A single run cannot be left out and learned from."""
    with pytest.raises(ValueError, match="nothing to learn from"):
        score.score([ramp("one", 50.0)], 10.0)


def test_runs_still_going_teach_and_are_not_scored() -> None:
    """A censored run stands in the history of the others and gets no row."""
    running = replace(ramp("running", 80.0).until(60.0), eol_s=None)
    rows = score.score([ramp("one", 50.0), ramp("two", 70.0), running], 10.0, models=("weibull",))
    assert {"one", "two"} == {row.run for row in rows}
