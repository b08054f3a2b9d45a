"""A duty schedule recognised by analogy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import schedule

STEP = 0.5
Trajectory = tuple[np.ndarray, np.ndarray]


def plan(*parts: tuple[float, float], rng: np.random.Generator | None = None) -> Trajectory:
    """A trajectory of (duration, load), with noise on each sample where a generator is given."""
    load = np.concatenate([np.full(int(duration / STEP), level) for duration, level in parts])
    if rng is not None:
        load = load * np.exp(0.1 * rng.standard_normal(load.size))
    return STEP * np.arange(1, load.size + 1), load


def until(trajectory: Trajectory, now: float) -> Trajectory:
    past = trajectory[0] <= now
    return trajectory[0][past], trajectory[1][past]


def cohort(seed: int = 1) -> list[Trajectory]:
    """Ten units on each of three plans, their steps up to a second early or late."""
    rng = np.random.default_rng(seed)
    plans = (((35.0, 3.0), (80.0, 1.0)), ((35.0, 1.0), (35.0, 3.0), (60.0, 1.0)), ((100.0, 1.0), (40.0, 3.0)))
    return [
        plan((first[0] + rng.uniform(-1, 1), first[1]), *rest, rng=rng) for first, *rest in plans for _ in range(10)
    ]


def test_a_plan_is_recognised_before_its_next_step() -> None:
    """Forty seconds into a plan that eases at seventy, the load of the next sixty is that of the others on it."""
    own = plan((35.0, 1.0), (35.0, 3.0), (60.0, 1.0))
    seen = schedule.scenarios(*until(own, 40.0), cohort(), 60.0)
    assert pytest.approx(30.0 * 3.0 + 30.0, rel=0.03) == seen.mean[-1]
    assert seen.recognised > 0.99


def test_two_plans_that_look_alike_so_far_are_both_kept() -> None:
    """At thirty seconds two plans agree: the futures are two, each about as likely."""
    seen = schedule.scenarios(*plan((30.0, 1.0)), cohort(), 60.0)
    busy = seen.weights[seen.cumulative[:, -1] > 90.0].sum()
    assert pytest.approx(0.5, abs=0.1) == busy
    low, high = seen.dates([0.0, 1.0], [59.0, 61.0], (0.1, 0.9))
    assert high > 1.8 * low


def test_nobody_alike_leaves_the_own_rate() -> None:
    """A unit with a load that no other has goes on at its own level of late."""
    seen = schedule.scenarios(*plan((40.0, 9.0)), cohort(), 50.0)
    assert pytest.approx(450.0, rel=0.01) == seen.mean[-1]
    assert seen.recognised < 0.01


def test_a_pause_of_the_plan_counts_in_full() -> None:
    """What is reached after a pause is reached after it, not spread over it."""
    members = [plan((20.0, 1.0), (10.0, 0.0), (30.0, 1.0))] * 5
    seen = schedule.scenarios(*plan((18.0, 1.0)), members, 40.0)
    assert pytest.approx([2.0, 12.5], abs=0.15) == seen.when([2.0, 2.5])[0]


def test_a_member_that_ended_goes_on_as_the_others_do() -> None:
    """The future of a short life is that of those on the same plan that lived longer, not its own last load."""
    members = [plan((20.0, 1.0), (10.0, 2.0))] * 3 + [plan((20.0, 1.0), (20.0, 2.0), (40.0, 5.0))] * 3
    seen = schedule.scenarios(*plan((10.0, 1.0)), members, 60.0)
    own_rate = seen.weights[-1] * 60.0
    assert pytest.approx(10.0 + 40.0 + 150.0, rel=0.02) == (seen.mean[-1] - own_rate) / seen.recognised


def test_younger_members_and_an_empty_past_are_borne() -> None:
    """Without anybody older there is the own rate; without a past the cohort's; without both, nothing is used up."""
    own = plan((40.0, 2.0))
    alone = schedule.scenarios(*own, [until(own, 20.0), ([], [])], 10.0)
    assert (1, pytest.approx(20.0)) == (alone.weights.size, alone.mean[-1])
    new = schedule.scenarios([], [], [plan((40.0, 2.0))], 10.0)
    assert pytest.approx(20.0) == new.mean[-1]
    assert 0.0 == schedule.scenarios([], [], [], 10.0).mean[-1]
    assert np.isinf(schedule.scenarios([], [], [], 10.0).when([1.0])).all()


def test_a_horizon_that_cannot_be_is_refused() -> None:
    """A horizon must be positive."""
    with pytest.raises(ValueError, match="horizon"):
        schedule.scenarios([], [], [], 0.0)


samples = st.one_of(st.floats(-1.0, 200.0), st.sampled_from([np.nan, np.inf, 0.0]))


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    n = draw(st.integers(0, 8))
    return draw(hnp.arrays(np.float64, n, elements=samples)), draw(hnp.arrays(np.float64, n, elements=samples))


@given(own=trajectories(), members=st.lists(trajectories(), max_size=5), data=st.data())
def test_any_trajectories_give_sound_futures(own: Trajectory, members: list[Trajectory], data: st.DataObject) -> None:
    """Weights sum to one, paths rise from nothing, dates ascend, more left is never sooner, order does not matter."""
    seen = schedule.scenarios(*own, members, 50.0)
    assert pytest.approx(1.0) == seen.weights.sum()
    assert (seen.cumulative[:, 0] == 0).all()
    assert (np.diff(seen.cumulative, axis=1) >= 0).all()
    less = np.sort(data.draw(hnp.arrays(np.float64, 3, elements=st.floats(0.0, 1e4))))
    early, late = (seen.dates((0.1, 0.5, 0.9), left, (0.1, 0.5, 0.9)) for left in (less, less + 1.0))
    assert (early[1:] >= early[:-1]).all()
    assert (late >= early).all()
    assert (early >= 0).all()
    other = schedule.scenarios(*own, data.draw(st.permutations(members)), 50.0)
    assert np.allclose(seen.mean, other.mean, rtol=1e-9)


def test_the_cohorts_future_is_used_and_the_own_is_not() -> None:
    """What a unit does after now changes nothing in its forecast of now."""
    own = plan((35.0, 1.0), (35.0, 3.0), (60.0, 1.0))
    other = plan((35.0, 1.0), (5.0, 3.0), (90.0, 7.0))
    first, second = (schedule.scenarios(*until(path, 38.0), cohort(), 60.0).mean for path in (own, other))
    assert first.tolist() == second.tolist()
