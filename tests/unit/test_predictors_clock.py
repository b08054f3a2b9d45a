"""The exposure clock with fitted covariates: what it recovers, what it refuses to learn, what it does to a forecast."""

import functools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize
from scipy.stats import norm

from predictors import aft, registry
from predictors import artifact as artifacts
from predictors.artifact import DamagedArtifact
from predictors.batch import SlotBatch
from predictors.clock import ENOUGH, LEAST_MARGIN, MARGIN, ExposureClock
from predictors.declaration import Declaration
from predictors.history import History
from predictors.predictor import Predictor

DECLARED = Declaration(
    life_h=1000.0,
    life_d=200.0,
    indicator_eol=100.0,
    levels=(10.0, 30.0),
    covariates=("log flow", "log particle size"),
)
BETA = np.array([0.8, -0.4])
CLOCKED = ("weibull", "hit", "fused")


def lives(n: int, seed: int, *, beta: np.ndarray = BETA, sigma: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Life of n parts and the covariates under which they ran."""
    rng = np.random.default_rng(seed)
    z = rng.normal(1.0, 0.5, (n, 2))
    return np.exp(np.log(900.0) - (z - 1.0) @ beta + sigma * rng.standard_normal(n)), z


def history(n: int = 60, seed: int = 1, *, beta: np.ndarray = BETA, **given: Any) -> History:
    """A history of finished parts that crossed two levels, at lives that covariates shortened."""
    life, z = lives(n, seed, beta=beta)
    rng = np.random.default_rng(seed + 1)
    hits = life[:, None] * np.array([0.4, 0.7]) * np.exp(0.03 * rng.standard_normal((n, 2)))
    columns = {"censored": np.zeros(n, dtype=bool), "hits": hits, "days": life / 5.0, "covariates": z} | given
    return History.of(life, columns.pop("censored"), **columns)


@functools.cache
def fitted(name: str) -> Predictor:
    """A model that has learned from sixty parts."""
    return registry.named(name)(DECLARED).fit(history(60))


def censored_lives(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log exposure, who still runs (three in five), and covariates about their mean."""
    life, z = lives(n, seed)
    stop = np.exp(np.log(780.0) + 0.5 * np.random.default_rng(seed + 7).standard_normal(n))
    return np.log(np.minimum(life, stop)), stop < life, z - 1.0


def test_exponents_are_recovered_where_three_in_five_still_run() -> None:
    """Over 40 simulated fleets beta lies within one standard error two times in three, within two nearly always."""
    off = []
    for seed in range(40):
        log_x, running, z = censored_lives(400, seed)
        assert 0.5 < running.mean() < 0.7
        law = aft.fit(log_x, running, z)
        off.append((law.beta - BETA) / law.beta_sd)
    standardised = np.abs(np.array(off))
    assert 0.55 < (standardised < 1.0).mean() < 0.8
    assert 0.9 < (standardised < 2.0).mean()
    assert abs(np.mean(off)) < 0.35


def test_the_regression_is_scipys_maximum_likelihood() -> None:
    """With next to no prior, location, spread and exponents are those of a direct search with scipy's normal."""
    log_x, running, z = censored_lives(2000, 3)

    def loss(theta: np.ndarray) -> float:
        location, scale = theta[0] - z @ theta[1:3], np.exp(theta[3])
        ended = norm.logpdf(log_x[~running], location[~running], scale).sum()
        return -float(ended + norm.logsf(log_x[running], location[running], scale).sum())

    direct = minimize(loss, [6.5, 0.0, 0.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-7, "maxiter": 4000}).x
    law = aft.fit(log_x, running, z, tau=100.0)
    assert pytest.approx(direct[1:3], abs=0.02 * float(law.beta_sd.min())) == law.beta
    assert pytest.approx(direct[0], abs=1e-3) == law.mu
    assert pytest.approx(np.exp(direct[3]), rel=2e-3) == law.sigma


def test_the_prior_shrinks_what_few_ends_tell() -> None:
    """With six ends an exponent lies nearer to zero under a tight prior than under a wide one."""
    life, z = lives(6, 2)
    running = np.zeros(6, dtype=bool)
    wide, tight = (aft.fit(np.log(life), running, z - 1.0, tau=tau).beta for tau in (10.0, 0.05))
    assert np.abs(tight).max() < 0.2 * np.abs(wide).max()


def test_nothing_is_learned_where_nothing_ended() -> None:
    """Running parts alone cannot tell a long life from a slow clock."""
    with pytest.raises(ValueError, match="at least one cycle that ended"):
        aft.fit(np.zeros(3), np.ones(3, dtype=bool), np.ones((3, 1)))


def test_the_clock_takes_in_what_wears_and_leaves_out_what_does_not() -> None:
    """Of two covariates the one that does nothing keeps the exponent zero; the other is found."""
    clock = ExposureClock.learn(history(200, beta=np.array([0.7, 0.0])))
    assert clock is not None
    assert pytest.approx(0.7, abs=0.08) == clock.beta[0]
    assert 0.0 == clock.beta[1]


@pytest.mark.parametrize(
    "given",
    [
        {"covariates": np.ones((60, 2))},
        {"covariates": np.full((60, 2), np.nan)},
        {"censored": np.arange(60) >= ENOUGH - 1},
        {"censored": np.ones(60, dtype=bool)},
    ],
)
def test_the_clock_stays_as_declared_where_nothing_can_be_learned(given: dict[str, Any]) -> None:
    """A covariate that never varies or was never seen, and a handful of ends, leave beta at zero."""
    clock = ExposureClock.learn(history(**given))
    assert clock is not None
    assert [0.0, 0.0] == clock.beta.tolist()
    assert [1.0, 1.0] == clock.ratio(np.array([[0.0, 0.0], [5.0, 5.0]]), 2).tolist()


def test_noise_seldom_makes_a_clock() -> None:
    """Of 50 fleets of 15 parts whose covariates do nothing, at most one covariate in five is taken in."""
    taken = 0
    for seed in range(50):
        clock = ExposureClock.learn(history(15, seed, beta=np.zeros(2)))
        taken += 0 if clock is None else int((clock.beta != 0).sum())
    assert 20 >= taken


def test_what_is_missing_counts_as_the_reference() -> None:
    """A slot of which no covariate is known runs on the declared clock."""
    clock = ExposureClock.learn(history())
    assert clock is not None
    assert [1.0] == clock.ratio(np.full((1, 2), np.nan), 1).tolist()
    assert [1.0] == clock.ratio(None, 1).tolist()


def test_a_covariate_never_seen_like_that_is_cut_and_flagged() -> None:
    """Outside the range seen plus a quarter of it the clock goes no further, and the slot is strange."""
    clock = ExposureClock.learn(history())
    assert clock is not None
    edge = clock.high + np.maximum(MARGIN * (clock.high - clock.low), LEAST_MARGIN)
    table = np.vstack([clock.high, edge, edge + 5.0])
    assert [False, False, True] == clock.strange(table, 3).tolist()
    ratio = clock.ratio(table, 3)
    assert ratio[1] == ratio[2]
    batch = SlotBatch.of(3, run_h=100.0, covariates=table)
    assert [0.0, 0.0, 1.0] == np.asarray(clock.batch(batch).novel).tolist()


@pytest.mark.parametrize("name", CLOCKED)
def test_a_part_under_harsher_conditions_ends_sooner(name: str) -> None:
    """The same hours at twice the flow wear 2^0.8 times as much, and the date moves by about that."""
    model = fitted(name)
    mild, harsh = (
        SlotBatch.of(1, run_h=100.0, h_per_day=5.0, h_per_day_sd=0.1, covariates=np.array([[flow, 1.0]]))
        for flow in (1.0, 1.0 + np.log(2.0))
    )
    one, two = (100.0 / 5.0 + model.forecast(batch).eol_d[0, 1] for batch in (mild, harsh))
    assert pytest.approx(2.0**0.8, rel=0.1) == one / two


def test_recent_covariates_rule_what_comes_and_the_mean_what_was() -> None:
    """A part that has come into harsher air has used no more, but will use more a day."""
    model = registry.named("weibull")(DECLARED).fit(history(200))
    columns: dict[str, Any] = {"run_h": 300.0, "h_per_day": 5.0, "h_per_day_sd": 0.1, "covariates": np.ones((1, 2))}
    same = model.forecast(SlotBatch.of(1, **columns))
    harsher = model.forecast(SlotBatch.of(1, **columns, covariates_recent=np.array([[1.0 + np.log(2.0), np.nan]])))
    assert pytest.approx(2.0**0.8, rel=0.1) == same.eol_d[0, 1] / harsher.eol_d[0, 1]
    assert same.drivers["clock_ratio"][0] == harsher.drivers["clock_ratio"][0]


def test_the_hours_timer_knows_no_covariates() -> None:
    """The baseline counts hours and nothing else, whatever wears the part."""
    model = registry.named("rated")(DECLARED).fit(history(200))
    assert model.clock is None
    batch = SlotBatch.of(2, run_h=100.0, h_per_day=5.0, covariates=np.array([[0.0, 1.0], [2.0, 1.0]]))
    forecasts = model.forecast(batch)
    assert forecasts.eol_d[0, 1] == forecasts.eol_d[1, 1]
    assert np.isnan(forecasts.drivers["clock_ratio"]).all()


@pytest.mark.parametrize("name", CLOCKED)
def test_more_wear_never_lengthens_life_on_a_fitted_clock(name: str) -> None:
    """Under any covariates, known or not, a part that has run longer ends no later."""
    rng = np.random.default_rng(4)
    model = fitted(name)
    z = np.where(rng.random((40, 2)) < 0.2, np.nan, rng.normal(1.0, 2.0, (40, 2)))
    before = None
    for hours in np.linspace(0.0, 4000.0, 12):
        hits = np.tile([200.0, np.nan], (40, 1)) if hours >= 200.0 else np.full((40, 2), np.nan)
        batch = SlotBatch.of(40, run_h=hours, h_per_day=5.0, covariates=z, hits=hits)
        after = model.forecast(batch, (0.1, 0.5, 0.9)).eol_d
        assert (np.diff(after, axis=1) >= 0).all()
        if before is not None and hours != 200.0 and not (hits[0, 0] == 200.0 and hours < 340.0):
            assert (after <= before * (1 + 1e-6) + 1e-6).all()
        before = after


def test_shares_of_exposure_by_covariate_make_up_what_the_clock_added() -> None:
    """The shares of all covariates sum to 1 - 1/ratio; one that spared the part has a share below zero."""
    model = registry.named("weibull")(DECLARED).fit(history(200))
    batch = SlotBatch.of(2, run_h=100.0, h_per_day=5.0, covariates=np.array([[1.8, 1.8], [np.nan, np.nan]]))
    drivers = model.forecast(batch).drivers
    flow, size = drivers["clock_share log flow"], drivers["clock_share log particle size"]
    assert pytest.approx(1.0 - 1.0 / drivers["clock_ratio"]) == flow + size
    assert size[0] < 0 < flow[0]
    assert [0.0, 1.0] == [flow[1], drivers["clock_ratio"][1]]


@pytest.mark.parametrize("name", CLOCKED)
def test_the_order_of_cycles_does_not_matter_to_the_clock(name: str) -> None:
    """A history in another order teaches the same exponents and dates."""
    whole = history(40, groups=np.arange(40) % 13)
    order = np.random.default_rng(5).permutation(40)
    given = (whole.exposure, whole.censored, whole.groups, whole.hits, whole.days, whole.covariates)
    exposure, censored, groups, hits, days, z = (np.asarray(column)[order] for column in given)
    shuffled = History.of(exposure, censored, groups=groups, hits=hits, days=days, covariates=z)
    one, two = (registry.named(name)(DECLARED).fit(each) for each in (whole, shuffled))
    assert one.clock is not None
    assert two.clock is not None
    assert (one.clock.beta != 0).any()
    assert np.array_equal(one.clock.beta, two.clock.beta)


@pytest.mark.parametrize("name", CLOCKED)
def test_a_clock_comes_back_from_its_artifact(name: str) -> None:
    """What comes back from JSON forecasts to the last bit what was written, and an artifact of before still reads."""
    model = fitted(name)
    again = registry.load(json.loads(json.dumps(model.to_artifact())))
    batch = SlotBatch.of(1, run_h=200.0, covariates=np.array([[2.0, np.nan]]), hits=np.array([[150.0, np.nan]]))
    assert np.array_equal(model.forecast(batch).eol_d, again.forecast(batch).eol_d)
    assert DECLARED == again.declaration


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        ([1.0], "not a set of numbers"),
        ({"beta": [1.0]}, "cannot be read"),
        ({"beta": ["x"], "reference": [0.0], "low": [0.0], "high": [1.0]}, "cannot be read"),
        ({"beta": [1.0], "reference": [0.0], "low": [0.0], "high": [1.0]}, "does not fit 2 declared"),
        ({"beta": [1e9, 0], "reference": [0, 0], "low": [0, 0], "high": [1, 1]}, "cannot be"),
        ({"beta": [1, 0], "reference": [0, 5], "low": [0, 0], "high": [1, 1]}, "cannot be"),
        ({"beta": [1, 0], "reference": [0, 0], "low": [None, 0], "high": [None, 1]}, "cannot be"),
    ],
)
def test_a_clock_that_cannot_be_is_refused(clock: Any, reason: str) -> None:
    """Damaged exponents never forecast, even under a hash that matches."""
    model = registry.named("weibull")(DECLARED).fit(history())
    learned = model.to_artifact()["learned"] | {"clock": clock}
    with pytest.raises(DamagedArtifact, match=reason):
        registry.load(artifacts.seal("weibull", DECLARED, learned))


