"""Champion against challenger: the same snapshots, pairs, a rule fixed beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.bench import compare as comparison
from gateway.bench import whatif as replaying
from gateway.bench.compare import Rule, compare, drawn_means
from gateway.bench.contender import Contender, recipe, version
from gateway.bench.evaluate import evaluate
from gateway.bench.record import Record
from gateway.bench.whatif import CannotReplay, Change, trade_off, whatif
from gateway.replenish import way
from predictors.registry import named
from tests import bench_field


@pytest.fixture(scope="module")
def record() -> Record:
    return bench_field.record_of(bench_field.field(homes=60))


DAYS = [150.0, 300.0, 400.0]


def test_a_better_challenger_is_let_through(record: Record) -> None:
    """On a field where air differs from home to home, counting exposure beats counting hours, and the rule sees it."""
    found = compare(record, recipe("rated"), recipe("weibull"), at=DAYS)
    assert [] == [criterion for criterion in found.criteria if not criterion.met]
    assert found.promote
    assert found.cost_high < 0


def test_a_worse_challenger_is_not(record: Record) -> None:
    """The same pair the other way round: the reasons are named."""
    found = compare(record, recipe("weibull"), recipe("rated"), at=DAYS)
    assert not found.promote
    assert {"costs less"} <= {criterion.name for criterion in found.criteria if not criterion.met}


def test_a_model_against_itself_is_no_better(record: Record) -> None:
    """Nothing differs in any pair, so no draw is cheaper."""
    found = compare(record, recipe("hit"), recipe("hit"), at=DAYS)
    assert (0.0, 0.0, False) == (found.cost_difference, found.cheaper_share, found.promote)


def test_few_cycles_decide_nothing(record: Record) -> None:
    """However good it looks."""
    found = compare(record, recipe("rated"), recipe("weibull"), Rule(least_cycles=10_000), at=DAYS)
    assert ["enough cycles"] == [criterion.name for criterion in found.criteria if not criterion.met]


def test_a_leaky_challenger_is_not_let_through(record: Record) -> None:
    """It looks ahead, so it costs less; that is why it is refused."""

    def ahead(of: Record, day: float) -> object:
        model = named("hit")(way.declared(of.slot))
        return model.fit(of.history_by(of.until_d, hours_only=False))

    planted = Contender("ahead", "hit", -np.inf, refitted=True, model_on=ahead)  # type: ignore[arg-type]  # looks ahead on purpose
    found = compare(record, recipe("rated"), planted, at=DAYS)
    assert "no leak" in {criterion.name for criterion in found.criteria if not criterion.met}


def test_only_shared_snapshots_count(record: Record) -> None:
    """A version that is young is compared on what was forecast since; the rest is counted as left out."""
    model = named("weibull")(way.declared(record.slot))
    found = compare(record, recipe("rated"), version("young", model, 350.0), at=DAYS)
    assert found.left_out > 0
    assert found.snapshots == int((record.snapshots.made_d >= 350.0).sum())


def test_units_are_drawn_and_not_cycles() -> None:
    """A hundred cycles of one home are one home: with two homes that disagree nothing is sure."""
    difference = np.concatenate([np.full(100, -1.0), np.full(100, 0.9)])
    unit = np.repeat([1, 2], 100)
    drawn = drawn_means(difference, np.ones(200), unit, 2_000)
    assert 0.6 < (drawn < 0).mean() < 0.9
    apart = drawn_means(difference, np.ones(200), np.arange(200), 2_000)
    assert (apart < 0).mean() > 0.7
    assert drawn.std() > 5 * apart.std()


def test_chance_alone_seldom_passes() -> None:
    """Two models that do not differ: with 90 % asked for, about one in ten such comparisons passes that line."""
    rng = np.random.default_rng(8)
    passed = [(drawn_means(rng.normal(size=60), np.ones(60), np.arange(60), 400) < 0).mean() >= 0.9 for _ in range(300)]
    assert np.mean(passed) == pytest.approx(0.1, abs=0.05)


def test_an_evaluation_says_what_it_stands_on(record: Record) -> None:
    """Every cycle is told of: its end was seen, it weighs in, or it is left out."""
    found = evaluate(record, recipe("weibull"), DAYS)
    tally = found.tally
    assert tally.cycles == tally.ended + tally.censored + tally.unwitnessed
    assert tally.censored > 20
    assert (1.0, []) == (pytest.approx(found.pit.sum()), found.leaks)
    assert {"all", "life 0.4-0.6", "days 7-30", "cohort DE"} <= {score.group for score in found.scores}
    assert found.outcome.cost < found.timer.cost


def test_a_longer_delivery_asks_earlier(record: Record) -> None:
    """Three weeks instead of three days: dates are less known when one must ask, and that costs."""
    found = whatif(record, Change(delivery_d=21.0), "hit")
    assert found.would.cost > found.stands.cost
    assert found.would.prompts > 0


def test_a_day_late_that_costs_more_moves_prompts_forward(record: Record) -> None:
    """The trade-off runs one way: the dearer a day late, the more life is thrown away and the fewer days are late."""
    found = trade_off(record, "hit", (1.0, 4.0, 19.0))
    early, late = [each.early_d for each in found], [each.late_d for each in found]
    assert sorted(early) == early
    assert sorted(late, reverse=True) == late


def test_a_lower_threshold_ends_parts_earlier(record: Record) -> None:
    """At 100 instead of 200 Pa more ends were seen, and each no later than before."""
    other = replaying.changed(record, Change(threshold=100.0))
    assert other.ended.sum() >= record.ended.sum()
    both = record.ended & other.ended
    assert (other.end_d[both] <= record.end_d[both]).all()
    assert (record.end_d - other.end_d)[both].mean() > 5
    # A cubic indicator crosses half its end at 0.79 of the exposure.
    label, before = next(
        (new, old) for new, old, cut in zip(other.cycles.labels, record.cycles.labels, both, strict=True) if cut and new
    )
    assert before is not None
    assert label["load_h"] / before["load_h"] == pytest.approx(0.79, abs=0.12)


def test_an_earlier_end_is_told_with_the_conditions_until_then(record: Record) -> None:
    """What the part met after its end at the other threshold did not bring it there."""
    inputs = tuple({**row, "covariates": {"tds": row["age_d"]}} for row in record.snapshots.inputs)
    told = tuple(label and {**label, "covariates": {"tds": -1.0}} for label in record.cycles.labels)
    told_of = replace(record, snapshots=replace(record.snapshots, inputs=inputs))
    told_of = replace(told_of, cycles=replace(record.cycles, labels=told))
    ended = [label for label in replaying.changed(told_of, Change(threshold=100.0)).cycles.labels if label]
    ended = [label for label in ended if label["witnessed"] and not label["censored"]]
    assert len(ended) > 20
    assert all(label["age_d"] == label["covariates"]["tds"] for label in ended)


def test_a_higher_threshold_leaves_ends_unseen_and_says_so(record: Record) -> None:
    """Beyond what was ever measured the history knows no end: the cycles count as censored."""
    found = whatif(record, Change(threshold=400.0), "hit")
    assert found.ended_would < found.ended_stands
    assert any("not seen at the other threshold" in warning for warning in found.warnings)


@pytest.mark.parametrize("change", [Change(threshold=-5.0), Change(cost_late=0.0), Change(delivery_d=-1.0)])
def test_a_change_that_cannot_be_is_refused(record: Record, change: Change) -> None:
    """A threshold below the baseline, a cost of nothing, a delivery before the order."""
    with pytest.raises(CannotReplay):
        whatif(record, change)


def test_what_was_read_becomes_a_share_of_the_other_way() -> None:
    """Half way to 200 Pa is the whole way to 100; exposures and what is unknown stay; a row without reads has none."""
    row = {"reads": [50.0, 0.5, 0.25, None, 0.1], "looks": [[10.0, 0.2, 0.2, 0.2, 0.1]]}
    moved = replaying._reads(row, (0.0, 200.0), (0.0, 100.0))
    assert [50.0, 1.0, 0.5, None, 0.2] == moved["reads"]
    assert [[10.0, 0.4, 0.4, 0.4, 0.2]] == moved["looks"]
    assert {} == replaying._reads({}, (0.0, 200.0), (0.0, 100.0))


def test_the_rule_is_fixed_beforehand() -> None:
    """What a comparison decides by is what stands in the code and in the docs."""
    assert comparison.Rule(20, 0.9, (0.72, 0.92), 0.0) == comparison.Rule()
