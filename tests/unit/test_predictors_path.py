"""The moments at which a part is looked at, and what is then known: nothing that only its end could tell."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import path
from predictors.path import Moments

SCALE = 1000.0
STEP = path.WAIT * SCALE
HITS = np.array([[220.0, 350.0, 610.0, 880.0]])
CALM = np.array([[360.0, 702.5, np.nan, np.nan]])
SHARES = np.full(4, 0.2)
Look = Callable[[np.ndarray, np.ndarray, np.ndarray, float], Moments]


def look(end: float, hits: np.ndarray = HITS, calm: np.ndarray = CALM, how: Look = path.moments) -> Moments:
    return how(np.array([end]), hits, calm, SCALE)


def at_fractions(ends: np.ndarray, hits: np.ndarray, calm: np.ndarray, _: float) -> Moments:
    """The mistake that moments are there to avoid: a grid of each part's own life fractions."""
    grid = np.linspace(0.1, 0.9, 9)
    place, unit = (ends[:, None] * grid).reshape(-1), np.repeat(np.arange(ends.size), grid.size)
    known = path.known(hits[unit], place), path.known(calm[unit], place)
    return Moments(unit, place, *known, np.repeat(ends / 10.0, grid.size))


def same_until(before: float, one: Moments, other: Moments) -> bool:
    """Tell whether two tell the same of all that lies before an exposure."""
    first, second = one.at < before, other.at < before
    return all(
        np.array_equal(getattr(one, name)[first], getattr(other, name)[second], equal_nan=True)
        for name in ("unit", "at", "hits", "calm")
    )


def test_moments_are_crossings_and_waits() -> None:
    """Every level crossed is a moment; between them one comes each WAIT, counted anew from the last crossing."""
    seen = look(1000.0)
    news = np.concatenate([HITS[0], CALM[0, :2]])
    assert np.isin(news, seen.at).all()
    assert np.diff(seen.at, append=1000.0).max() <= STEP + 1e-9
    others = seen.at[~np.isin(seen.at, news)]
    last = np.array([np.concatenate([[0.0], news[news < at]]).max() for at in others])
    assert pytest.approx(np.round((others - last) / STEP) * STEP) == others - last


@given(end=st.floats(900.0, 2500.0), further=st.floats(0.0, 3000.0))
def test_a_parts_own_end_is_nowhere_in_its_moments(end: float, further: float) -> None:
    """Where the end comes later, all that was seen before it stays what it was: the life fraction is not known."""
    assert same_until(end, look(end), look(end + further))


def test_the_test_above_would_find_a_leak() -> None:
    """A grid of life fractions moves when the end does, and is caught by it."""
    assert not same_until(1000.0, look(1000.0, how=at_fractions), look(1300.0, how=at_fractions))


@given(seed=st.integers(0, 2**16), now=st.floats(1.0, 990.0))
def test_what_is_crossed_later_is_in_no_feature(seed: int, now: float) -> None:
    """Levels that the part crosses after a moment, wherever, leave its moments and features as they are."""
    later = np.where(now < HITS, now + 1.0 + 900.0 * np.random.default_rng(seed).random(HITS.shape), HITS)
    calmer = np.where(now < CALM, np.nan, CALM)
    one, other = look(1000.0), look(1000.0, later, calmer)
    assert same_until(now, one, other)
    first, second = (
        path.features(seen.at, seen.hits, seen.calm, SHARES, SCALE)[seen.at < now] for seen in (one, other)
    )
    assert np.array_equal(first, second)


def test_moments_last_until_the_next_and_fill_the_life() -> None:
    """Weighing moments by how long they last weighs each part's life evenly from the first moment to the end."""
    seen = path.moments(np.array([1000.0, 400.0]), np.repeat(HITS, 2, axis=0), np.empty((2, 0)), SCALE)
    for unit, end in enumerate((1000.0, 400.0)):
        mine = seen.unit == unit
        assert pytest.approx(end - seen.at[mine][0]) == seen.lasts[mine].sum()
        assert (seen.lasts[mine] > 0).all()
        assert (seen.at[mine] < end).all()


@pytest.mark.parametrize("end", [0.0, np.nan])
def test_a_part_without_an_end_has_no_moments(end: float) -> None:
    """Nothing to learn from, and nothing raised."""
    assert 0 == look(end).at.size


def test_after_two_lives_of_waiting_nothing_more_is_seen() -> None:
    """However long a part outlives the fleet, its moments are bounded."""
    seen = look(1e6, np.full((1, 4), np.nan), np.full((1, 4), np.nan))
    assert path.MOST_WAITS == seen.at.size
    assert path.MOST_WAITS == path.waits(0.0, 1e9, SCALE)


@given(since=st.floats(0.0, 5000.0), count=st.integers(0, path.MOST_WAITS - 1))
def test_waits_are_counted_as_moments_are_laid(since: float, count: int) -> None:
    """Just behind the k-th wait k are counted, so that a forecast stands where the learner stood."""
    assert count == path.waits(since, since + (count + 0.01) * STEP, SCALE)
    assert count == path.waits(since, since + (count + 0.99) * STEP, SCALE)


@given(
    at=st.floats(0.0, 1e9),
    hits=st.lists(st.one_of(st.just(np.nan), st.floats(-1.0, 1e9)), min_size=4, max_size=4),
    calm=st.lists(st.one_of(st.just(np.nan), st.floats(-1.0, 1e9)), min_size=2, max_size=2),
)
@settings(deadline=None)
def test_features_are_finite_whatever_was_crossed(at: float, hits: list[float], calm: list[float]) -> None:
    """Any crossings, in any order, in the future or below zero: as many numbers as were told, all finite."""
    now = np.array([at])
    known = path.known(np.array([hits]), now), path.known(np.array([calm]), now)
    table = path.features(now, *known, SHARES, SCALE)
    assert (1, path.width(4, 2)) == table.shape
    assert np.isfinite(table).all()


def test_features_have_no_unit() -> None:
    """A fleet that lives ten times as long, crossing its levels ten times as late, looks the same."""
    now, later = np.array([700.0]), np.array([7000.0])
    one = path.features(now, path.known(HITS, now), path.known(CALM, now), SHARES, SCALE)
    other = path.features(later, path.known(10 * HITS, later), path.known(10 * CALM, later), SHARES, 10 * SCALE)
    assert pytest.approx(one) == other