def test_covariates_that_are_not_those_declared_are_refused() -> None:
    """A table of another width, and a name that is none or stands twice, are the caller's mistakes."""
    with pytest.raises(ValueError, match="3 columns, 2 are declared"):
        registry.named("weibull")(DECLARED).fit(History.of([1.0], [False], covariates=np.ones((1, 3))))
    with pytest.raises(ValueError, match="1 columns, 2 are declared"):
        registry.named("weibull")(DECLARED).forecast(SlotBatch.of(1, run_h=1.0, covariates=np.ones((1, 1))))
    with pytest.raises(ValueError, match="each declared once"):
        Declaration(1.0, 1.0, covariates=("log flow", "log flow"))
    with pytest.raises(ValueError, match="covariates has shape"):
        History.of([1.0, 2.0], [True, False], covariates=[1.0, 2.0])


def test_covariates_may_be_negative_and_nothing_else_may() -> None:
    """A logarithm below zero is known; infinity is not."""
    batch = SlotBatch.of(2, run_h=np.array([-1.0, 1.0]), covariates=np.array([[-3.0], [np.inf]]))
    assert batch.covariates is not None
    assert -3.0 == batch.covariates[0, 0]
    assert np.isnan(batch.covariates[1, 0])
    assert np.isnan(batch.run_h[0])


@given(
    z=hnp.arrays(np.float64, (12, 2), elements=st.floats(allow_nan=True, allow_infinity=True)),
    ends=hnp.arrays(np.float64, 12, elements=st.floats(allow_nan=True, allow_infinity=True)),
    censored=hnp.arrays(np.bool_, 12),
)
@settings(max_examples=60)
def test_any_covariates_teach_a_clock_and_get_a_forecast(z: np.ndarray, ends: np.ndarray, censored: np.ndarray) -> None:
    """Absurd, infinite and missing covariates raise nothing, in a history as in a batch."""
    learned = registry.named("weibull")(DECLARED).fit(History.of(ends, censored, covariates=z))
    for model in (learned, fitted("weibull")):
        forecasts = model.forecast(SlotBatch.of(12, run_h=ends, age_d=50.0, covariates=z, covariates_recent=z[::-1]))
        assert np.isfinite(forecasts.eol_d).all()
        assert (np.diff(forecasts.eol_d, axis=1) >= 0).all()
