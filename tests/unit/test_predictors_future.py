"""From exposure left to a date."""

import numpy as np
import pytest

from predictors import future
from predictors.batch import SlotBatch

QUANTILES = (0.1, 0.5, 0.9)


def test_dates_agree_with_drawing_life_and_use() -> None:
    """For a log-normal life and use the closed form equals Monte Carlo."""
    rng = np.random.default_rng(2)
    normal = np.array([-1.2815515655, 0.0, 1.2815515655])
    left = np.exp(np.log(300.0) + 0.3 * normal)[None, :]
    use = future.Use(np.array([4.0]), np.array([0.2]))
    days = future.dates(left, left[:, 1], use, np.zeros(1), QUANTILES)[0]
    drawn = np.exp(np.log(300.0) + 0.3 * rng.standard_normal(400_000)) / np.exp(
        np.log(4.0) + 0.2 * rng.standard_normal(400_000)
    )
    assert pytest.approx(np.quantile(drawn, QUANTILES), rel=0.01) == days


def test_uncertain_use_widens_the_interval() -> None:
    """A unit whose use is not known gets a wider interval around the declared pace."""
    sure = SlotBatch.of(1, run_h=100.0, h_per_day=5.0, h_per_day_sd=0.1)
    unsure = SlotBatch.of(1)
    left = np.array([[80.0, 100.0, 120.0]])
    narrow, wide = (
        future.dates(left, left[:, 1], future.use(batch, np.ones(1), 5.0), np.zeros(1), QUANTILES)[0]
        for batch in (sure, unsure)
    )
    assert pytest.approx(20.0, rel=0.01) == narrow[1]
    assert pytest.approx(20.0, rel=0.01) == wide[1]
    assert wide[2] - wide[0] > 2.0 * (narrow[2] - narrow[0])


def test_a_lightly_known_use_is_shrunk_to_the_cohort() -> None:
    """The less sure the unit's own use, the closer its forecast comes to the cohort's."""
    batch = SlotBatch.of(3, h_per_day=10.0, h_per_day_sd=np.array([0.1, 5.0, 50.0]))
    per_day = future.use(batch, np.ones(3), 5.0).per_day
    assert pytest.approx(10.0, rel=0.01) == per_day[0]
    assert pytest.approx(7.5) == per_day[1]
    assert pytest.approx(5.0, rel=0.02) == per_day[2]


def test_silence_counts_as_use_and_widens() -> None:
    """Ten silent days bring the date ten days nearer and make it less sure."""
    left = np.array([[80.0, 100.0, 120.0]])
    heard, silent = (
        (batch, future.use(batch, np.ones(1), 5.0))
        for batch in (SlotBatch.of(1, h_per_day=5.0, h_per_day_sd=0.1, silent_d=days) for days in (0.0, 10.0))
    )
    now, later = (future.dates(left, left[:, 1], use, batch.silent_d, QUANTILES)[0] for batch, use in (heard, silent))
    assert pytest.approx(10.0, rel=0.01) == now[1] - later[1]
    assert later[2] - later[0] > now[2] - now[0]


def test_a_unit_that_is_not_used_has_no_date_before_the_horizon() -> None:
    """No use gives the horizon, never an infinite date."""
    batch = SlotBatch.of(1, run_h=10.0, h_per_day=0.0, h_per_day_sd=0.0)
    use = future.use(batch, np.ones(1), 5.0)
    left = np.array([[80.0, 100.0, 120.0]])
    assert future.HORIZON_D == future.dates(left, left[:, 1], use, np.zeros(1), QUANTILES)[0, 1]


def test_the_clock_is_load_then_hours_then_the_units_own_report() -> None:
    """Exposure comes from the load integral; without it from hours; without those from percent or hours left."""
    nan = np.nan
    batch = SlotBatch.of(
        5,
        run_h=np.array([100.0, 100.0, nan, nan, nan]),
        load_h=np.array([130.0, nan, nan, nan, nan]),
        load_per_h=np.array([1.5, 1.5, nan, nan, nan]),
        left_pct=np.array([50.0, 50.0, 25.0, nan, nan]),
        left_h=np.array([nan, nan, nan, 300.0, nan]),
    )
    clock = future.exposure(batch, 1000.0)
    assert [130.0, 100.0, 750.0, 700.0] == clock.used[:4].tolist()
    assert np.isnan(clock.used[4])
    assert [1.5, 1.0, 1.0, 1.0, 1.0] == clock.per_h.tolist()
