"""The usage forecast: levels that change, seasons, absences, new units."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import artifact, usage, usage_learn
from predictors.usage_cohort import KNOTS, UseCohort
from predictors.usage_days import DailyUse

COHORT = UseCohort.declared(5.0)
DAYS = 364
MONTH, QUARTER, YEAR = (KNOTS.index(days) for days in (28, 91, 364))


def noisy(level: np.ndarray, n: int, seed: int = 1) -> np.ndarray:
    """Days about a level, (n, T), that differ from one to the next by a third."""
    rng = np.random.default_rng(seed)
    return level * np.exp(0.3 * rng.standard_normal((n, level.size)))


def told(days: np.ndarray, cohort: UseCohort = COHORT, *, weekday: int = 6, yearday: int = 0) -> usage.UsePath:
    return usage.forecast(DailyUse.of(days, weekday, yearday), cohort)


def test_steady_use_goes_on() -> None:
    """A year at four hours a day foretells four hours a day, and the sum over many days is the surer one."""
    path = told(noisy(np.full(DAYS, 4.0), 50))
    rates = path.cumulative / np.array(KNOTS)
    assert pytest.approx([4.2] * 3, rel=0.08) == np.median(rates, axis=0)[[MONTH, QUARTER, YEAR]].tolist()
    assert (path.log_sd[:, 0] > path.log_sd[:, MONTH]).all()
    assert np.isnan(path.change_d).all()


def test_a_lasting_change_is_followed_and_told() -> None:
    """Ten weeks after use has halved, the half goes on, and the change is named with its time and size."""
    level = np.where(np.arange(DAYS) < DAYS - 70, 6.0, 3.0)
    path = told(noisy(level, 50))
    assert pytest.approx(3.1 * 28, rel=0.1) == np.median(path.cumulative[:, MONTH])
    assert np.isfinite(path.change_d).mean() > 0.8
    assert pytest.approx(70.0, abs=7.0) == np.nanmedian(path.change_d)
    assert pytest.approx(0.5, abs=0.05) == np.nanmedian(path.change_ratio)


def test_a_change_of_last_week_is_believed_in_part() -> None:
    """One week of half the use moves the forecast less than ten such weeks do, and leaves it less sure."""
    level = np.where(np.arange(DAYS) < DAYS - 7, 6.0, 3.0)
    early, late = told(noisy(level, 50)), told(noisy(np.full(DAYS, 3.0), 50))
    assert np.median(early.cumulative[:, MONTH]) > 1.3 * np.median(late.cumulative[:, MONTH])
    assert np.median(early.log_sd[:, MONTH]) > np.median(late.log_sd[:, MONTH])


def test_false_alarms_are_few() -> None:
    """Of steady units, fewer than one in fifty is told that its use changed within the last half year."""
    path = told(noisy(np.full(DAYS, 4.0), 1000))
    assert np.isfinite(path.change_d).mean() < 0.02


def test_a_fortnight_away_is_no_change() -> None:
    """Who is on holiday comes back: the quarter to come is near the usual, and no change is told."""
    level = np.where(np.arange(DAYS) < DAYS - 14, 4.0, 0.0)
    path = told(noisy(level, 50))
    assert np.median(path.cumulative[:, QUARTER]) > 0.75 * 91 * 4.2
    assert (path.away > 0.9).all()
    assert np.isnan(path.change_d).all()


def test_who_is_away_when_everybody_is_comes_back_when_they_do() -> None:
    """A week away that is usual then says nothing of the next; the same week away in a cohort without holidays does."""
    level = np.where(np.arange(DAYS) < DAYS - 7, 4.0, 0.0)
    days, week = noisy(level, 50), KNOTS.index(7)
    holidays = np.ones(52)
    holidays[51] = 12.0  # of the year, the last
    usual = told(days, replace(COHORT, away_by_week=holidays / holidays.mean()), yearday=363)
    odd = told(days, yearday=363)
    assert np.median(usual.cumulative[:, week] / odd.cumulative[:, week]) > 1.15


def test_a_change_of_late_and_a_unit_that_is_new_are_calibrated_apart() -> None:
    """Regular units, those told of a change, and those that came within twelve weeks each have a group of their own."""
    changed = told(noisy(np.where(np.arange(DAYS) < DAYS - 70, 4.0, 9.0), 50))
    assert {0} == set(told(noisy(np.full(DAYS, 4.0), 5)).group)
    assert {1} == set(changed.group[np.isfinite(changed.change_d)])
    assert {3} == set(told(noisy(np.full(60, 4.0), 5)).group)


def test_intervals_of_new_units_widen_where_those_like_them_turned_out_otherwise() -> None:
    """Units whose first weeks look alike and whose years do not teach that a new one is less sure than it looks."""
    wave = np.cos(2 * np.pi * (np.arange(2 * DAYS)[None, :] / 364 - np.random.default_rng(3).random(200)[:, None]))
    cohort = usage_learn.learn(DailyUse.of(np.exp(0.8 * wave) * noisy(np.full(2 * DAYS, 4.0), 200), 6, 0), COHORT)
    assert (cohort.scale[3, MONTH:] > cohort.scale[0, MONTH:]).all()


def test_a_season_is_learned_from_the_cohort() -> None:
    """A cohort that uses twice as much in winter as in summer foretells more for December than its November was."""
    day = np.arange(DAYS + 40)
    level = 4.0 * np.exp(0.35 * np.cos(2 * np.pi * (day - 15) / 365.25))
    days = noisy(level, 300)
    seen, yearday = DailyUse.of(days[:, 0:320], 6, 319), 319
    cohort = usage_learn.learn(seen, COHORT)
    new = told(days[:, 220:320], cohort, yearday=yearday)
    came = days[:, 320:348].sum(axis=1)
    assert pytest.approx(1.0, abs=0.08) == np.median(new.cumulative[:, MONTH] / came)
    assert np.median(came) > 1.12 * np.median(days[:, 292:320].sum(axis=1))


def test_a_step_that_all_take_is_met_when_it_comes_again() -> None:
    """Where all turn the heating on in the same weeks, the next autumn is foretold, and nobody is told of a change."""
    day = np.arange(2 * DAYS + 91)
    rng = np.random.default_rng(2)
    start = 280 + rng.normal(0, 7, 200)[:, None]
    on = (day % 365 >= start) | (day % 365 < start - 175)
    days = noisy(np.full(day.size, 3.0), 200) * np.where(on, 2.0, 1.0)
    last = 365 + 272
    cohort = usage_learn.learn(DailyUse.of(days[:, :last], 0, 271), COHORT)
    smooth = replace(cohort, steps=np.zeros(52))
    came = days[:, last : last + 91].sum(axis=1)
    off = {
        name: told(days[:, last - 400 : last], c, weekday=0, yearday=271) for name, c in (("s", cohort), ("w", smooth))
    }
    error = {name: np.abs(np.log(path.cumulative[:, QUARTER] / came)).mean() for name, path in off.items()}
    assert error["s"] < 0.7 * error["w"]
    lit = told(days[:, last - 350 : last + 50], cohort, weekday=50 % 7, yearday=321)
    assert np.isfinite(lit.change_d).mean() < 0.05


def test_a_step_that_is_due_widens_the_week_to_come() -> None:
    """When the weather turns is not known: the week in which heating is usually turned on is less sure than July's."""
    cohort = replace(COHORT, steps=np.interp(np.arange(52), (14, 18, 37, 41), (0.35, -0.35, -0.35, 0.35)))
    week = KNOTS.index(7)

    def log_sd(yearday: int) -> float:
        weeks = (yearday - np.arange(DAYS)[::-1]) % 365 // 7 % 52
        return float(
            np.median(told(noisy(4.0 * np.exp(cohort.steps[weeks]), 50), cohort, yearday=yearday).log_sd[:, week])
        )

    july = log_sd(190)
    for due in (38, 39, 40, 41):
        assert log_sd(7 * due - 1) > 1.5 * july


