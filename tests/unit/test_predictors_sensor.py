"""Sensors that cannot be believed, the pressure drop at another flow, and forecasts between which nobody can decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import changepoint, flow, mixture, sensor
from predictors.batch import Array
from predictors.sensor import Fault

LOOKS = 200
FRESH = float(np.log(40.0))
CLOCK = np.arange(LOOKS, dtype=np.float64)


def fault(y: Array, clock: Array | None = None, fresh: float = FRESH) -> Fault:
    """The fault of one series."""
    exposure = np.where(np.isfinite(y), CLOCK[: y.size], np.nan) if clock is None else clock
    found, _ = sensor.check(y[None, :], exposure[None, :], np.array([fresh]), np.array([0.1]))
    return Fault(int(found[0]))


def sound(seed: int = 1, noise: float = 0.03) -> Array:
    return FRESH + 0.4 + 0.001 * CLOCK + noise * np.random.default_rng(seed).standard_normal(LOOKS)


def changed(where: slice, value: float | Array) -> Array:
    y = sound()
    y[where] = value
    return y


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (sound(), Fault.NONE),
        (changed(slice(160, None), FRESH + 0.55), Fault.STUCK),
        (np.full(LOOKS, FRESH + 0.3), Fault.STUCK),
        (changed(slice(185, None), FRESH + 0.55), Fault.NONE),  # not long enough to say so
        (sound() + np.where(CLOCK >= 120, 0.9, 0.0), Fault.JUMPED),
        (sound() + np.where(CLOCK == 120, 0.9, 0.0), Fault.NONE),  # one bad look
        (sound() - 1.5, Fault.BIASED),
        (changed(slice(60, None), np.nan), Fault.NONE),
        (sound()[:2], Fault.SHORT),
        (np.log(np.round(np.exp(sound()) / 10) * 10), Fault.NONE),  # a coarse sensor repeats itself
    ],
)
def test_each_fault_is_told(y: Array, expected: Fault) -> None:
    """Stuck, jumped, biased, short; a coarse sensor, one bad look and a gap are sound."""
    assert expected is fault(y)


def test_a_dead_sensor_reads_nothing_while_the_unit_runs() -> None:
    """Zeros while running have no logarithm, and are a bias."""
    assert fault(changepoint.log_scale(np.zeros(LOOKS)), CLOCK) is Fault.BIASED


def test_a_clock_that_runs_backwards_is_told() -> None:
    """A series that was put together wrongly is not read."""
    assert fault(sound(), CLOCK[::-1]) is Fault.UNORDERED


def test_the_knee_is_no_jump() -> None:
    """Pressure drop that doubles within days at the end of a life is wear."""
    wear = np.linspace(0.6, 1.1, LOOKS)
    y = FRESH + np.log(1 + 0.35 * wear + 2.65 * wear**5) + 0.03 * np.random.default_rng(2).standard_normal(LOOKS)
    assert fault(y) is Fault.NONE


def test_sound_sensors_are_believed() -> None:
    """Of a thousand sound series at most one is called faulty."""
    rng = np.random.default_rng(3)
    y = FRESH + 0.5 + 0.05 * rng.standard_normal((1000, LOOKS))
    found, at = sensor.check(y, np.broadcast_to(CLOCK, y.shape), np.full(1000, FRESH), np.full(1000, 0.1))
    assert (found != Fault.NONE).sum() <= 1
    assert (at[found != Fault.JUMPED] == -1).all()


def test_a_jump_has_its_moment() -> None:
    """The look from which the sensor reads otherwise."""
    y = (sound() + np.where(CLOCK >= 120, 0.9, 0.0))[None, :]
    _, at = sensor.check(y, CLOCK[None, :], np.array([FRESH]), np.array([0.1]))
    assert [120] == at.tolist()


@given(y=hnp.arrays(np.float64, (2, 60), elements=st.floats(-50, 50) | st.sampled_from([np.nan, np.inf, 0.0])))
def test_any_series_is_judged(y: Array) -> None:
    """NaN, infinite, constant and wild values never raise."""
    found, _ = sensor.check(changepoint.log_scale(y), y, np.array([FRESH, np.nan]), np.array([0.1, np.nan]))
    assert np.isin(found, list(Fault)).all()


@pytest.mark.parametrize("width", [0, 1, 3])
def test_an_empty_series_is_short(width: int) -> None:
    """Nothing to look at is nothing to believe."""
    y = np.full((1, width), np.nan)
    assert [Fault.SHORT] == sensor.check(y, y, np.array([FRESH]), np.array([0.1]))[0].tolist()


def test_the_same_part_reads_the_same_at_any_flow() -> None:
    """Pressure drop goes with flow to the 1.6; normalised, one part is one level."""
    flows = np.array([300.0, 600.0, 1200.0])
    read = 80.0 * (flows / 1200.0) ** 1.6
    assert pytest.approx(80.0) == flow.normalised(read, flows, 1200.0)


def test_where_nothing_flows_nothing_is_read() -> None:
    """A flow that is unknown, none or nearly none leaves no look."""
    read = flow.normalised(np.full(4, 50.0), np.array([np.nan, 0.0, 100.0, 1200.0]), 1200.0)
    assert [False, False, False, True] == np.isfinite(read).tolist()


@pytest.mark.parametrize("reference", [0.0, -1.0, np.nan])
def test_a_flow_to_compare_with_is_above_zero(reference: float) -> None:
    """A reference that cannot be is refused."""
    with pytest.raises(ValueError, match="above zero"):
        flow.normalised(np.ones(1), np.ones(1), reference)


@given(p=st.floats(0, 1), first=st.floats(0, 100), second=st.floats(0, 1000))
def test_a_mixture_lies_between_its_parts(p: float, first: float, second: float) -> None:
    """Its quantiles ascend, within the range of the two, and its 80 % interval reaches into both."""
    q = mixture.GRID
    a, b = (np.array([[centre + 10.0 * x for x in q]]) for centre in (first, second))
    found = mixture.mixed(q, a, b, np.array([p]))
    assert (np.diff(found) >= -1e-9).all()
    assert min(a.min(), b.min()) - 1e-9 <= found.min()
    assert found.max() <= max(a.max(), b.max()) + 1e-9
    low, high = np.interp([0.1, 0.9], q, found[0])
    assert low <= min(first, second) + 10.0
    assert high >= max(first, second) - 1e-6
