"""Every estimator, ours and the baselines: scikit-learn's rules, and what must hold of any forecast."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from predictors import baselines, crossing, gaussian, trust
from predictors.baselines import (
    ExponentialExtrapolation,
    GradientBoostingBaseline,
    LinearExtrapolation,
    RandomForestBaseline,
    TimerRegressor,
)
from predictors.estimators import FusedRegressor, HitRegressor, WeibullRegressor
from predictors.forest import Forest

ESTIMATORS: dict[str, type[Any]] = {
    each.__name__: each
    for each in (
        WeibullRegressor,
        HitRegressor,
        FusedRegressor,
        TimerRegressor,
        LinearExtrapolation,
        ExponentialExtrapolation,
        RandomForestBaseline,
        GradientBoostingBaseline,
    )
}
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
SHARES = np.array([0.3, 0.5, 0.8])  # of life at which the levels are crossed
FEW = 4  # trees, folds and rounds: the rules do not depend on how many there are


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fewer trees, folds and rounds: the rules are the same, and each check fits anew."""
    whole: Any = Forest.grow.__func__  # type: ignore[attr-defined]  # a class method
    law = gaussian.fit

    def grow(cls: type[Forest], *args: Any, trees: int = FEW, **others: Any) -> Forest:
        found: Forest = whole(cls, *args, trees=min(trees, FEW), **others)
        return found

    def forest(trees: int, **others: Any) -> RandomForestRegressor:
        return RandomForestRegressor(min(trees, FEW), **others)

    def boosting(*, n_estimators: int, **others: Any) -> GradientBoostingRegressor:
        return GradientBoostingRegressor(n_estimators=min(n_estimators, 5 * FEW), **others)

    def shorter(*args: Any, rounds: int = FEW, **others: Any) -> gaussian.Gaussian:
        return law(*args, rounds=min(rounds, FEW), **others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forest, "grow", classmethod(grow))
        patch.setattr(gaussian, "fit", shorter)
        patch.setattr(gaussian, "PRIORS", gaussian.PRIORS[:2])
        patch.setattr(crossing, "FOLDS", FEW)
        patch.setattr(trust, "FOLDS", FEW)
        patch.setattr(baselines, "FOLDS", 2)
        patch.setattr(baselines, "RandomForestRegressor", forest)
        patch.setattr(baselines, "GradientBoostingRegressor", boosting)
        yield


def taught() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and censored of forty parts, every fourth of which still runs."""
    rng = np.random.default_rng(4)
    life = 500.0 * rng.weibull(5.0, 40)
    now = np.where(np.arange(40) % 4 == 0, life * rng.uniform(0.3, 1.0, 40), life)
    hits = life[:, None] * SHARES * np.exp(0.05 * rng.standard_normal((40, 3)))
    return np.column_stack([now, np.where(hits <= now[:, None], hits, np.nan)]), now, now < life


@functools.cache
def fitted(name: str) -> Any:
    table, ends, running = taught()
    estimator = ESTIMATORS[name]()
    return estimator.fit(table if reads_levels(name) else table[:, :1], ends, censored=running)


def reads_levels(name: str) -> bool:
    return name != "WeibullRegressor"


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_estimators_keep_scikit_learns_rules(name: str) -> None:
    """check_estimator passes."""
    check_estimator(ESTIMATORS[name]())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_needs_a_fit(name: str) -> None:
    """Asked before it was taught, it says so."""
    with pytest.raises(NotFittedError):
        ESTIMATORS[name]().predict(np.zeros((1, 1)))


@pytest.mark.parametrize("name", ESTIMATORS)
@given(
    asked=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.just(4)),
        elements=st.one_of(st.floats(0.0, 2000.0), st.sampled_from([0.0, np.nan, 1e-300, 1e8])),
    )
)
@settings(max_examples=60)
def test_any_part_gets_quantiles_in_order_beyond_what_it_survived(name: str, asked: np.ndarray) -> None:
    """Quantiles never cross, no end lies before the exposure survived, the median is one of them."""
    table = asked if reads_levels(name) else np.nan_to_num(asked[:, :1])
    ends = fitted(name).predict_quantiles(table, QUANTILES)
    survived = np.nan_to_num(asked[:, 0])
    assert np.isfinite(ends).all()
    assert (ends >= survived[:, None]).all()
    assert (np.diff(ends, axis=1) >= 0).all()
    assert np.array_equal(ends[:, 2], fitted(name).predict(table))


@pytest.mark.parametrize("name", ESTIMATORS)
@given(
    ends=hnp.arrays(np.float64, 14, elements=st.floats(1e-3, 1e6)),
    running=hnp.arrays(np.bool_, 14),
    shares=hnp.arrays(np.float64, 3, elements=st.floats(0.0, 1.5)),
)
@example(ends=np.array([122.0] + [1 / 64] * 13), running=np.arange(14) > 2, shares=np.zeros(3))  # one look in all
@settings(max_examples=8)
def test_any_ends_teach_something(name: str, ends: np.ndarray, running: np.ndarray, shares: np.ndarray) -> None:
    """Whatever ended when, running or not, with levels before or after the end: a fit, and sound quantiles."""
    table = np.column_stack([ends, ends[:, None] * shares])[:, : 4 if reads_levels(name) else 1]
    found = ESTIMATORS[name]().fit(table, ends, censored=running, groups=np.arange(14) // 4)
    told = found.predict_quantiles(table, QUANTILES)
    assert np.isfinite(told).all()
    assert (told >= ends[:, None]).all()
    assert (np.diff(told, axis=1) >= 0).all()


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "TimerRegressor"])
def test_parts_still_running_are_no_ends(name: str) -> None:
    """Parts taken out of use at a third of their life do not shorten anybody's life to that."""
    table, ends, _ = taught()
    running = np.arange(40) % 2 == 0
    now = np.where(running, ends / 3.0, ends)
    table = np.where(table <= now[:, None], table, np.nan)[:, : 4 if reads_levels(name) else 1]
    table[:, 0] = now
    new = np.full((1, table.shape[1]), np.nan)
    new[0, 0] = 0.0
    honest, mistaken = (
        ESTIMATORS[name]().fit(table, now, censored=told).predict(new)[0]
        for told in (running, np.zeros(40, dtype=bool))
    )
    assert honest > 1.2 * mistaken
    assert honest > 0.75 * np.median(ends)


def test_no_level_at_all_leaves_the_timer() -> None:
    """A baseline that is told exposure alone counts down, as the timer does."""
    table, ends, running = taught()
    timer, line = (
        ESTIMATORS[name]().fit(table[:, :1], ends, censored=running).predict(table[:, :1])
        for name in ("TimerRegressor", "LinearExtrapolation")
    )
    assert np.array_equal(timer, line)