def test_a_cohort_with_less_than_a_year_knows_no_steps() -> None:
    """Of weeks of the year that nobody has seen, nothing is known; nor is anything made of noise."""
    young = usage_learn.learn(DailyUse.of(noisy(np.full(300, 4.0), 100), 6, 0), COHORT)
    assert not young.steps.any()
    steady = usage_learn.learn(DailyUse.of(noisy(np.full(2 * DAYS, 4.0), 100), 6, 0), COHORT)
    assert np.abs(steady.steps).max() < 0.05


def test_weekdays_count_in_the_first_week() -> None:
    """A home used at weekends uses nothing to speak of from Monday to Friday."""
    weekdays = np.arange(DAYS) % 7  # from a Monday to a Sunday
    path = told(np.where(weekdays >= 5, 8.0, 0.0)[None, :])
    five, seven = path.cumulative[0, KNOTS.index(5)], path.cumulative[0, KNOTS.index(7)]
    assert five < 0.25 * seven
    assert pytest.approx(16.0, rel=0.2) == seven


def test_who_is_not_known_gets_the_cohort() -> None:
    """Empty, unknown and absurd histories give the declared use, flagged and unsure; a week of days changes that."""
    for days in (np.empty((3, 0)), np.full((3, 90), np.nan), np.full((3, 90), -1.0)):
        path = told(days)
        assert path.cohort_only.all()
        assert pytest.approx([28 * 5.0] * 3, rel=0.15) == path.cumulative[:, MONTH].tolist()
        assert (path.log_sd[:, MONTH] > 0.9).all()
    week = told(np.full((1, 7), 2.0))
    assert not week.cohort_only.any()
    assert week.cumulative[0, MONTH] < 28 * 3.0


