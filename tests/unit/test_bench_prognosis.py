"""Metrics of prognosis against values worked out by hand, and against a model that was made wrong on purpose."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.bench import evaluate, prognosis, scores
from gateway.bench.backtest import GRID, Backtest, backtest
from gateway.bench.contender import recipe, version
from gateway.bench.record import Record
from gateway.replenish import way
from predictors.registry import named
from tests import bench_field

TENTH = np.array([q - 0.5 for q in GRID]) * 20.0  # an even forecast from 9 days before its middle to 9 after


def about(*middles: float) -> np.ndarray:
    """Forecasts (k, 19) that lie evenly within ± 10 days of their middles."""
    return np.array(middles)[:, None] + TENTH


def test_near_is_half_of_the_probability_within_a_cone() -> None:
    """By hand: with 50 days left the cone is 100 ± 10, with 20 left ± 4; ± 5 holds half of a forecast of ± 10."""
    end, left = np.full(6, 100.0), np.array([50.0, 50.0, 50.0, 25.0, 24.0, 50.0])
    said = about(100.0, 109.0, 111.0, 100.0, 100.0, 91.0)
    # Shares within: 0.95 (of either tail beyond 5 and 95 % one half counts), 0.525, 0.425, 0.5, 0.48, 0.525.
    assert [True, True, False, True, False, True] == prognosis.in_cone(said, end, left).tolist()


def test_the_band_of_the_horizon_does_not_close() -> None:
    """Of a life of 100 days it is ± 10 throughout, however little is left."""
    assert [True, True] == prognosis.in_band(about(100.0, 100.0), np.full(2, 100.0), np.full(2, 100.0)).tolist()
    assert [True, False] == prognosis.in_band(about(109.0, 111.0), np.full(2, 100.0), np.full(2, 100.0)).tolist()


def test_horizons_by_hand() -> None:
    """Near at 80 days before, far at 60, near at 40 and 20: horizon 80, steady since 40; never near: none."""
    cycle = np.array([7, 7, 7, 7, 9, 9])
    left = np.array([80.0, 60.0, 40.0, 20.0, 50.0, 10.0])
    near = np.array([True, False, True, True, False, False])
    cycles, first, steady = prognosis.horizons(cycle, left, near)
    assert ([7, 9], [80.0, 0.0], [40.0, 0.0]) == (cycles.tolist(), first.tolist(), steady.tolist())


def test_a_last_word_that_is_far_leaves_no_steady_horizon() -> None:
    """Near once and wrong at the end is no forecast that one could have relied on."""
    _, first, steady = prognosis.horizons(np.zeros(2, dtype=np.int64), np.array([30.0, 5.0]), np.array([True, False]))
    assert (30.0, 0.0) == (first[0], steady[0])


def test_prognosis_by_hand() -> None:
    """Two lives of 100 days, the second standing for three: horizons, the share without one, relative accuracy."""
    # First: 80 left, 16 off (1 - 16/80 = 0.8); 50 left, 5 off (0.9); 5 left, 5 off, which is beyond 90 % of life.
    # Second: 40 left, 60 off (1 - 60/40 = -0.5).
    said = about(116.0, 95.0, 105.0, 160.0)
    found = prognosis.prognosis(
        said, np.full(4, 100.0), np.array([80.0, 50.0, 5.0, 40.0]), np.full(4, 100.0),
        cycle=np.array([0, 0, 0, 1]), weight=np.array([1.0, 1.0, 1.0, 3.0]),
    )  # fmt: skip
    assert (2, 12.5, 0.125, 12.5, 0.75) == (
        found.cycles, found.horizon_d, found.horizon_share, found.steady_horizon_d, found.never,
    )  # fmt: skip
    assert (0.85 - 3 * 0.5) / 4 == pytest.approx(found.relative_accuracy)


def test_nothing_judged_is_no_number() -> None:
    """Without a forecast there is no metric, and no error either."""
    none = np.empty(0)
    found = prognosis.prognosis(np.empty((0, 19)), none, none, none, cycle=none.astype(int), weight=none)
    assert 0 == found.cycles
    assert np.isnan(found.horizon_d)


@pytest.fixture(scope="module")
def record() -> Record:
    return bench_field.record_of(bench_field.field())


def test_a_model_made_worse_is_found_out_by_each_metric(record: Record) -> None:
    """The planted fault: every date of a sound model put off by a third of what is left."""
    said = backtest(record, recipe("hit"), [250.0])
    made = record.snapshots.made_d[said.rows]
    late = replace(said, eol_d=made[:, None] + 1.33 * (said.eol_d - made[:, None]))
    sound, broken = (scores.foresight(record, scores.judge(record, each)) for each in (said, late))
    assert sound.horizon_d > broken.horizon_d + 5
    assert sound.steady_horizon_share > broken.steady_horizon_share + 0.1
    assert sound.relative_accuracy > broken.relative_accuracy + 0.1
    fine, bad = (scores.scores(record, scores.judge(record, each)) for each in (said, late))
    assert fine[0].alpha_lambda > bad[0].alpha_lambda + 0.3
    assert [score.group for score in fine] == [score.group for score in bad]


def test_the_truth_itself_has_every_metric_at_its_best(record: Record) -> None:
    """A forecast of the very end: accuracy one, a horizon from the first forecast on, steady, in every part of life."""
    said = backtest(record, recipe("rated"), [0.0])
    end = record.end_d[record.snapshots.cycle[said.rows]]
    exact = replace(said, eol_d=np.repeat(end[:, None], len(GRID), axis=1), order_d=end)
    judged = scores.judge(record, exact)
    found = scores.foresight(record, judged)
    assert (1.0, 0.0) == (pytest.approx(found.relative_accuracy), found.never)
    assert found.horizon_d == pytest.approx(found.steady_horizon_d)
    table = scores.scores(record, judged)
    assert {1.0} == {round(score.alpha_lambda, 9) for score in table}
    assert {0.0} == {round(score.mae_d, 9) for score in table}


def test_a_forecast_that_stood_would_have_cost_this() -> None:
    """By hand: asked a delivery (3 d) before the order date, ten days early; too late by half, the end asks itself."""
    looks = tuple((day, {"run_h": 8.0 * day, "indicator": 1.0}) for day in (10.0, 60.0, 90.0))
    worn = [bench_field.Worn(0, 0.0, 100.0, 100.0, {"censored": False, "witnessed": True}, looks)]
    record = bench_field.record_of(worn, 200.0)
    grid = np.repeat(np.linspace(60, 120, len(GRID))[None, :], 3, axis=0)
    order = np.array([90.0, 150.0, 102.0])
    said = Backtest("x", "x", GRID, np.arange(3), grid, order, np.ones(3, dtype=bool), np.zeros(3))
    found = {score.group: score for score in scores.scores(record, scores.judge(record, said))}
    by_life = [found[f"life {low}"] for low in ("0.0-0.2", "0.6-0.8", "0.8-1.0")]
    assert [10.0, 0.0, 0.0] == [score.early_d for score in by_life]
    assert [0.0, 3.0, 2.0] == [score.late_d for score in by_life]
    assert [0.0, 1.0, 0.0] == [score.late_rate for score in by_life]
    assert [0.0, 1.0, 1.0] == [score.stock_out_rate for score in by_life]
    assert [10.0, 12.0, 8.0] == [score.cost for score in by_life]
    assert (10 + 12 + 8) / 3 == pytest.approx(found["all"].cost)


def test_the_pit_of_a_group_is_that_of_its_own_ends() -> None:
    """By hand: three forecasts of an end at 100, which lies in the first, the seventh and the last tenth of them."""
    looks = tuple((day, {"run_h": 8.0 * day, "indicator": 1.0}) for day in (10.0, 30.0, 70.0))
    worn = [bench_field.Worn(0, 0.0, 100.0, 100.0, {"censored": False, "witnessed": True}, looks)]
    record = bench_field.record_of(worn, 200.0)
    grid = about(150.0, 97.0, 50.0)
    said = Backtest("x", "x", GRID, np.arange(3), grid, grid[:, 3], np.ones(3, dtype=bool), np.zeros(3))
    found = {score.group: score.pit for score in scores.scores(record, scores.judge(record, said))}
    tenth = {name: np.flatnonzero(pit).tolist() for name, pit in found.items()}
    assert ([0], [6], [9]) == tuple(tenth[f"life {low}"] for low in ("0.0-0.2", "0.2-0.4", "0.6-0.8"))
    assert [0, 6, 9] == tenth["all"]
    assert pytest.approx(1.0) == sum(found["all"])


def test_an_evaluation_tells_all_of_it_beside_the_timer(record: Record) -> None:
    """The same groups for both; a model that has learned the field foresees further than the hours timer."""
    found = evaluate.evaluate(record, recipe("hit"), [200.0, 300.0])
    assert [each.group for each in found.scores] == [each.group for each in found.timer_scores]
    assert [each.forecasts for each in found.scores] == [each.forecasts for each in found.timer_scores]
    assert found.prognosis.horizon_d > found.timer_prognosis.horizon_d
    assert found.prognosis.cycles == found.timer_prognosis.cycles == found.scores[0].cycles
    assert found.scores[0].cost < found.timer_scores[0].cost


def test_a_version_is_judged_on_its_own_forecasts_beside_the_timer(record: Record) -> None:
    """Where a contender may be judged on a part of the snapshots, the timer is judged on that part."""
    since = version("1", named("rated")(way.declared(record.slot)), 300.0)
    found = evaluate.evaluate(record, since, [100.0])
    assert found.scores
    assert [each.forecasts for each in found.scores] == [each.forecasts for each in found.timer_scores]
