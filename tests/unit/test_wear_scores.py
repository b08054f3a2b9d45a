"""Scores of the benchmark on recorded parts, against values worked out by hand."""

import pytest

from tests.benchmarks.wear import asking, lives
from tests.benchmarks.wear.scores import score
from tests.benchmarks.wear.trial import ASKED, FRACTIONS, Forecast


def said(unit: str, now: float, middle: float, *, ends: float = 100.0, reach: float = 10.0) -> Forecast:
    """A forecast that lies evenly within ± reach of its middle."""
    quantiles = tuple(middle + 2.0 * reach * (q - 0.5) for q in ASKED)
    return Forecast(unit, "any", round(now / ends, 4), now, ends, quantiles)


def test_errors_coverage_and_accuracy_by_hand() -> None:
    """Two parts at each life fraction, one forecast right, one 20 too late: the numbers are those of a slide rule."""
    found = score([said(unit, 100 * f, mid) for f in FRACTIONS for unit, mid in (("a", 100.0), ("b", 120.0))])
    assert (10.0, 10.0, 10.0, 10.0) == tuple(found[name] for name in ("mae", "median", "bias", "rmse_unit"))
    assert (0.5, 16.0, 0.5, 18.0) == pytest.approx([found[n] for n in ("cov80", "width80", "cov90", "width90")])
    # ± 20 % of what is left is ± 14, 10, 6, 2 about the end: right ones hold half of ± 10 three times out of four.
    assert [0.5, 0.5, 0.5, 0.0] == [found["by_fraction"][f"{f:g}"]["alpha_lambda"] for f in FRACTIONS]
    assert pytest.approx(0.375) == found["alpha_lambda"]
    assert (0.35, 0.5) == pytest.approx([found["prognosis"]["horizon_share"], found["prognosis"]["never"]])
    # What is left is 70, 50, 30, 10: 20 off costs the accuracy of b 2/7, 2/5, 2/3 and 2 of 1.
    assert 1 - (2 / 7 + 2 / 5 + 2 / 3 + 2) / 8 == pytest.approx(found["prognosis"]["relative_accuracy"])
    assert [0.5, *[0.0] * 4, 0.5, *[0.0] * 4] == found["pit"] == found["by_fraction"]["0.5"]["pit"]
    assert {"0-0.1": 0, "0.1-0.25": 1, "0.25-0.5": 1, "0.5+": 1} == {
        k: len(v) > 0 for k, v in found["by_horizon"].items()
    }


def test_an_owner_is_asked_on_the_order_date_as_it_stands() -> None:
    """The order quantile is 0.2, six before the middle; a part takes five: asked at 89 of 100, too late by nothing."""
    calm = [said("a", now, 100.0) for now in (30.0, 60.0, 90.0)]
    assert pytest.approx(89.0) == asking.asked_at(calm, 5.0)
    assert {"early": 6.0, "late": 0.0, "late_rate": 0.0, "stock_out_rate": 0.0, "cost": 6.0} == pytest.approx(
        asking.outcome(calm, 5.0)
    )


def test_a_date_that_moved_away_before_it_fell_due_asks_nobody() -> None:
    """At 30 it would have been 49, but at 45 another forecast took its place; the end asks, and the part is late."""
    moved = [said("a", 30.0, 60.0), said("a", 45.0, 200.0)]
    assert 100.0 == asking.asked_at(moved, 5.0)
    assert {"early": 0.0, "late": 5.0, "late_rate": 1.0, "stock_out_rate": 1.0, "cost": 20.0} == pytest.approx(
        asking.outcome(moved, 5.0)
    )


def test_the_life_that_is_shown_is_chosen_by_its_length() -> None:
    """Of three parts the one that ended in the middle, forecast by forecast, of every model."""
    of = [
        said(unit, now, ends, ends=ends)
        for unit, ends in (("a", 80.0), ("b", 120.0), ("c", 90.0))
        for now in (9.0, 45.0)
    ]
    life = lives.middle({"one": of, "two": of[::-1][:2]})
    assert life is not None
    assert ("c", 90.0) == (life["unit"], life["ends"])
    assert [(9.0, 82.0, 90.0, 98.0), (45.0, 82.0, 90.0, 98.0)] == [pytest.approx(row) for row in life["models"]["one"]]
    assert lives.middle({"one": []}) is None
