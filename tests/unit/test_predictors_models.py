"""The models by name: what a forecast says, artifacts, estimators."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from predictors import artifact as artifacts
from predictors import registry
from predictors.artifact import DamagedArtifact
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.drivers import DRIVERS
from predictors.estimators import HitRegressor, WeibullRegressor
from predictors.fused import Fused
from predictors.history import History
from predictors.predictor import Predictor

DECLARED = Declaration(life_h=1000.0, life_d=200.0)
KNEE = Declaration(life_h=1000.0, life_d=200.0, indicator_eol=100.0, levels=(10.0, 30.0))


def history(n: int = 40) -> History:
    rng = np.random.default_rng(1)
    life = 900.0 * rng.weibull(5.0, n)
    hits = life[:, None] * np.array([0.4, 0.7]) * np.exp(0.03 * rng.standard_normal((n, 2)))
    return History.of(life, np.zeros(n, dtype=bool), hits=hits, days=life / 5.0)


@cache
def trees_and_all() -> Predictor:
    """A fused model that has learned from levels and looks of forty parts."""
    past = history()
    at = past.exposure[:, None] * np.linspace(0.02, 0.98, 50)
    share = np.tile(np.linspace(0.02, 0.98, 50), (40, 1)) ** 2
    return registry.named("fused")(KNEE).fit(
        replace(past, looks=np.stack([at, share, share, share, share / 3], axis=-1))
    )


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    """A slot that names a model which does not exist learns which do."""
    with pytest.raises(LookupError, match="calendar, fused, hit, rated, weibull"):
        registry.named("oracle")


def test_a_new_part_ends_at_the_rated_life_over_the_units_use() -> None:
    """With no history, 1000 h at 5 h a day are 200 days in the median."""
    batch = SlotBatch.of(1, run_h=0.0, age_d=0.0, h_per_day=5.0, h_per_day_sd=0.0)
    forecasts = registry.named("weibull")(DECLARED).forecast(batch)
    assert pytest.approx(200.0, rel=0.01) == forecasts.eol_d[0, 1]
    assert pytest.approx(100.0) == forecasts.pct_left[0]
    assert forecasts.measured[0]


def test_a_unit_without_telemetry_gets_a_calendar_forecast_flagged_estimated() -> None:
    """NaN beside a measured slot gives the date by age and never an exception."""
    batch = SlotBatch.of(2, run_h=np.array([500.0, np.nan]), age_d=100.0, h_per_day=np.array([5.0, np.nan]))
    blind = SlotBatch.of(1, age_d=100.0)
    calendar = registry.named("calendar")(DECLARED).forecast(blind)
    for name in ("rated", "weibull", "hit", "fused"):
        forecasts = registry.named(name)(KNEE).forecast(batch)
        assert [True, False] == forecasts.measured.tolist()
        assert np.array_equal(calendar.eol_d[0], forecasts.eol_d[1])
    assert not calendar.measured[0]


def test_a_slot_declared_by_the_calendar_only_is_estimated_until_cycles_teach_hours() -> None:
    """Without rated hours a counter tells nothing; after a history it does."""
    timeless = Declaration(life_h=None, life_d=200.0)
    batch = SlotBatch.of(1, run_h=450.0, age_d=90.0, h_per_day=5.0)
    assert not registry.named("weibull")(timeless).forecast(batch).measured[0]
    taught = registry.named("weibull")(timeless).fit(history()).forecast(batch)
    assert taught.measured[0]
    assert 50.0 < taught.eol_d[0, 1] < 110.0


def test_dusty_air_shortens_life_and_the_drivers_say_so() -> None:
    """The same hours at 1.5 times the reference load end sooner; a third of the exposure is the load's."""
    clean, dusty = (
        SlotBatch.of(1, run_h=400.0, load_h=400.0 * ratio, load_per_h=ratio, h_per_day=5.0, age_d=80.0)
        for ratio in (1.0, 1.5)
    )
    model = registry.named("weibull")(DECLARED)
    assert model.forecast(dusty).eol_d[0, 1] < 0.75 * model.forecast(clean).eol_d[0, 1]
    drivers = model.forecast(dusty).drivers
    assert set(DRIVERS) == set(drivers)
    assert pytest.approx(1.5) == drivers["load_ratio"][0]
    assert pytest.approx(1 / 3) == drivers["load_share"][0]
    assert pytest.approx(2 / 3) == drivers["use_share"][0]
    assert pytest.approx(1.0) == drivers["recent_use"][0]


