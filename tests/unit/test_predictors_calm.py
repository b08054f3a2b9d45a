"""Calmer crossings, the prior of the levels, and spreads that widen about a median that stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import gaussian, lognormal
from predictors.indicator import CALM, calm_crossings, crossings

LEVELS = (2.0, 3.0, 5.0, 8.0)
N, WIDTH, NOISE, SLOPE = 1200, 7, 0.6, 0.01
CLOCK = np.arange(1.0, N + 1.0)


def signal(seed: int, *, noise: float = NOISE) -> np.ndarray:
    """A straight rise from one, a hundredth a step, under noise as high as sixty steps."""
    return 1.0 + SLOPE * CLOCK + noise * np.random.default_rng(seed).standard_normal(N)


def calm(y: np.ndarray, clock: np.ndarray = CLOCK, levels: tuple[float, ...] = LEVELS) -> np.ndarray:
    return calm_crossings(clock, y, levels, width=WIDTH)


@given(seed=st.integers(0, 2**16), cut=st.integers(1, N))
@settings(deadline=None, max_examples=60)
def test_calm_crossings_know_no_future(seed: int, cut: int) -> None:
    """Cut off at any sample, or its future shuffled, a series has crossed what it had crossed by then."""
    y, rng = signal(seed), np.random.default_rng(seed)
    whole = calm(y)
    known = np.where(whole <= CLOCK[cut - 1], whole, np.nan)
    assert np.array_equal(known, calm(y[:cut], CLOCK[:cut]), equal_nan=True)
    shuffled = calm(np.append(y[:cut], rng.permutation(y[cut:])))
    assert np.array_equal(known, np.where(shuffled <= CLOCK[cut - 1], shuffled, np.nan), equal_nan=True)


@given(seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_calm_crossings_lag_the_signal_and_hardly_lead_it(seed: int) -> None:
    """None lies before the noise-free signal's own by more than five deviations of what the mean leaves of noise."""
    own = (np.array(LEVELS) - 1.0) / SLOPE
    led = 5.0 * NOISE / np.sqrt(CALM * WIDTH) / SLOPE
    recent = calm(signal(seed))[: len(LEVELS)]
    assert (recent >= own - led).all()
    life = calm(signal(seed))[len(LEVELS) :]
    early = 5.0 * NOISE / np.sqrt(WIDTH) / SLOPE  # the mean of few: calm only once there is a life to take it over
    assert (life[np.isfinite(life)] >= (own - early)[np.isfinite(life)]).all()


@given(seed=st.integers(0, 2**16), noise=st.floats(0.0, 3.0))
@settings(deadline=None, max_examples=60)
def test_higher_levels_are_crossed_no_earlier(seed: int, noise: float) -> None:
    """Each calmer signal crosses its levels in their order, and none behind one that it has not crossed."""
    for bank in calm(signal(seed, noise=noise)).reshape(2, -1):
        crossed = np.isfinite(bank)
        assert (np.diff(bank[crossed]) >= 0).all()
        assert crossed[: crossed.sum()].all()


def test_where_the_noise_crosses_the_calmer_signal_waits() -> None:
    """A level within the noise is crossed hundreds of steps early by the indicator, and in its time by its mean."""
    y, own = signal(3, noise=3.0), (LEVELS[1] - 1.0) / SLOPE
    assert crossings(CLOCK, y, LEVELS, width=WIDTH)[1] < own - 100
    assert own - 60 < calm(y)[1] < own + 200


def test_a_mean_over_life_counts_exposure_not_samples() -> None:
    """Samples at which nothing was run through the part weigh nothing in the mean over its exposure."""
    idle = np.repeat(CLOCK, 2)
    y = np.repeat(signal(1, noise=0.0), 2)
    y[1::2] = 500.0  # what the sensor says while nothing runs
    life, with_pauses = calm(signal(1, noise=0.0))[len(LEVELS) :], calm(y, idle)[len(LEVELS) :]
    assert np.array_equal(life, with_pauses, equal_nan=True)


