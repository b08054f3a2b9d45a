"""The Weibull posterior: what it believes, what it learns."""

import numpy as np
import pytest

from predictors import lognormal
from predictors.life import PRIOR_FAILURES, WeibullLife


def survival(life: WeibullLife, x: np.ndarray, x0: float) -> np.ndarray:
    k = life.shape
    return ((life.b + (x0 / life.rated) ** k) / (life.b + (x / life.rated) ** k)) ** life.a


def test_before_any_cycle_the_median_life_is_the_rated_life() -> None:
    """Half of all parts are believed to reach the rated life."""
    assert pytest.approx(1000.0) == WeibullLife.prior(1000.0).left(np.zeros(1), (0.5,))[0, 0]


def test_left_inverts_the_survival_function() -> None:
    """The exposure left at quantile q is where survival, given survival so far, has fallen to 1 - q."""
    life = WeibullLife(rated=1000.0, shape=3.0, a=9.0, b=12.0)
    quantiles = (0.05, 0.3, 0.5, 0.95)
    for x0 in (0.0, 1.0, 400.0, 900.0):
        ends = x0 + life.left(np.array([x0]), quantiles)[0]
        assert pytest.approx(1.0 - np.array(quantiles)) == survival(life, ends, x0)


def test_the_posterior_is_conjugate() -> None:
    """Failures count in A, every exposure counts in B, censored ones too."""
    prior = WeibullLife.prior(100.0)
    after = prior.learn(np.array([80.0, 120.0, 60.0, np.nan]), np.array([False, False, True, False]))
    assert prior.a + 2 == after.a
    assert pytest.approx(prior.b + sum(x**after.shape for x in (0.8, 1.2, 0.6))) == after.b


def test_shape_and_scale_are_recovered_under_censoring() -> None:
    """From 4000 parts of which two thirds still run, shape and median come back within 5 %."""
    rng = np.random.default_rng(3)
    life, stop = 700.0 * rng.weibull(2.5, 4000), rng.uniform(0.0, 900.0, 4000)
    learned = WeibullLife.prior(1000.0).learn(np.minimum(life, stop), stop < life)
    assert (stop < life).mean() > 0.6
    assert pytest.approx(2.5, rel=0.05) == learned.shape
    assert pytest.approx(700.0 * np.log(2.0) ** (1 / 2.5), rel=0.05) == learned.left(np.zeros(1), (0.5,))[0, 0]


def test_dropping_running_parts_would_be_wrong() -> None:
    """Censored parts lengthen the life that failures alone would tell."""
    rng = np.random.default_rng(5)
    life, stop = 700.0 * rng.weibull(4.0, 500), np.full(500, 500.0)
    ends, censored = np.minimum(life, stop), stop < life
    honest = WeibullLife.prior(700.0).learn(ends, censored).left(np.zeros(1), (0.5,))[0, 0]
    naive = WeibullLife.prior(700.0).learn(ends[~censored], censored[~censored]).left(np.zeros(1), (0.5,))[0, 0]
    assert naive < 0.85 * honest
    # No part was seen beyond 500 h: the median is reached by extrapolation.
    assert pytest.approx(700.0 * np.log(2.0) ** 0.25, rel=0.1) == honest


def test_without_failures_the_shape_stays_the_priors() -> None:
    """Zero failures move the scale up and leave the shape near what was believed."""
    life = WeibullLife.prior(100.0).learn(np.full(20, 90.0), np.ones(20, dtype=bool))
    assert PRIOR_FAILURES == life.a
    assert 2.0 < life.shape < 8.0
    assert life.left(np.zeros(1), (0.5,))[0, 0] > 100.0


def test_a_part_that_outlives_the_fleet_does_not_get_younger() -> None:
    """Beyond the point where the mixture would look younger, what is left stays the same."""
    life = WeibullLife.prior(100.0)
    left = life.left(np.linspace(0.0, 2000.0, 500), (0.1, 0.5, 0.9))
    assert (np.diff(left, axis=0) <= 1e-9).all()
    assert (left > 0).all()


def test_the_lognormal_inverts_its_truncated_distribution() -> None:
    """The residual of a log-normal agrees with draws that survived."""
    rng = np.random.default_rng(11)
    draws = np.exp(np.log(500.0) + 0.25 * rng.standard_normal(400_000))
    survivors = draws[draws > 550.0] - 550.0
    left = lognormal.left(np.array([550.0]), np.array([np.log(500.0)]), 0.25, (0.1, 0.5, 0.9))[0]
    assert pytest.approx(np.quantile(survivors, (0.1, 0.5, 0.9)), rel=0.02) == left