def test_the_hours_timer_is_blind_to_load() -> None:
    """The baseline counts hours and nothing else."""
    model = registry.named("rated")(DECLARED)
    plain = SlotBatch.of(1, run_h=400.0, h_per_day=5.0)
    loaded = SlotBatch.of(1, run_h=400.0, h_per_day=5.0, load_h=900.0, load_per_h=3.0, left_pct=1.0)
    assert np.array_equal(model.forecast(plain).eol_d, model.forecast(loaded).eol_d)


def test_the_units_own_report_weighs_less_the_more_the_fleet_has_taught() -> None:
    """A report is worth four failures: half the word at first, little after many."""
    batch = SlotBatch.of(1, run_h=200.0, h_per_day=5.0, left_pct=20.0, age_d=40.0)
    fresh = registry.named("weibull")(DECLARED)
    taught = registry.named("weibull")(DECLARED).fit(history(400))
    assert pytest.approx(0.5) == fresh.forecast(batch).drivers["report_weight"][0]
    assert taught.forecast(batch).drivers["report_weight"][0] < 0.02
    silent = SlotBatch.of(1, run_h=200.0, h_per_day=5.0, age_d=40.0)
    assert fresh.forecast(batch).eol_d[0, 1] < fresh.forecast(silent).eol_d[0, 1]


def test_a_report_that_sets_the_clock_is_not_counted_twice() -> None:
    """Where only the unit's own percentage is known it stands in for the hours, with no further weight."""
    told = registry.named("weibull")(DECLARED).forecast(SlotBatch.of(1, left_pct=50.0, h_per_day=5.0))
    counted = registry.named("weibull")(DECLARED).forecast(SlotBatch.of(1, run_h=500.0, h_per_day=5.0))
    assert np.array_equal(counted.eol_d, told.eol_d)
    assert told.measured[0]
    assert 0.0 == told.drivers["report_weight"][0]


def test_silence_is_counted_as_use_in_what_is_left() -> None:
    """After silent days less is left than at the last word."""
    heard, silent = (SlotBatch.of(1, run_h=500.0, h_per_day=5.0, silent_d=days) for days in (0.0, 20.0))
    model = registry.named("weibull")(DECLARED)
    assert model.forecast(silent).pct_left[0] < model.forecast(heard).pct_left[0]


def test_a_fleet_that_wears_faster_than_declared_moves_the_date() -> None:
    """Forty ends at about 830 h pull the median of a 1000 h part there."""
    batch = SlotBatch.of(1, run_h=0.0, age_d=0.0, h_per_day=5.0, h_per_day_sd=0.0)
    forecasts = registry.named("weibull")(DECLARED).fit(history()).forecast(batch)
    assert pytest.approx(835.0 / 5.0, rel=0.06) == forecasts.eol_d[0, 1]


def test_the_median_use_of_the_fleet_stands_in_for_a_unit_that_tells_none() -> None:
    """A unit of unknown use is expected to be used as the fleet is, not as was declared."""
    twice = History.of(np.full(200, 1000.0), np.zeros(200, dtype=bool), days=np.full(200, 100.0))
    assert pytest.approx(10.0, rel=0.02) == registry.named("weibull")(DECLARED).fit(twice).per_day


@pytest.mark.parametrize("name", list(registry.MODELS))
def test_an_artifact_is_plain_json_and_forecasts_the_same(name: str) -> None:
    """What comes back from JSON forecasts to the last bit what was written."""
    model = registry.named(name)(KNEE).fit(history())
    again = registry.load(json.loads(json.dumps(model.to_artifact())))
    batch = SlotBatch.of(2, run_h=np.array([600.0, np.nan]), age_d=120.0, hits=np.array([[300.0, 550.0], [np.nan] * 2]))
    assert np.array_equal(model.forecast(batch).eol_d, again.forecast(batch).eol_d)
    assert model.to_artifact() == again.to_artifact()


