"""The backtest is honest: it knows what had arrived, and nothing that came later."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.bench import censoring, leak, pit, replay, scores
from gateway.bench.backtest import GRID, Backtest, backtest, origins
from gateway.bench.contender import Contender, fitted, recipe, version
from gateway.bench.record import Record
from gateway.replenish import way
from predictors.predictor import Predictor
from predictors.registry import named
from tests import bench_field


@pytest.fixture(scope="module")
def record() -> Record:
    return bench_field.record_of(bench_field.field())


def oracle_of_all(record: Record, day: float) -> Predictor:
    """A leaky way of learning: it is fitted from everything, whatever the day."""
    return fitted(record, "weibull", record.until_d)


def peeking(record: Record, day: float) -> Predictor:
    """A subtler leak: labels by when parts were removed, not by when that became known."""
    seen = replace(record.cycles, recorded_d=np.where(np.isfinite(record.cycles.removed_d), 0.0, np.inf))
    return fitted(replace(record, cycles=seen), "weibull", day)


@pytest.mark.parametrize("predictor", ["rated", "weibull", "hit", "calendar"])
def test_another_future_changes_no_forecast(record: Record, predictor: str) -> None:
    """Labels and inputs that arrive later may be anything: what was said before stays to the last bit."""
    assert [] == leak.leaks(record, recipe(predictor), origins(record, 4))


@pytest.mark.parametrize("leaky", [oracle_of_all, peeking])
def test_a_leak_is_found(record: Record, leaky: object) -> None:
    """A model that looks ahead says something else once the future is another one."""
    planted = Contender("leaky", "weibull", -np.inf, refitted=True, model_on=leaky)  # type: ignore[arg-type]  # looks ahead on purpose
    assert leak.leaks(record, planted, origins(record, 4))


def test_a_removal_that_is_told_late_is_known_late(record: Record) -> None:
    """Until somebody says that the part was changed, the cycle counts as running."""
    late = next(
        i for i, label in enumerate(record.cycles.labels)
        if label is not None and record.cycles.recorded_d[i] > record.cycles.removed_d[i] + 5
    )  # fmt: skip
    between = (record.cycles.removed_d[late] + record.cycles.recorded_d[late]) / 2
    before, _ = record.known_by(float(between))
    after, _ = record.known_by(float(record.cycles.recorded_d[late]))
    label = record.cycles.labels[late]
    assert (False, True) == (label in before, label in after)


def test_a_forecast_is_made_by_the_model_of_the_origin_before_it(record: Record) -> None:
    """No snapshot is forecast by a model that learned after it was made."""
    said = backtest(record, recipe("weibull"), origins(record, 6))
    made = record.snapshots.made_d[said.rows]
    assert len(said) > 500
    assert (said.origin_d <= made).all()


def test_a_version_is_judged_since_it_was_made(record: Record) -> None:
    """What was forecast before a version existed says nothing about it."""
    model = named("weibull")(way.declared(record.slot))
    said = backtest(record, version("1", model, 300.0))
    assert 300.0 <= record.snapshots.made_d[said.rows].min()


def test_a_cycle_counts_once_however_often_it_was_forecast(record: Record) -> None:
    """Forecasting one cycle ten times as often changes no mean over cycles."""
    said = backtest(record, recipe("rated"), [0.0])
    whole = scores.judge(record, said)
    all_of = np.ones(whole.cycle.size, dtype=bool)
    once = scores.score("all", whole, all_of)
    repeated = said.take(np.ones(len(said), dtype=bool))
    again = np.repeat(np.arange(len(said)), np.where(record.snapshots.cycle[said.rows] == whole.cycle[0], 10, 1))
    twice = Backtest(
        said.contender, said.predictor, GRID, said.rows[again], repeated.eol_d[again], said.order_d[again],
        said.measured[again], said.origin_d[again],
    )  # fmt: skip
    judged = scores.judge(record, twice)
    more = scores.score("all", judged, np.ones(judged.cycle.size, dtype=bool))
    assert once is not None
    assert more is not None
    assert once.forecasts < more.forecasts
    assert once.mae_d == pytest.approx(more.mae_d)


def test_early_removals_are_weighed_in() -> None:
    """Where half of the parts are taken out early, the long-lived ones are seen less often and stand for more."""
    rng = np.random.default_rng(5)
    life = rng.uniform(50, 150, 4_000)
    taken = rng.uniform(0, 200, 4_000)
    record = bench_field.record_of(_lives(life, taken), 1_000.0)
    weight = censoring.weights(record)
    seen = record.ended
    naive = float(life[seen].mean())
    weighed = float(np.average(life[seen], weights=weight[seen]))
    assert 100 - naive > 5
    assert weighed == pytest.approx(100, abs=1.5)


def _lives(life: np.ndarray, taken: np.ndarray) -> list[bench_field.Worn]:
    worn = []
    for i, (end, out) in enumerate(zip(life.tolist(), taken.tolist(), strict=True)):
        label = {"censored": out < end, "witnessed": True, "run_h": 1.0}
        gone = min(end, out)
        worn.append(bench_field.Worn(i, 0.0, gone, gone, label, ((0.0, {"run_h": 1.0, "indicator": 1.0}),)))
    return worn


def test_what_nobody_would_have_seen_is_left_out(record: Record) -> None:
    """A part that was changed without anything showing its end is neither an end nor a survival."""
    labels = tuple(None if label is None else {**label, "witnessed": False} for label in record.cycles.labels)
    blind_inputs = tuple({**row, "indicator": None, "hits": []} for row in record.snapshots.inputs)
    blind = replace(
        record,
        cycles=replace(record.cycles, labels=labels),
        snapshots=replace(record.snapshots, inputs=blind_inputs),
    )
    assert (0, 0) == (blind.ended.sum(), blind.censored.sum())
    assert [] == blind.known_by(blind.until_d)[0]


def test_the_end_is_when_it_was_first_shown(record: Record) -> None:
    """A part that stayed in place after its end lived no longer for that."""
    removed, end = record.cycles.removed_d, record.end_d
    kept = record.ended & np.isfinite(removed)
    assert (end[kept] <= removed[kept]).all()
    assert (removed[kept] - end[kept]).mean() > 1


def test_pit_is_flat_for_the_truth_and_not_for_a_late_model() -> None:
    """Ends drawn from the forecast itself fill each bin alike, also where half of them are censored."""
    rng = np.random.default_rng(3)
    life, taken = rng.uniform(50, 150, 3_000), rng.uniform(40, 250, 3_000)
    record = bench_field.record_of(_lives(life, taken), 1_000.0)
    honest = _says(record, np.array([50 + 100 * q for q in GRID]))
    late = _says(record, np.array([70 + 100 * q for q in GRID]))
    assert np.abs(pit.histogram(record, honest) - 0.1).max() < 0.02
    assert pit.histogram(record, late)[0] > 0.2


def _says(record: Record, eol: np.ndarray) -> Backtest:
    n = len(record.snapshots)
    rows = np.arange(n)
    wide = np.repeat(eol[None, :], n, axis=0)
    return Backtest("x", "x", GRID, rows, wide, wide[:, 9], np.ones(n, dtype=bool), np.zeros(n))


def test_coverage_is_what_it_says() -> None:
    """A uniform end under its own quantiles: 80 % in the middle 80 %, and the width is theirs."""
    rng = np.random.default_rng(4)
    life = rng.uniform(50, 150, 4_000)
    record = bench_field.record_of(_lives(life, np.full(4_000, 1_000.0)), 2_000.0)
    judged = scores.judge(record, _says(record, np.array([50 + 100 * q for q in GRID])))
    found = scores.score("all", judged, np.ones(judged.cycle.size, dtype=bool))
    assert found is not None
    assert (0.8, 0.9) == (pytest.approx(found.cov80, abs=0.02), pytest.approx(found.cov90, abs=0.02))
    assert (80, 90) == (pytest.approx(found.width80_d), pytest.approx(found.width90_d))
    assert 25 == pytest.approx(found.mae_d, abs=1)


def test_a_prompt_comes_on_the_order_date_as_it_stood(record: Record) -> None:
    """Known ends and dates: asked a delivery before the order date, early by what is left when the part arrives."""
    worn = [bench_field.Worn(0, 0.0, 100.0, 100.0, {"censored": False, "witnessed": True}, _looks(10.0, 40.0, 70.0))]
    one = bench_field.record_of(worn, 200.0)
    said = _says(one, np.linspace(60, 120, len(GRID)))
    said = replace(said, order_d=np.array([95.0, 80.0, 90.0]))
    prompted = replay.replay(one, said, delivery_d=5.0)
    # At 40 the order date was 80, less 5 for delivery: but from 70 on it stood at 90.
    assert ([85.0], [10.0], [0.0], [False]) == tuple(
        column.tolist() for column in (prompted.prompt_d, prompted.early_d, prompted.late_d, prompted.missed)
    )


def test_without_a_prompt_the_end_itself_asks_and_is_late_by_the_delivery() -> None:
    """A forecast that is far too late lets the part run on until a new one has come."""
    worn = [bench_field.Worn(0, 0.0, 100.0, 100.0, {"censored": False, "witnessed": True}, _looks(10.0))]
    one = bench_field.record_of(worn, 200.0)
    prompted = replay.replay(one, _says(one, np.linspace(500, 600, len(GRID))), delivery_d=4.0)
    found = replay.outcome(one, "x", prompted)
    assert (0, 0.0, 4.0, 1.0, 1.0, 16.0) == (
        found.prompts, found.early_d, found.late_d, found.late_rate, found.stock_out_rate, found.cost,
    )  # fmt: skip


def _looks(*days: float) -> tuple[tuple[float, dict[str, object]], ...]:
    return tuple((day, {"run_h": 8.0 * day, "indicator": 1.0}) for day in days)


def test_money_is_the_share_of_a_part_s_price(record: Record) -> None:
    """A rated life thrown away is a part's price."""
    assert 3990 == replay.minor(record, record.slot.life_d, 1.0)
    assert replay.minor(replace(record, money=None), 10.0, 1.0) is None
