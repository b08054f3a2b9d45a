"""What an indicator reads on the way, the prior of the levels, and spreads that widen about a median that stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import gaussian, lognormal
from predictors.indicator import READS, WINDOWS, looks, reads

N, WIDTH, NOISE = 1200, 7, 0.05
CLOCK = np.arange(1.0, N + 1.0)
WAY = (1.0, 13.0)


def signal(seed: int, *, noise: float = NOISE) -> np.ndarray:
    """A straight rise from one, a hundredth a step, under noise of some steps."""
    return 1.0 + 0.01 * CLOCK + noise * np.random.default_rng(seed).standard_normal(N)


def read(y: np.ndarray, at: np.ndarray, clock: np.ndarray = CLOCK) -> np.ndarray:
    return reads(clock, y, at, way=WAY, width=WIDTH)


@given(seed=st.integers(0, 2**16), cut=st.integers(1, N))
@settings(max_examples=60)
def test_what_is_read_knows_no_future(seed: int, cut: int) -> None:
    """Cut off at any sample, or its future shuffled, a series reads what it read then."""
    y, rng = signal(seed), np.random.default_rng(seed)
    at = np.sort(rng.uniform(0.0, cut, 9))
    whole = read(y, at)
    assert np.array_equal(whole, read(y[:cut], at, CLOCK[:cut]), equal_nan=True)
    assert np.array_equal(whole, read(np.append(y[:cut], rng.permutation(y[cut:])), at), equal_nan=True)


@given(at=st.floats(150.0, 1200.0))
def test_a_straight_rise_reads_the_middle_of_each_window(at: float) -> None:
    """The mean over a window is the signal half a window ago, as a share of the way; the mean over life half of it."""
    row = read(signal(1, noise=0.0), np.array([at]))[0]
    last = np.floor(at)
    assert last == row[0]
    behind = (np.array(WINDOWS) * WIDTH - 1) / 2.0
    assert pytest.approx(0.01 * (last - behind) / 12.0) == row[1:-1]
    assert pytest.approx(0.01 * (last + 1) / 2.0 / 12.0) == row[-1]


def test_a_mean_over_life_counts_exposure_not_samples() -> None:
    """Samples at which nothing was run through the part weigh nothing in the mean over its exposure."""
    y = np.repeat(signal(1, noise=0.0), 2)
    y[1::2] = 500.0  # what the sensor says while nothing runs
    at = np.array([300.0, 900.0])
    assert np.array_equal(read(signal(1, noise=0.0), at)[:, -1], read(y, at, np.repeat(CLOCK, 2))[:, -1])


def test_a_falling_signal_reads_alike() -> None:
    """Mirrored, the way runs down and the shares are the same; beyond a new part they are zero, not negative."""
    down = reads(CLOCK, 14.0 - signal(2), np.array([600.0]), way=(13.0, 1.0), width=WIDTH)
    assert pytest.approx(read(signal(2), np.array([600.0]))) == down
    assert [0.0] * READS == reads(CLOCK, 0.0 * CLOCK, np.array([600.0]), way=WAY, width=WIDTH)[0, 1:].tolist()


@pytest.mark.parametrize("y", [[], [np.nan] * 9, [9.0] * (WIDTH - 1)])
def test_less_than_a_window_reads_nothing(y: list[float]) -> None:
    """Nothing told, or too little of it: nothing is read and nothing is raised."""
    clock = np.arange(len(y), dtype=float)
    assert np.isnan(reads(clock, np.array(y), np.array([5.0, 50.0]), way=WAY, width=WIDTH)).all()
    assert (0, 1 + READS) == looks(clock, np.array(y), 1.0, way=WAY, width=WIDTH).shape


def test_gaps_are_skipped() -> None:
    """NaN neither counts nor spreads."""
    y, at = signal(5), np.array([250.0, 600.0])
    gaps = np.insert(y, 300, np.full(40, np.nan)), np.insert(CLOCK, 300, np.full(40, 300.0))
    assert np.array_equal(read(y, at), read(gaps[0], at, gaps[1]))


@given(end=st.integers(100, N), step=st.floats(5.0, 400.0))
def test_looks_stand_where_the_clock_puts_them_whatever_the_end(end: int, step: float) -> None:
    """A recording that goes on longer has the same looks until then, and more: none of them knows the end."""
    y = signal(3)
    short, whole = (looks(CLOCK[:last], y[:last], step, way=WAY, width=WIDTH) for last in (end, N))
    assert np.array_equal(short, whole[: len(short)])
    assert len(short) == sum(1 for k in range(1, N) if WIDTH <= np.floor(k * step) and k * step <= end)


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
@settings(max_examples=5)
def test_the_choice_does_not_depend_on_the_order_of_parts(seed: int) -> None:
    """Folds are taken in an order that the numbers themselves give."""
    z, order = logs(4, alike=0.95), np.random.default_rng(seed).permutation(UNITS)
    now = np.full(UNITS, np.nan)
    assert gaussian.choose(z, now) == gaussian.choose(z[order], now)


# Wider, about the same median.


@given(now=st.floats(-8.0, 4.0), sigma=st.floats(0.05, 0.6), factor=st.floats(1.0, 8.0), location=st.floats(-3.0, 9.0))
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