def test_an_artifact_with_trees_is_plain_json_of_a_bounded_size() -> None:
    """Trees come back to the last bit; a hundred trees of forty parts are below four megabytes."""
    model = trees_and_all()
    text = json.dumps(model.to_artifact())
    again = registry.load(json.loads(text))
    assert isinstance(again, Fused)
    assert again.learner is not None
    rng = np.random.default_rng(8)
    used = rng.uniform(0.0, 1500.0, 40)
    hits = used[:, None] * rng.uniform(0.2, 1.2, (40, 2))
    reads = np.column_stack([0.98 * used, *rng.uniform(0.0, 0.9, (4, 40))])
    batch = SlotBatch.of(40, run_h=used, age_d=used / 5.0, hits=hits, reads=reads)
    assert np.array_equal(model.forecast(batch).eol_d, again.forecast(batch).eol_d)
    assert model.to_artifact() == again.to_artifact()
    assert len(text) < 4_000_000


@pytest.mark.parametrize("damage", ["trees", "scale", "levels"])
def test_sealed_trees_that_cannot_be_are_refused(damage: str) -> None:
    """Under a hash that matches: trees that lead nowhere, a life of nothing, trees of another number of levels."""
    learned = json.loads(json.dumps(trees_and_all().to_artifact()["learned"]))
    if damage == "trees":
        learned["learner"]["forest"]["left"][0] = -1
    elif damage == "scale":
        learned["learner"]["scale"] = 0.0
    else:
        learned["learner"]["way"].append(0.1)
    with pytest.raises(DamagedArtifact):
        registry.load(artifacts.seal("fused", KNEE, learned))


@pytest.mark.parametrize("written", ["trees", [1.0], 5])
def test_a_learner_that_is_none_is_refused(written: object) -> None:
    """A word, a list or a number where trees should be is a damaged artifact and no other error."""
    learned = trees_and_all().to_artifact()["learned"] | {"learner": written}
    with pytest.raises(DamagedArtifact):
        registry.load(artifacts.seal("fused", KNEE, learned))


def test_trees_without_their_law_are_refused() -> None:
    """Trees are weighed with the levels' law: an artifact that lost it must not fall back unsaid."""
    learned = trees_and_all().to_artifact()["learned"] | {"crossing": None}
    with pytest.raises(DamagedArtifact, match="without"):
        registry.load(artifacts.seal("fused", KNEE, learned))


def damaged() -> list[Any]:
    whole = registry.named("hit")(KNEE).fit(history()).to_artifact()
    without_law = json.loads(json.dumps(whole))
    without_law["learned"]["life"]["shape"] = 9.0
    return [
        pytest.param({}, "names no wear model", id="empty"),
        pytest.param(whole | {"name": "oracle"}, "names no wear model", id="unknown name"),
        pytest.param(whole | {"name": "weibull"}, "sha256", id="another name"),
        pytest.param(whole | {"format": 2}, "format 2", id="newer format"),
        pytest.param(without_law, "sha256", id="changed number"),
        pytest.param({k: v for k, v in whole.items() if k != "learned"}, "lacks 'learned'", id="missing part"),
        pytest.param({k: v for k, v in whole.items() if k != "sha256"}, "lacks 'sha256'", id="no hash"),
        pytest.param(whole | {"learned": {"x": float("nan")}}, "cannot be read", id="not JSON"),
    ]


