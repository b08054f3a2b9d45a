"""What must hold for every model and any input."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from predictors import path, registry
from predictors.batch import UTMOST, SlotBatch
from predictors.declaration import Declaration
from predictors.forecast import Forecasts
from predictors.forest import Forest
from predictors.fused import Fused
from predictors.future import HORIZON_D
from predictors.history import History
from predictors.indicator import READS
from predictors.path import STEP
from predictors.predictor import Predictor

DECLARED = Declaration(life_h=2000.0, life_d=365.0, indicator_eol=100.0, levels=(10.0, 20.0, 50.0))
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
COLUMNS = ("run_h", "load_h", "age_d", "h_per_day", "h_per_day_sd", "load_per_h", "left_pct", "left_h", "silent_d")
NAMES = tuple(registry.MODELS)
FEW_TREES = 4  # what holds for few holds for many


@pytest.fixture(scope="module", autouse=True)
def small_forests() -> Iterator[None]:
    """Forests of few trees: what must hold does not depend on how many there are, and each example grows its own."""
    whole: Any = Forest.grow.__func__  # type: ignore[attr-defined]  # a class method

    def grow(cls: type[Forest], *args: Any, trees: int = FEW_TREES, **others: Any) -> Forest:
        found: Forest = whole(cls, *args, trees=min(trees, FEW_TREES), **others)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forest, "grow", classmethod(grow))
        yield


@functools.cache
def fitted(name: str) -> Predictor:
    """A model that has learned from sixty parts, half of them still running."""
    rng = np.random.default_rng(7)
    life = 1800.0 * rng.weibull(5.0, 60)
    censored = np.arange(60) % 2 == 0
    exposure = np.where(censored, life * rng.uniform(0.2, 1.0, 60), life)
    hits = life[:, None] * np.array([0.3, 0.5, 0.8]) * np.exp(0.05 * rng.standard_normal((60, 3)))
    at = 1800.0 * STEP * np.arange(1.0, 150.0)
    share = np.minimum(at / life[:, None], 1.0) * np.exp(0.03 * rng.standard_normal((60, 1)))
    tables = np.stack([np.broadcast_to(at, share.shape), share, share, share, share / 2.0], axis=-1)
    looks = [table[table[:, 0] <= last] for table, last in zip(tables, exposure, strict=True)]
    hits = np.where(hits <= exposure[:, None], hits, np.nan)
    past = History.of(exposure, censored, hits=hits, looks=looks, groups=np.arange(60) // 6, days=exposure / 5.0)
    return registry.named(name)(DECLARED).fit(past)


def straight(ends: np.ndarray) -> np.ndarray:
    """Looks at parts whose indicator rises straight to their end, whatever that is."""
    share = np.linspace(0.1, 0.9, 9)
    return np.stack([ends[:, None] * share, *[np.tile(share, (ends.size, 1))] * READS], axis=-1)


def model(name: str, *, learned: bool) -> Predictor:
    return fitted(name) if learned else registry.named(name)(DECLARED)


@st.composite
def batches(draw: st.DrawFn) -> SlotBatch:
    """Any batch at all: unknown, absurd and ordinary values in every column."""
    n = draw(st.integers(1, 8))
    ordinary = st.floats(0.0, 5000.0)
    absurd = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -1.0, np.nan, 1e300]))
    cells = st.one_of(ordinary, absurd)
    columns = {name: draw(hnp.arrays(np.float64, n, elements=cells)) for name in COLUMNS}
    hits, reads = (draw(st.one_of(st.none(), hnp.arrays(np.float64, (n, k), elements=cells))) for k in (3, 1 + READS))
    novel = draw(st.one_of(st.none(), hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, np.nan]))))
    return SlotBatch(**columns, hits=hits, reads=reads, novel=novel)


def beside(batch: SlotBatch) -> dict[str, np.ndarray | None]:
    """What a batch may lack."""
    return {name: getattr(batch, name) for name in ("hits", "reads", "novel")}


def test_the_learned_fused_model_has_trees_to_speak_of() -> None:
    """The properties below are those of levels, looks and trees together, or they say nothing of them."""
    model = fitted("fused")
    assert isinstance(model, Fused)
    assert model.learner is not None
    assert FEW_TREES == model.learner.forest.roots.size
    assert model.learner.known.share > 0


def sound(forecasts: Forecasts) -> None:
    assert np.isfinite(forecasts.eol_d).all()
    assert (np.diff(forecasts.eol_d, axis=1) >= 0).all()
    assert (forecasts.eol_d >= 0).all()
    assert (forecasts.eol_d <= HORIZON_D).all()
    assert ((forecasts.pct_left >= 0) & (forecasts.pct_left <= 100)).all()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", NAMES)
@given(batch=batches())
def test_any_batch_gets_a_sound_forecast(name: str, learned: bool, batch: SlotBatch) -> None:
    """Quantiles never cross, no end of life lies before now, every number is finite, nothing is raised."""
    sound(model(name, learned=learned).forecast(batch, QUANTILES))


@pytest.mark.parametrize("name", ["rated", "weibull", "hit", "fused"])
@given(batch=batches(), more=st.floats(0.0, 5000.0), column=st.sampled_from(["run_h", "load_h"]))
def test_more_wear_never_lengthens_life(name: str, batch: SlotBatch, more: float, column: str) -> None:
    """A slot that has been used more, all else equal, ends no later at any quantile."""
    n = len(batch)
    known = {
        # Exposure from the counter that is varied, and a use that the counter does not tell.
        "run_h": np.nan_to_num(batch.run_h),
        "load_h": np.full(n, np.nan) if column == "run_h" else np.nan_to_num(batch.load_h),
        "load_per_h": np.ones(n),
        "h_per_day": np.nan_to_num(batch.h_per_day, nan=5.0),
    }
    columns = {**{name: getattr(batch, name) for name in COLUMNS}, **known}
    worn = {**columns, column: np.minimum(columns[column] + more, UTMOST)}
    before = model(name, learned=True).forecast(SlotBatch(**columns, **beside(batch)), QUANTILES)
    # What has been crossed stays crossed, and nothing new is: hits at a later exposure would be news.
    clock = columns["run_h"] if name == "rated" or column == "run_h" else columns["load_h"]
    hits = None if batch.hits is None else np.where(batch.hits <= clock[:, None], batch.hits, np.nan)
    looked = batch.reads is not None and path.told(batch.reads, clock)[:, None]
    crossed = {"hits": hits, "reads": None if batch.reads is None else np.where(looked, batch.reads, np.nan)}
    after = model(name, learned=True).forecast(SlotBatch(**worn, **crossed, novel=batch.novel), QUANTILES)
    assert (after.eol_d <= before.eol_d * (1 + 1e-6) + 1e-6).all()
    assert (after.pct_left <= before.pct_left + 1e-6).all()


@pytest.mark.parametrize("name", ["weibull", "hit", "fused"])
@given(batch=batches(), less=st.floats(0.0, 100.0))
def test_a_unit_that_reports_less_left_ends_no_later(name: str, batch: SlotBatch, less: float) -> None:
    """The unit's own report of percent left moves the date its own way."""
    report = np.nan_to_num(batch.left_pct, nan=100.0)
    columns: dict[str, Any] = {name: getattr(batch, name) for name in COLUMNS}
    # Where the report alone tells how far a part has come, levels crossed beyond that would be news.
    counted = np.isfinite(batch.run_h) | np.isfinite(batch.load_h)
    crossed = {
        key: None if hits is None else np.where(counted[:, None], hits, np.nan)
        for key, hits in (("hits", batch.hits), ("reads", batch.reads))
    }
    columns |= {"left_h": np.full(len(batch), np.nan), **crossed, "novel": batch.novel}
    before = model(name, learned=True).forecast(SlotBatch(**{**columns, "left_pct": report}), QUANTILES)
    lower = np.maximum(report - less, 0.0)
    after = model(name, learned=True).forecast(SlotBatch(**{**columns, "left_pct": lower}), QUANTILES)
    assert (after.eol_d <= before.eol_d * (1 + 1e-6) + 1e-6).all()


