"""Pooling across product models: a new one starts from its family, and knows how far it may lie from it."""

import functools
import json

import numpy as np
import pytest

from predictors import registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.family import Family, Sibling
from predictors.history import History
from predictors.life import WeibullLife
from predictors.predictor import Predictor

RATED = 1000.0
DECLARED = Declaration(life_h=RATED, life_d=200.0, indicator_eol=100.0, levels=(10.0, 30.0))
BETWEEN, WITHIN = 0.3, 0.2  # standard deviations of log life, from model to model and from part to part
QUANTILES = (0.1, 0.5, 0.9)


def history(rng: np.random.Generator, centre: float, n: int) -> History:
    """The ended cycles of a product model whose median life is exp(centre) of the rated one."""
    life = RATED * np.exp(centre + WITHIN * rng.standard_normal(n))
    hits = life[:, None] * np.array([0.4, 0.7]) * np.exp(0.05 * rng.standard_normal((n, 2)))
    return History.of(life, np.zeros(n, dtype=bool), hits=hits.reshape(n, 2), days=life / 5.0)


def model(name: str, cycles: History, family: Family | None = None) -> Predictor:
    return registry.named(name)(DECLARED).fit(cycles, family)


def sibling(median: float, ends: int = 40) -> Sibling:
    """A product model whose parts live `median` of the rated life."""
    life = WeibullLife.prior(RATED).learn(np.full(ends, median * RATED), np.zeros(ends, dtype=bool))
    return Sibling(RATED, life)


def life_interval(one: Predictor) -> np.ndarray:
    """The life of a new part, in exposure, at QUANTILES."""
    assert one.life is not None
    return np.asarray(one.life.left(np.zeros(1), QUANTILES)[0])


@functools.cache
def trials(ends: int) -> np.ndarray:
    """Error of the median of log life pooled and alone, and whether the pooled interval holds a part, over families."""
    rows = []
    for seed in range(150):
        rng = np.random.default_rng(1000 * ends + seed)
        offset = rng.normal(-0.4, 0.2)
        centres = offset + BETWEEN * rng.standard_normal(7)
        family = Family.of([model("weibull", history(rng, centre, 40)).sibling() for centre in centres[1:]])
        own = history(rng, centres[0], ends)
        alone, pooled = life_interval(model("weibull", own)), life_interval(model("weibull", own, family))
        part = RATED * np.exp(centres[0] + WITHIN * rng.standard_normal(40))
        held = ((part >= pooled[0]) & (part <= pooled[2])).mean()
        truth = np.log(RATED) + centres[0]
        rows.append([abs(np.log(pooled[1]) - truth), abs(np.log(alone[1]) - truth), held])
    return np.array(rows)


@pytest.mark.parametrize("ends", [0, 2, 20])
def test_a_new_model_errs_less_with_its_family_than_alone(ends: int) -> None:
    """Over 150 families the pooled median lies nearer to the truth, the more so the fewer parts have ended."""
    pooled, alone, _ = trials(ends).mean(axis=0)
    assert pooled < alone
    assert ends > 0 or pooled < 0.8 * alone


@pytest.mark.parametrize("ends", [0, 2, 20])
def test_the_interval_of_a_new_model_covers_its_parts(ends: int) -> None:
    """The 80 % interval holds 70 to 90 % of a new model's parts, whose model is one more draw from the family."""
    assert 0.7 <= trials(ends).mean(axis=0)[2] <= 0.9


@pytest.mark.parametrize("name", ["weibull", "hit", "fused"])
def test_a_family_of_one_changes_nothing(name: str) -> None:
    """One sibling tells nothing of how far a new model may lie from it, and is borne."""
    rng = np.random.default_rng(1)
    only = Family.of([model(name, history(rng, 0.2, 40)).sibling()])
    own = history(rng, 0.0, 6)
    batch = SlotBatch.of(2, run_h=np.array([0.0, 500.0]), h_per_day=5.0, hits=np.array([[np.nan] * 2, [400.0, np.nan]]))
    alone = model(name, own).forecast(batch)
    assert np.array_equal(alone.eol_d, model(name, own, only).forecast(batch).eol_d)
    assert np.array_equal(alone.eol_d, model(name, own, Family.of([])).forecast(batch).eol_d)


def test_siblings_without_an_end_tell_nothing() -> None:
    """Product models that only know what was declared are no family."""
    fresh = Sibling(RATED, WeibullLife.prior(RATED))
    assert Family.of([fresh, fresh, fresh]).life(RATED) is None
    assert Family.of([Sibling(None, None), fresh]).life(RATED) is None


