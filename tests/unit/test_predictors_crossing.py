"""Indicators, the levels they cross, and what that tells."""

import numpy as np
import pytest

from predictors import gaussian, indicator
from predictors.crossing import LevelCrossing
from predictors.gaussian import Gaussian
from predictors.history import History

TRUE_MEAN = np.log(np.array([300.0, 600.0, 850.0, 1000.0]))


def lives(m: int, seed: int) -> np.ndarray:
    """Log exposures at three levels and the end: one pace per part, and a walk from level to level."""
    rng = np.random.default_rng(seed)
    walk = 0.05 * rng.standard_normal((m, 4)).cumsum(axis=1)
    return TRUE_MEAN + 0.15 * rng.standard_normal((m, 1)) + walk


def running(z: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two thirds of the parts stopped somewhere in life."""
    rng = np.random.default_rng(seed)
    now = np.where(np.arange(len(z)) % 3 > 0, z[:, -1] + np.log(rng.uniform(0.3, 1.0, len(z))), np.nan)
    seen = np.where(z <= np.where(np.isnan(now), np.inf, now)[:, None], z, np.nan)
    return seen, now


def test_smoothing_is_causal_and_skips_gaps() -> None:
    """A running median looks back only, and NaN neither spreads nor counts."""
    values = np.array([1.0, 9.0, 1.0, np.nan, 1.0, 5.0, 5.0])
    smoothed = indicator.smooth(values, 3)
    assert [1.0, 5.0, 1.0] == smoothed[:3].tolist()
    assert np.isnan(smoothed[3])
    assert [1.0, 1.0, 5.0] == smoothed[4:].tolist()
    changed = values.copy()
    changed[5:] = 100.0
    assert np.array_equal(smoothed[:5], indicator.smooth(changed, 3)[:5], equal_nan=True)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [3.0], [7.0, 7.0]])
def test_a_short_or_constant_series_crosses_nothing(values: list[float]) -> None:
    """Nothing to smooth, or less than a window: no level is crossed and nothing is raised."""
    hits = indicator.crossings(np.arange(len(values), dtype=float), np.array(values), (1.0, 2.0), width=5)
    assert np.isnan(hits).all()


def test_spikes_cross_nothing() -> None:
    """Noise crosses low levels early; the median of a window does not."""
    signal = np.linspace(0.0, 10.0, 1001)
    signal[[100, 101, 300]] = 50.0
    hits = indicator.crossings(np.arange(1001.0), signal, (5.0, 9.0), width=7)
    assert pytest.approx([503.0, 903.0], abs=3) == hits
    assert np.isnan(indicator.crossings(np.arange(1001.0), signal, (20.0,), width=7)[0])


def test_a_falling_indicator_crosses_downwards() -> None:
    """Flow through a filter falls: levels run down."""
    hits = indicator.crossings(np.arange(101.0), np.linspace(100.0, 0.0, 101), (80.0, 50.0), width=1)
    assert [20.0, 50.0] == hits.tolist()


def test_em_recovers_what_censoring_hides() -> None:
    """With two thirds of the parts still running, mean and spread of the end come back; complete cases are biased."""
    z = lives(3000, 8)
    seen, now = running(z, 9)
    law = gaussian.fit(seen, now)
    assert pytest.approx(TRUE_MEAN, abs=0.02) == law.mean
    assert pytest.approx(np.cov(z.T)[-1, -1], rel=0.15) == law.covariance[-1, -1]


def test_too_few_ends_are_said_to_be_too_few() -> None:
    """One end of life teaches no spread."""
    z = lives(3, 1)
    z[1:, -1] = np.nan
    with pytest.raises(gaussian.TooFew):
        gaussian.fit(z, np.array([np.nan, 6.0, 6.0]))


def history(m: int, seed: int, **kwargs: object) -> History:
    z = lives(m, seed)
    return History.of(np.exp(z[:, -1]), np.zeros(m, dtype=bool), hits=np.exp(z[:, :-1]), **kwargs)


def test_levels_crossed_early_shorten_the_life_left() -> None:
    """A part that crossed its levels a fifth sooner than usual ends about a fifth sooner."""
    crossing = LevelCrossing.learn(history(200, 2))
    assert crossing is not None
    usual, early = np.exp(TRUE_MEAN[:-1]), 0.8 * np.exp(TRUE_MEAN[:-1])
    left, pace = crossing.left(np.array([860.0, 860.0]), np.array([usual, early]), (0.5,))
    assert pytest.approx(1.0, abs=0.05) == pace[0]
    assert pytest.approx(0.8, abs=0.05) == pace[1]
    assert left[1, 0] < left[0, 0]


def test_a_level_that_no_part_reaches_does_not_silence_the_others() -> None:
    """The maker's last level lies beyond what parts come to: the law of the others stands as it was."""
    parts = history(200, 2)
    assert parts.hits is not None
    further = History.of(parts.exposure, parts.censored, hits=np.column_stack([parts.hits, np.full(200, np.nan)]))
    law, wider = LevelCrossing.learn(parts), LevelCrossing.learn(further)
    assert law is not None
    assert wider is not None
    hits = 0.9 * np.exp(TRUE_MEAN[None, :-1])
    now = np.array([hits.max() * 1.01])
    told = law.left(now, hits, (0.1, 0.5, 0.9))[0]
    assert pytest.approx(told, rel=0.1) == wider.left(now, np.column_stack([hits, [np.nan]]), (0.1, 0.5, 0.9))[0]


def test_waiting_for_the_next_level_is_evidence_of_a_slow_part() -> None:
    """A part that has not crossed the second level long after it was due is given a longer whole life."""
    crossing = LevelCrossing.learn(history(200, 2))
    assert crossing is not None
    hits = np.array([[300.0, np.nan, np.nan]])
    due, late = (now + crossing.left(np.array([now]), hits, (0.5,))[0][0, 0] for now in (400.0, 800.0))
    assert late > 1.15 * due


def test_a_group_unlike_the_others_widens_the_interval() -> None:
    """Where groups differ, calibration by group is wider than calibration that mixes them."""
    z = lives(60, 3)
    z[:, -1] += np.repeat([-0.2, -0.1, 0.0, 0.1, 0.2], 12)
    groups = np.repeat(np.arange(5), 12)
    columns = {"hits": np.exp(z[:, :-1])}
    ends, none = np.exp(z[:, -1]), np.zeros(60, dtype=bool)
    apart = LevelCrossing.learn(History.of(ends, none, groups=groups, **columns))
    mixed = LevelCrossing.learn(History.of(ends, none, **columns))
    assert apart is not None
    assert mixed is not None
    assert apart.widening[-1] > mixed.widening[-1] >= 1.0


@pytest.mark.parametrize("m", [0, 1, 3])
def test_levels_are_not_trusted_before_enough_parts_ended(m: int) -> None:
    """Three ends of life are too few; without hits there is nothing to learn."""
    assert LevelCrossing.learn(history(m, 4)) is None
    assert LevelCrossing.learn(History.of(np.ones(9), np.zeros(9, dtype=bool))) is None


class _Cleared(dict[bytes, np.ndarray]):
    """What is kept, cleared by another thread after each look whether it is there."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.clear()
        return found


def test_what_another_thread_lets_go_meanwhile_is_worked_out_again() -> None:
    """A model is shared by threads, and what it keeps of patterns is cleared when that grows."""
    law = Gaussian(np.zeros(3), np.eye(3) + 0.5)
    pattern = np.array([[True, False]])
    expected = law.told(pattern)[0].base
    object.__setattr__(law, "_told", _Cleared())
    for _ in range(2):
        assert expected.tolist() == law.told(pattern)[0].base.tolist()
