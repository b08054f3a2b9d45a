"""The looks at a part on its way, and what is then known: nothing that only its end could tell."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors import path
from predictors.indicator import READS
from predictors.path import Looked

SCALE = 1000.0
STEP = path.STEP * SCALE
HITS = np.array([[220.0, 350.0, 610.0, 880.0]])
WAY = np.full(4, 0.2)
Look = Callable[[float], np.ndarray]


def reads(at: np.ndarray) -> np.ndarray:
    """A part whose indicator rises straight, told each step of the clock."""
    return np.column_stack([at, *[at / 1000.0] * (READS - 1), at / 2000.0])


def on_the_clock(end: float) -> np.ndarray:
    return reads(np.arange(STEP, end, STEP))


def at_fractions(end: float) -> np.ndarray:
    """The mistake that steps of the clock are there to avoid: a grid of the part's own life fractions."""
    return reads(end * np.linspace(0.1, 0.9, 9))


def look(end: float, hits: np.ndarray = HITS, how: Look = on_the_clock) -> Looked:
    return path.looked(np.array([end]), hits, how(end)[None], SCALE)


def same_until(before: float, one: Looked, other: Looked) -> bool:
    """Tell whether two tell the same of all that lies before an exposure."""
    first, second = one.at < before, other.at < before
    return all(
        np.array_equal(getattr(one, name)[first], getattr(other, name)[second], equal_nan=True)
        for name in ("unit", "hits", "reads")
    )


@given(end=st.floats(900.0, 2500.0), further=st.floats(0.0, 3000.0))
def test_a_parts_own_end_is_nowhere_in_its_looks(end: float, further: float) -> None:
    """Where the end comes later, all that was seen before it stays what it was: the life fraction is not known."""
    assert same_until(end, look(end), look(end + further))


def test_the_test_above_would_find_a_leak() -> None:
    """A grid of life fractions moves when the end does, and is caught by it."""
    assert not same_until(1000.0, look(1000.0, how=at_fractions), look(1300.0, how=at_fractions))


@given(seed=st.integers(0, 2**16), now=st.floats(1.0, 990.0))
def test_what_is_crossed_later_is_in_no_feature(seed: int, now: float) -> None:
    """Levels that the part crosses after a look, wherever, leave its features as they are."""
    later = np.where(now < HITS, now + 1.0 + 900.0 * np.random.default_rng(seed).random(HITS.shape), HITS)
    one, other = look(1000.0), look(1000.0, later)
    assert same_until(now, one, other)
    first, second = (path.features(seen.hits, seen.reads, WAY, SCALE)[seen.at < now] for seen in (one, other))
    assert np.array_equal(first, second)


def test_one_look_counts_for_each_step_and_none_behind_the_end() -> None:
    """Looks told more often than needed are thinned alike for every part, in order."""
    often = reads(np.arange(2.0, 1500.0, 2.0))
    tables = np.stack([often, often])
    seen = path.looked(np.array([1000.0, 400.0]), np.repeat(HITS, 2, axis=0), tables, SCALE)
    for unit, end in enumerate((1000.0, 400.0)):
        mine = seen.at[seen.unit == unit]
        assert int(np.ceil(end / STEP)) == mine.size
        assert (mine < end).all()
        assert (np.diff(np.floor(mine / STEP + 1e-6)) == 1).all()


def test_of_a_large_fleet_every_so_manieth_look_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is bounded, and each part is still looked at."""
    monkeypatch.setattr(path, "MOST", 100)
    ends = np.linspace(500.0, 1500.0, 20)
    tables = np.tile(on_the_clock(1500.0), (20, 1, 1))
    seen = path.looked(ends, np.repeat(HITS, 20, axis=0), tables, SCALE)
    assert 80 <= seen.unit.size <= 120
    assert 20 == np.unique(seen.unit).size


@pytest.mark.parametrize("end", [0.0, np.nan])
def test_a_part_without_an_end_has_no_looks(end: float) -> None:
    """Nothing to learn from, and nothing raised."""
    assert 0 == path.looked(np.array([end]), HITS, on_the_clock(1000.0)[None], SCALE).at.size


def test_a_read_is_told_once_it_was_taken() -> None:
    """Neither one of the future, nor one that lacks a number, nor none at all."""
    rows = np.array([[5.0, 0.1, 0.1, 0.1, 0.1], [50.0, 0.1, 0.1, 0.1, 0.1], [5.0, np.nan, 0.1, 0.1, 0.1], [np.nan] * 5])
    assert [True, False, False, False] == path.told(rows, np.full(4, 10.0)).tolist()


@given(
    at=st.floats(0.0, 1e9),
    hits=st.lists(st.one_of(st.just(np.nan), st.floats(-1.0, 1e9)), min_size=4, max_size=4),
    shares=st.lists(st.floats(0.0, 1e9), min_size=READS, max_size=READS),
)
def test_features_are_finite_whatever_was_crossed(at: float, hits: list[float], shares: list[float]) -> None:
    """Any crossings, in any order, in the future or below zero: as many numbers as were told, all finite."""
    table = path.features(path.known(np.array([hits]), np.array([at])), np.array([[at, *shares]]), WAY, SCALE)
    assert (1, path.width(4)) == table.shape
    assert np.isfinite(table).all()


def test_features_have_no_unit() -> None:
    """A fleet that lives ten times as long, crossing its levels ten times as late, looks the same."""
    now = np.array([700.0])
    one = path.features(path.known(HITS, now), reads(now), WAY, SCALE)
    later = reads(now) * np.array([10.0, *[1.0] * READS])
    other = path.features(path.known(10 * HITS, 10 * now), later, WAY, 10 * SCALE)
    assert pytest.approx(one) == other
