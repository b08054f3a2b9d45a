"""Recordings of the wear benchmark: what of a part's covariates is known at a moment of its life."""

import numpy as np
import pytest

from tests.benchmarks.wear.recording import recording


def test_covariates_after_the_moment_of_a_forecast_do_not_change_what_is_known_of_it() -> None:
    """The median of a covariate is that of the samples until now; what comes later is not looked at."""
    time = np.arange(1.0, 11.0)
    flow = np.where(time > 5, 80.0, 20.0)
    whole = recording("one", "any", (time, time, np.ones(10)), 10.0, covariates=(flow, 7.0))
    assert pytest.approx(np.log([20.0, 7.0])) == whole.until(5.0).middle
    assert pytest.approx(np.log(7.0)) == whole.middle[1]


def test_a_covariate_that_is_nowhere_above_zero_is_not_known() -> None:
    """A logarithm needs something to stand on; without one the clock takes the reference."""
    time = np.arange(1.0, 4.0)
    told = recording("one", "any", (time, time, np.ones(3)), 3.0, covariates=(np.zeros(3), float("nan")))
    assert np.isnan(told.middle).all()
    assert 0 == recording("one", "any", (time, time, np.ones(3)), 3.0).middle.size