@pytest.mark.parametrize("name", NAMES)
@given(batch=batches(), seed=st.integers(0, 2**16))
def test_a_slot_does_not_care_who_stands_beside_it(name: str, batch: SlotBatch, seed: int) -> None:
    """Shuffling a batch shuffles its forecasts; scoring a part of it gives that part's forecasts."""
    order = np.random.default_rng(seed).permutation(len(batch))
    columns = {name: getattr(batch, name)[order] for name in COLUMNS}
    others = {name: None if column is None else column[order] for name, column in beside(batch).items()}
    shuffled = SlotBatch(**columns, **others)
    whole = fitted(name).forecast(batch)
    assert np.array_equal(whole.eol_d[order], fitted(name).forecast(shuffled).eol_d)
    first = np.arange(len(batch)) == 0
    assert np.allclose(whole.eol_d[:1], fitted(name).forecast(batch.take(first)).eol_d, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(
    ends=hnp.arrays(np.float64, 24, elements=st.floats(1.0, 1e5)),
    censored=hnp.arrays(np.bool_, 24),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_the_order_of_units_does_not_matter(name: str, ends: np.ndarray, censored: np.ndarray, seed: int) -> None:
    """A history in another order teaches the same."""
    order = np.random.default_rng(seed).permutation(24)
    hits = ends[:, None] * np.array([0.2, 0.4, 0.7])
    looks, groups = straight(ends), np.arange(24) // 6
    batch = SlotBatch.of(3, run_h=np.array([0.0, 900.0, 4000.0]), age_d=np.array([0.0, 200.0, 800.0]), h_per_day=4.0)
    whole = {"hits": hits, "looks": looks, "days": ends / 4.0, "groups": groups}
    forward = History.of(ends, censored, **whole)
    shuffled = History.of(ends[order], censored[order], **{key: column[order] for key, column in whole.items()})
    one = registry.named(name)(DECLARED).fit(forward).forecast(batch, QUANTILES)
    two = registry.named(name)(DECLARED).fit(shuffled).forecast(batch, QUANTILES)
    sound(one)
    assert np.allclose(one.eol_d, two.eol_d, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(
    ends=hnp.arrays(np.float64, 16, elements=st.floats(allow_nan=True, allow_infinity=True)),
    censored=hnp.arrays(np.bool_, 16),
)
@settings(max_examples=60)
def test_any_history_can_be_fitted(name: str, ends: np.ndarray, censored: np.ndarray) -> None:
    """NaN, infinite, negative and constant histories teach what they can and raise nothing."""
    with np.errstate(all="ignore"):
        hits = ends[:, None] * np.array([0.2, 0.4, 0.7])
        looks, days = straight(ends), ends / 5.0
    learned = registry.named(name)(DECLARED).fit(History.of(ends, censored, hits=hits, looks=looks, days=days))
    sound(learned.forecast(SlotBatch.of(4, run_h=np.array([0.0, 100.0, 5000.0, np.nan]), age_d=50.0), QUANTILES))