@pytest.mark.parametrize(("artifact", "reason"), damaged())
def test_a_damaged_artifact_is_refused_with_its_reason(artifact: dict[str, Any], reason: str) -> None:
    """A model that was cut, changed or renamed never forecasts."""
    with pytest.raises(DamagedArtifact, match=reason):
        registry.load(artifact)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"age": None}, "calendar model"),
        ({"life": {"rated": 1.0, "shape": 0.5, "a": 4.0, "b": 5.0}}, "shape above 1"),
        ({"life": {"rated": -1.0, "shape": 3.0, "a": 4.0, "b": 5.0}}, "above zero"),
        ({"life": {"rated": "x", "shape": 3.0, "a": 4.0, "b": 5.0}}, "not a number"),
        ({"life": [1.0]}, "not a set of numbers"),
        ({"crossing": {"mean": [1.0]}}, "cannot be read"),
        ({"crossing": {"mean": [1.0], "covariance": [[1.0]], "widening": [1.0]}}, "does not fit 2 declared levels"),
        (
            {"crossing": {"mean": [1.0] * 3, "covariance": [[1.0] * 3] * 3, "widening": [1.0] * 3}},
            "no covariance",
        ),
    ],
)
def test_sealed_nonsense_is_refused(change: dict[str, Any], reason: str) -> None:
    """Numbers that no model can have are refused even under a hash that matches."""
    model = registry.named("hit")(KNEE).fit(history())
    learned = model.to_artifact()["learned"] | change
    with pytest.raises(DamagedArtifact, match=reason):
        registry.load(artifacts.seal("hit", KNEE, learned))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"life_h": 0.0, "life_d": 1.0}, "life_h must be a positive number"),
        ({"life_h": 1.0, "life_d": float("nan")}, "life_d must be a positive number"),
        ({"life_h": 1.0, "life_d": 1.0, "levels": (1.0,)}, "without indicator_eol"),
        ({"life_h": 1.0, "life_d": 1.0, "indicator_eol": 5.0, "levels": (6.0,)}, None),
        ({"life_h": 1.0, "life_d": 1.0, "indicator_eol": 5.0, "levels": (1.0, 3.0, 2.0)}, "run one way"),
        ({"life_h": 1.0, "life_d": 1.0, "indicator_eol": 5.0, "levels": (3.0, 6.0)}, "run one way"),
        ({"life_h": 1.0, "life_d": 1.0, "indicator_eol": -5.0}, "needs its levels declared"),
        ({"life_h": 1.0, "life_d": 1.0, "indicator_eol": float("inf")}, "indicator_eol must be a number"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(arguments: dict[str, Any], reason: str | None) -> None:
    """A declaration says what is wrong with it; a falling indicator is none of that."""
    if reason is None:
        assert Declaration(**arguments).falling
        return
    with pytest.raises(ValueError, match=reason):
        Declaration(**arguments)


def test_columns_that_do_not_fit_each_other_are_refused() -> None:
    """A batch or history of unequal columns is a mistake of the caller's."""
    with pytest.raises(ValueError, match="load_h has shape"):
        SlotBatch(*(np.zeros(2 if i != 1 else 3) for i in range(9)))
    with pytest.raises(ValueError, match="censored has shape"):
        History.of([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="hits has shape"):
        History.of([1.0, 2.0], [True, False], hits=[1.0, 2.0])
    with pytest.raises(ValueError, match="3 levels, 2 are declared"):
        registry.named("hit")(KNEE).fit(History.of([1.0, 2.0], [True, False], hits=np.ones((2, 3))))


@pytest.mark.parametrize("quantiles", [(), (0.5, 0.1), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5)])
def test_quantiles_must_ascend_within_zero_and_one(quantiles: tuple[float, ...]) -> None:
    """Anything else is refused before any work is done."""
    with pytest.raises(ValueError, match="ascend"):
        registry.named("rated")(DECLARED).forecast(SlotBatch.of(1, run_h=1.0), quantiles)


def test_the_estimators_take_censored_units() -> None:
    """predict_quantiles of the estimators counts units still running, and needs a fit."""
    rng = np.random.default_rng(4)
    life = 500.0 * rng.weibull(4.0, 300)
    now = np.minimum(life, 450.0)
    table = np.column_stack([now, life * 0.5, life * 0.8])
    table[:, 1:] = np.where(table[:, 1:] <= now[:, None], table[:, 1:], np.nan)
    for estimator in (WeibullRegressor(), HitRegressor()):
        with pytest.raises(NotFittedError):
            estimator.predict(np.zeros((1, 1)))
        x = table if isinstance(estimator, HitRegressor) else now[:, None]
        ends = estimator.fit(x, now, censored=life > now).predict_quantiles(x, (0.1, 0.5, 0.9))
        assert (ends[:, 0] >= now - 1e-9).all()
        assert (np.diff(ends, axis=1) >= 0).all()
    half = np.array([[260.0, 250.0, np.nan]])
    assert pytest.approx(500.0, rel=0.03) == estimator.predict(half)[0]