def test_a_falling_signal_is_calmed_alike() -> None:
    """Levels that run down are crossed where the mirrored signal crosses them."""
    down = tuple(10.0 - level for level in LEVELS)
    assert np.array_equal(calm(signal(2)), calm(10.0 - signal(2), levels=down), equal_nan=True)


@pytest.mark.parametrize("y", [[], [np.nan] * 9, [9.0] * (WIDTH - 1)])
def test_less_than_a_window_crosses_nothing(y: list[float]) -> None:
    """Nothing told, or too little of it: nothing is crossed and nothing is raised."""
    assert np.isnan(calm(np.array(y), np.arange(len(y), dtype=float))).all()


def test_gaps_are_skipped() -> None:
    """NaN neither counts nor spreads."""
    y, clock = signal(5), CLOCK.copy()
    gaps = np.insert(y, 300, np.full(40, np.nan)), np.insert(clock, 300, np.full(40, 300.0))
    assert np.array_equal(calm(y), calm(*gaps), equal_nan=True)


# The prior that the levels' law is shrunk to.

UNITS, COUNT = 40, 8


def logs(seed: int, *, alike: float) -> np.ndarray:
    """Log exposures at eight levels and the end, each correlated so much with the one before."""
    steps = np.abs(np.subtract.outer(np.arange(COUNT + 1), np.arange(COUNT + 1)))
    noise = np.random.default_rng(seed).standard_normal((UNITS, COUNT + 1))
    return np.linspace(5.0, 7.0, COUNT + 1) + 0.3 * noise @ np.linalg.cholesky(alike**steps).T


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_signal_gets_the_smooth_prior_and_a_noisy_one_the_rough(seed: int) -> None:
    """Levels crossed alike are believed to go together; levels crossed when the noise is, less, and firmly so."""
    running = np.full(UNITS, np.nan)
    smooth, rough = (gaussian.choose(logs(seed, alike=alike), running) for alike in (0.995, 0.9))
    assert 0.98 == smooth.correlation
    assert rough.correlation < smooth.correlation
    assert rough.units > smooth.units


def test_few_parts_choose_nothing() -> None:
    """Below two units a fold the first prior stands."""
    assert gaussian.PRIORS[0] == gaussian.choose(logs(1, alike=0.9)[:7], np.full(7, np.nan))


@given(seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=5)
def test_the_choice_does_not_depend_on_the_order_of_parts(seed: int) -> None:
    """Folds are taken in an order that the numbers themselves give."""
    z, order = logs(4, alike=0.95), np.random.default_rng(seed).permutation(UNITS)
    now = np.full(UNITS, np.nan)
    assert gaussian.choose(z, now) == gaussian.choose(z[order], now)


# Wider, about the same median.


@given(now=st.floats(-8.0, 4.0), sigma=st.floats(0.05, 0.6), factor=st.floats(1.0, 8.0), location=st.floats(-3.0, 9.0))
@settings(deadline=None)
def test_recentring_keeps_the_median_left(now: float, sigma: float, factor: float, location: float) -> None:
    """However many times as wide the law becomes, the median of what is left, truncated at now, stays where it is."""
    used = np.array([np.exp(location + sigma * now)])
    past = lognormal.recentred(np.array([now]), factor)
    wide = sigma * factor
    end, kept = (
        lognormal._survivor(np.array([z]), 0.5)[0] * spread + centre
        for z, spread, centre in ((now, sigma, location), (past[0], wide, float(np.log(used[0]) - past[0] * wide)))
    )
    assert pytest.approx(end, abs=2e-3 * wide) == kept


def test_recentring_by_one_changes_nothing() -> None:
    """A spread that is not widened stays where it is."""
    now = np.linspace(-6.0, 5.0, 45)
    assert pytest.approx(now, abs=1e-3) == lognormal.recentred(now, 1.0)