def test_siblings_that_disagree_widen_the_interval_and_are_worth_fewer_failures() -> None:
    """A family whose models live 0.5 to 2 rated lives leaves more open than one whose models live alike."""
    alike, apart = (
        Family.of([sibling(median) for median in medians]).life(RATED)
        for medians in ((0.95, 1.0, 1.0, 1.05), (0.5, 0.8, 1.25, 2.0))
    )
    assert alike is not None
    assert apart is not None
    narrow, wide = (np.ptp(np.log(one.left(np.zeros(1), QUANTILES)[0])) for one in (alike, apart))
    assert wide > 1.5 * narrow
    assert apart.a < alike.a


def test_lives_are_pooled_over_the_rated_life() -> None:
    """Siblings that live 0.7 of what was declared foretell 0.7 of what is declared of the new one."""
    prior = Family.of([sibling(0.7), sibling(0.7)]).life(3.0 * RATED)
    assert prior is not None
    assert pytest.approx(0.7 * 3.0 * RATED, rel=0.05) == prior.left(np.zeros(1), (0.5,))[0, 0]


def test_without_rated_lives_they_are_pooled_in_exposure() -> None:
    """Where a maker declares the calendar only, siblings' lives stand as they are, and give the new one hours."""
    family = Family.of([Sibling(None, sibling(0.7).life), Sibling(None, sibling(0.7).life)])
    timeless = registry.named("weibull")(Declaration(life_h=None, life_d=200.0)).fit(History.of([], []), family)
    assert pytest.approx(0.7 * RATED, rel=0.05) == life_interval(timeless)[1]
    assert timeless.forecast(SlotBatch.of(1, run_h=100.0, h_per_day=5.0)).measured[0]


def test_the_order_of_siblings_does_not_matter() -> None:
    """A family in another order tells the same."""
    members = [sibling(median) for median in (0.6, 0.9, 1.4)]
    assert Family.of(members).life(RATED) == Family.of(members[::-1]).life(RATED)


@pytest.mark.parametrize("ends", [0, 2, 20])
def test_levels_of_a_new_model_start_from_its_family(ends: int) -> None:
    """Over 40 families, a part that crossed its first level is foretold better than alone, and the interval covers."""
    errors, held = [], []
    for seed in range(40):
        rng = np.random.default_rng(7000 + 100 * ends + seed)
        centres = -0.3 + BETWEEN * rng.standard_normal(6)
        family = Family.of([model("hit", history(rng, centre, 30)).sibling() for centre in centres[1:]])
        own, asked = history(rng, centres[0], ends), history(rng, centres[0], 20)
        hits = np.asarray(asked.hits).copy()
        used = hits[:, 0] * 1.01
        hits[:, 1] = np.nan
        batch = SlotBatch.of(20, run_h=used, h_per_day=5.0, h_per_day_sd=0.0, hits=hits)
        truth = (asked.exposure - used) / 5.0
        alone, pooled = model("hit", own).forecast(batch).eol_d, model("hit", own, family).forecast(batch).eol_d
        errors.append([np.abs(pooled[:, 1] - truth).mean(), np.abs(alone[:, 1] - truth).mean()])
        held.append(((truth >= pooled[:, 0]) & (truth <= pooled[:, 2])).mean())
    pooled_error, alone_error = np.mean(errors, axis=0)
    assert pooled_error <= 1.02 * alone_error
    assert ends == 20 or pooled_error < 0.7 * alone_error
    assert 0.7 <= np.mean(held) <= 0.9


@pytest.mark.parametrize("name", ["hit", "fused"])
def test_a_model_that_started_from_its_family_comes_back_from_its_artifact(name: str) -> None:
    """What a family told is in the new model's own numbers; its artifact needs no sibling."""
    rng = np.random.default_rng(3)
    siblings = [model("hit", history(rng, centre, 20)).to_artifact() for centre in (-0.2, 0.0, 0.3)]
    family = registry.family(json.loads(json.dumps(siblings)))
    fresh = model(name, history(rng, 0.1, 2), family)
    batch = SlotBatch.of(1, run_h=500.0, h_per_day=5.0, hits=np.array([[400.0, np.nan]]))
    again = registry.load(json.loads(json.dumps(fresh.to_artifact())))
    assert np.array_equal(fresh.forecast(batch).eol_d, again.forecast(batch).eol_d)


def test_a_prior_worth_many_failures_is_no_end_of_its_own() -> None:
    """A sibling that only repeats what its family told it is not heard; one whose parts have ended is."""
    repeated = Sibling(1000.0, WeibullLife.prior(1000.0, 30.0), ends=0)
    taught = [
        Sibling(1000.0, WeibullLife.prior(1000.0, 0.5), ends=3),
        Sibling(1000.0, WeibullLife.prior(1100.0, 9.0), ends=5),
    ]
    assert Family.of([repeated, repeated]).median is None
    assert Family.of([*taught, repeated]).median == Family.of(taught).median
