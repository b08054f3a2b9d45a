"""What can go wrong between a part and its forecast, as far as mathematics decides it: docs/failure-modes.md."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import changepoint, registry, replacement, sensor
from predictors.batch import Array, SlotBatch
from predictors.declaration import Declaration
from predictors.history import History
from predictors.indicator import crossings
from predictors.replacement import Verdict, Window
from predictors.sensor import Fault

DECLARED = Declaration(life_h=1000.0, life_d=200.0)
KNEE = Declaration(life_h=1000.0, life_d=200.0, indicator_eol=160.0)
CLEAN = 40.0


def knee(share_of_life: Array) -> Array:
    """Pressure drop of a filter, Pa: flat for most of a life, four times the clean one at its end."""
    return CLEAN * (1 + 0.35 * share_of_life + 2.65 * share_of_life**5)


def fleet(n: int = 60, seed: int = 1, *, ends: float = 1.0) -> History:
    """Parts that ended about 1000 h, with the exposures at which they crossed the declared levels."""
    rng = np.random.default_rng(seed)
    life = 1000.0 * rng.weibull(8.0, n)
    clock = np.linspace(0.0, 1.0, 400)
    hits = np.array([crossings(life[i] * clock, knee(clock), KNEE.levels, width=3) for i in range(n)])
    exposure = life * ends
    return History.of(exposure, np.full(n, ends < 1.0), hits=np.where(hits <= exposure[:, None], hits, np.nan))


def width(forecast: Any) -> float:
    """The 80 % interval over the median."""
    return float((forecast.eol_d[0, 2] - forecast.eol_d[0, 0]) / forecast.eol_d[0, 1])


def window(y: Array, left: Array) -> Window:
    n = len(y)
    none = np.full(n, -1)
    return Window(y, left, np.full(n, np.log(CLEAN)), np.full(n, 0.1), none, none)


def test_noise_crosses_no_level_early() -> None:
    """Looks that scatter by a tenth touch a level again and again; it counts where their median crosses it."""
    rng = np.random.default_rng(2)
    clock = np.linspace(0.0, 1000.0, 1000)
    truth = 10.0 + 0.05 * clock
    noisy = truth * (1 + 0.1 * rng.standard_normal(1000))
    (hit,) = crossings(clock, noisy, (40.0,))
    first = clock[np.argmax(noisy >= 40.0)]
    assert abs(hit - 600.0) < abs(first - 600.0)
    assert pytest.approx(600.0, rel=0.12) == hit


def test_the_knee_is_forecast_from_levels_not_from_a_line() -> None:
    """At 60 % of life a line through the flat part ends three lives later; the levels say about 400 h."""
    life, now = 1000.0, 600.0
    clock = np.linspace(0.0, now, 600)
    read = knee(clock / life)
    slope, start = np.polyfit(clock[-200:], read[-200:], 1)
    line = (160.0 - start) / slope - now
    hits = crossings(clock, read, KNEE.levels, width=3)[None, :]
    batch = SlotBatch.of(1, run_h=now, age_d=120.0, h_per_day=5.0, h_per_day_sd=0.1, hits=hits)
    left = registry.named("hit")(KNEE).fit(fleet()).forecast(batch).eol_d[0, 1] * 5.0
    assert abs(left - 400.0) < 0.5 * abs(line - 400.0)


def test_the_knee_is_no_fault_and_no_event() -> None:
    """Doubling within days at the end of a life is wear, to the sensor's judge and to the change-point's."""
    y = np.log(knee(np.linspace(0.7, 1.1, 300)))[None, :] + 0.03 * np.random.default_rng(3).standard_normal((1, 300))
    clock = np.arange(300.0)[None, :]
    faults, _ = sensor.check(y, clock, np.array([np.log(CLEAN)]), np.array([0.1]))
    assert [Fault.NONE] == faults.tolist()
    assert [Verdict.NOTHING] == replacement.judge(window(y, np.full(y.shape, np.nan))).kind.tolist()


def test_a_regular_saw_of_regeneration_is_no_new_part() -> None:
    """A filter that cleans itself every two days is called cleaned, or nothing is said of it; never a new part."""
    hours = np.arange(336)
    saw = np.log(CLEAN) + 0.3 + 0.5 * (hours % 48) / 48
    y = saw + 0.03 * np.random.default_rng(4).standard_normal((200, 336))
    found = replacement.judge(window(y, np.full(y.shape, np.nan)))
    assert {Verdict.NOTHING, Verdict.CLEANED} >= set(found.kind.tolist())


def test_conflicting_evidence_is_said_to_be_unknown() -> None:
    """The pressure drop fell on the third day, the counter began again on the ninth: nobody can say."""
    hours = np.arange(336)
    y = np.where(hours < 60, np.log(110.0), np.log(CLEAN)) + 0.03 * np.random.default_rng(5).standard_normal((50, 336))
    found = replacement.judge(window(y, np.broadcast_to(np.where(hours < 200, 0.3, 1.0), y.shape)))
    assert (found.kind == Verdict.UNKNOWN).all()
    assert not found.certain.any()


def test_an_unseen_environment_does_not_narrow_the_range() -> None:
    """Ten times the dust that the fleet has seen: an end sooner, and no surer of it."""
    model = registry.named("weibull")(DECLARED).fit(fleet())
    usual, dusty = (
        SlotBatch.of(1, run_h=50.0, load_h=50.0 * load, load_per_h=load, h_per_day=5.0, h_per_day_sd=0.5, age_d=10.0)
        for load in (1.0, 10.0)
    )
    assert model.forecast(dusty).eol_d[0, 1] < 0.2 * model.forecast(usual).eol_d[0, 1]
    assert width(model.forecast(dusty)) >= 0.9 * width(model.forecast(usual))


@pytest.mark.parametrize("name", sorted(registry.MODELS))
def test_zero_failures_give_a_sound_forecast(name: str) -> None:
    """A fleet in which every part still runs teaches that life is not shorter than that, and raises nothing."""
    running = fleet(ends=0.5)
    batch = SlotBatch.of(1, run_h=300.0, age_d=60.0, h_per_day=5.0)
    taught = registry.named(name)(KNEE).fit(running).forecast(batch)
    declared = registry.named(name)(KNEE).forecast(batch)
    assert np.isfinite(taught.eol_d).all()
    assert taught.eol_d[0, 1] >= 0.95 * declared.eol_d[0, 1]


def test_informative_censoring_is_not_an_end() -> None:
    """Parts taken out at half of their life, marked as such, do not halve the life of the next."""
    early = fleet(ends=0.5)
    as_ends = History.of(early.exposure, np.zeros(len(early), dtype=bool))
    batch = SlotBatch.of(1, run_h=0.0, h_per_day=5.0)
    honest, fooled = (registry.named("weibull")(DECLARED).fit(h).forecast(batch).eol_d[0, 1] for h in (early, as_ends))
    assert honest > 190.0 > 1.5 * 0.5 * 200.0 > fooled


def test_one_sudden_failure_moves_the_fleet_little() -> None:
    """A part that tore on its second day among sixty that wore out is no reason to change all others early."""
    whole = fleet()
    torn = History.of(np.append(whole.exposure, 20.0), np.append(whole.censored, False))
    batch = SlotBatch.of(1, run_h=0.0, h_per_day=5.0)
    before = registry.named("weibull")(DECLARED).fit(whole).forecast(batch).eol_d[0, 1]
    after = registry.named("weibull")(DECLARED).fit(torn).forecast(batch).eol_d[0, 1]
    assert pytest.approx(before, rel=0.1) == after


BAD: dict[str, Array] = {
    "nan": np.full(60, np.nan),
    "constant": np.full(60, 50.0),
    "zeros": np.zeros(60),
    "one look": np.array([50.0]),
    "none": np.array([]),
    "infinite": np.full(60, np.inf),
    "negative": np.full(60, -5.0),
}


@pytest.mark.parametrize("series", BAD.values(), ids=BAD.keys())
def test_bad_series_leave_a_calendar_forecast_with_a_flag(series: Array) -> None:
    """Nothing to go by but age: a date by the calendar that says that it was not measured, beside a sound slot."""
    clock = np.arange(series.size, dtype=np.float64)
    hits = np.vstack([crossings(clock * np.nan, series, KNEE.levels), np.full(len(KNEE.levels), np.nan)])
    batch = SlotBatch.of(2, run_h=np.array([np.nan, 300.0]), age_d=60.0, h_per_day=np.array([np.nan, 5.0]), hits=hits)
    for name in registry.MODELS:
        found = registry.named(name)(KNEE).fit(fleet()).forecast(batch)
        assert not found.measured[0]
        assert np.isfinite(found.eol_d).all()
    y = changepoint.log_scale(series)[None, :]
    faults, _ = sensor.check(y, clock[None, :], np.array([np.log(CLEAN)]), np.array([0.1]))
    assert Fault.NONE != faults[0]


def test_an_unordered_series_is_told() -> None:
    """Exposure that runs backwards is no series of one part."""
    y = np.full((1, 20), 3.0)
    faults, _ = sensor.check(y, np.arange(20.0)[None, ::-1], np.array([3.0]), np.array([0.1]))
    assert [Fault.UNORDERED] == faults.tolist()


@given(
    clock=hnp.arrays(np.float64, 30, elements=st.floats(allow_nan=True, allow_infinity=True)),
    read=hnp.arrays(np.float64, 30, elements=st.floats(allow_nan=True, allow_infinity=True)),
)
def test_bad_series_never_raise(clock: Array, read: Array) -> None:
    """Any clock and any readings, in any order: levels, faults and verdicts come without an exception."""
    hits = crossings(clock, read, KNEE.levels, width=3)[None, :]
    y = changepoint.log_scale(read)[None, :]
    sensor.check(y, clock[None, :], np.array([3.0]), np.array([0.1]))
    replacement.judge(window(y, np.full(y.shape, np.nan)))
    found = registry.named("hit")(KNEE).forecast(SlotBatch.of(1, run_h=clock[:1], age_d=10.0, hits=hits))
    assert np.isfinite(found.eol_d).all()
