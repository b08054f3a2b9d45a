"""From exposure left to a date."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import future, registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.usage_cohort import KNOTS

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


def pathed(rate: float = 4.0, sd: float = 0.2, **columns: float) -> SlotBatch:
    """One slot whose use is a path that is one rate, with one spread."""
    path = rate * np.array(KNOTS, dtype=float)[None, :]
    return SlotBatch.of(1, use_path=path, use_path_sd=np.full_like(path, sd), **columns)


def test_a_path_that_is_one_rate_gives_the_dates_of_that_rate() -> None:
    """Between its knots and before the first, the path says what the rate does."""
    left = np.exp(np.log([[0.5], [50.0], [300.0], [1500.0]]) + 0.3 * np.array([-1.28, 0.0, 1.28]))
    along = future.use(pathed(), np.ones(1), 5.0)
    assert (4.0, 0.2) == (pytest.approx(along.per_day[0]), pytest.approx(along.log_sd[0]))
    for row in left:
        as_path, as_rate = (
            future.dates(row[None], row[None, 1], use, np.zeros(1), QUANTILES)
            for use in (along, future.Use(along.per_day, along.log_sd))
        )
        assert np.allclose(as_path, as_rate, rtol=1e-9)


def test_a_season_to_come_moves_the_date() -> None:
    """Where half the use comes in the first quarter of a year, half the exposure left is gone by then."""
    path = np.interp(KNOTS, [0, 91, 364, 728], [0, 500, 1000, 2000])[None, :]
    batch = SlotBatch.of(1, use_path=path, use_path_sd=np.full_like(path, 0.1))
    left = np.array([[450.0, 500.0, 1000.0]])
    days = future.dates(left, left[:, 1], future.use(batch, np.ones(1), 5.0), np.zeros(1), QUANTILES)[0]
    assert pytest.approx(91.0, rel=0.01) == days[1]
    assert days[0] < 91.0
    assert days[2] > 350.0


def test_hours_only_takes_the_load_out_of_a_path() -> None:
    """A path is exposure: at twice the reference load, the hours timer sees half of it."""
    batch = pathed(run_h=100.0, load_h=200.0, load_per_h=2.0)
    assert pytest.approx(4.0) == future.use(batch, future.exposure(batch, 1000.0).per_h, 5.0).per_day[0]
    hours = future.exposure(batch, 1000.0, hours_only=True)
    assert pytest.approx(2.0) == future.use(batch, hours.per_h, 5.0).per_day[0]


def test_a_path_in_pieces_is_not_taken() -> None:
    """A row that is not whole is unknown: use is the rate that the other columns tell."""
    path = np.full((1, len(KNOTS)), np.nan)
    batch = SlotBatch.of(1, h_per_day=3.0, h_per_day_sd=0.1, use_path=path, use_path_sd=path)
    told = future.use(batch, np.ones(1), 5.0)
    assert pytest.approx(3.0, rel=0.01) == told.per_day[0]
    left = np.array([[80.0, 100.0, 120.0]])
    assert np.isfinite(future.dates(left, left[:, 1], told, np.zeros(1), QUANTILES)).all()
    with pytest.raises(ValueError, match="knots"):
        future.use(SlotBatch.of(1, use_path=path[:, :3], use_path_sd=path[:, :3]), np.ones(1), 5.0)


steps = hnp.arrays(np.float64, (2, len(KNOTS)), elements=st.floats(0.0, 1e3))
spreads = hnp.arrays(np.float64, (2, len(KNOTS)), elements=st.floats(0.0, 5.0))
lefts = hnp.arrays(np.float64, (2, 3), elements=st.floats(0.0, 1e5))


@given(steps=steps, sd=spreads, left=lefts, more=st.floats(0.0, 1e4), silent=st.floats(0.0, 400.0))
def test_any_path_gives_dates_in_order(
    steps: np.ndarray, sd: np.ndarray, left: np.ndarray, more: float, silent: float
) -> None:
    """Quantiles never cross, none lies before now, more exposure left is never sooner, units do not touch."""
    batch = SlotBatch.of(2, use_path=1e-6 + steps.cumsum(axis=1), use_path_sd=sd, silent_d=silent)
    use = future.use(batch, np.ones(2), 5.0)
    left = np.sort(left, axis=1)
    fewer, later = (future.dates(x, x[:, 1], use, batch.silent_d, QUANTILES) for x in (left, left + more))
    assert (np.diff(fewer, axis=1) >= 0).all()
    assert ((fewer >= 0) & (fewer <= future.HORIZON_D)).all()
    assert (later >= fewer - 1e-6 * (1.0 + fewer)).all()
    turned = SlotBatch.of(2, use_path=batch.use_path[::-1], use_path_sd=batch.use_path_sd[::-1], silent_d=silent)
    there = future.dates(left[::-1], left[::-1, 1], future.use(turned, np.ones(2), 5.0), batch.silent_d, QUANTILES)
    assert np.allclose(fewer, there[::-1])


DECLARED = Declaration(life_h=2000.0, life_d=365.0, indicator_eol=100.0)
cells = st.one_of(st.floats(0.0, 1e4), st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1e300]))
tables = hnp.arrays(np.float64, (2, len(KNOTS)), elements=cells)
columns = hnp.arrays(np.float64, 2, elements=cells)


@pytest.mark.parametrize("name", list(registry.MODELS))
@given(path=tables, sd=tables, run_h=columns, load_h=columns, load_per_h=columns, silent_d=columns, change=columns)
@settings(max_examples=40)
def test_every_model_bears_any_path(name: str, path: np.ndarray, sd: np.ndarray, **known: np.ndarray) -> None:
    """Whatever the columns of use hold, quantiles are finite, in order and not before now."""
    change = known.pop("change")
    batch = SlotBatch.of(2, **known, use_path=path, use_path_sd=sd, change_d=change, change_ratio=change)
    for rows in (batch, batch.take(np.array([True, False]))):
        eol_d = registry.named(name)(DECLARED).forecast(rows).eol_d
        assert np.isfinite(eol_d).all()
        assert (np.diff(eol_d, axis=1) >= 0).all()
        assert ((eol_d >= 0) & (eol_d <= future.HORIZON_D)).all()