def test_units_do_not_touch_each_other() -> None:
    """A unit's forecast is the same alone and among five thousand, in whatever order."""
    days = noisy(np.full(120, 4.0), 5000)
    whole, alone = told(days), told(days[4321:4322])
    assert np.allclose(whole.cumulative[4321], alone.cumulative[0], rtol=1e-12)
    turned = told(days[::-1])
    assert np.allclose(whole.cumulative, turned.cumulative[::-1], rtol=1e-12)


def test_the_future_changes_nothing() -> None:
    """What is known as of a month ago is the same whatever came since."""
    days = noisy(np.full(200, 4.0), 5)
    other = days.copy()
    other[:, 172:] = 17.0
    first, second = (
        usage.forecast(DailyUse.of(d, 2, 100).before(28), COHORT).cumulative.tolist() for d in (days, other)
    )
    assert first == second


def test_a_cohort_is_written_and_read() -> None:
    """A cohort survives JSON; a damaged one is refused."""
    cohort = usage_learn.learn(DailyUse.of(noisy(np.full(DAYS, 4.0), 40), 6, 0), COHORT)
    read = UseCohort.read(cohort.written())
    assert cohort.written() == read.written()
    for damage in ({"level": None}, {"scale": [1.0]}, {"noise": float("nan")}):
        with pytest.raises(artifact.DamagedArtifact):
            UseCohort.read({**cohort.written(), **damage})
    before = {**cohort.written(), "scale": cohort.scale[:3].tolist(), "restless": 0.05}
    del before["steps"]
    assert not UseCohort.read(before).steps.any()
    assert [*cohort.scale[:3].tolist(), cohort.scale[0].tolist()] == UseCohort.read(before).scale.tolist()


def test_a_cohort_is_the_same_in_any_order() -> None:
    """Learning does not depend on the order of units."""
    days = noisy(np.full(DAYS, 4.0), 40) * np.linspace(0.5, 2.0, 40)[:, None]
    one, other = (usage_learn.learn(DailyUse.of(d, 6, 0), COHORT) for d in (days, days[::-1]))
    assert np.allclose(one.scale, other.scale, rtol=1e-6)
    assert pytest.approx(one.level, rel=1e-9) == other.level


cells = st.one_of(st.floats(0.0, 24.0), st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1e300, 1e-300]))


@given(
    days=hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 60)), elements=cells),
    weekday=st.integers(0, 6),
    yearday=st.integers(0, 365),
)
@settings(max_examples=60)
def test_any_history_gives_a_sound_path(days: np.ndarray, weekday: int, yearday: int) -> None:
    """Use rises, spreads are positive, every number is finite, nothing is raised; so it is after learning from it."""
    daily = DailyUse.of(days, weekday, yearday)
    for cohort in (COHORT, usage_learn.learn(daily, COHORT)):
        path = usage.forecast(daily, cohort)
        assert np.isfinite(path.cumulative).all()
        assert np.isfinite(path.log_sd).all()
        assert (path.cumulative > 0).all()
        assert (path.log_sd > 0).all()
        assert (np.diff(path.cumulative, axis=1) >= 0).all()
        assert (days.shape[0], len(KNOTS)) == path.cumulative.shape
