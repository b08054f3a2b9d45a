"""Intervals are honest on units that the model has not seen."""

import numpy as np
import pytest

from predictors import registry
from predictors.decision import order_quantile
from tests.benchmarks import wear_coverage, wear_speed


@pytest.mark.parametrize("name", ["weibull", "hit", "fused"])
@pytest.mark.parametrize("units", [30, 300])
def test_the_80_percent_interval_holds_on_unseen_units(name: str, units: int) -> None:
    """Fitted on some households, two thirds of their parts still running, the interval holds four in five of others."""
    result = wear_coverage.simulated(name, units=units, unseen=1500, seed=12)
    assert pytest.approx(0.8, abs=0.07) == result.cov80


def test_the_indicator_narrows_what_hours_alone_leave_open() -> None:
    """Levels crossed give a narrower interval and a smaller error than exposure alone."""
    hours, levels = (wear_coverage.simulated(name, units=300, unseen=1500, seed=12) for name in ("weibull", "hit"))
    assert levels.width80_d < 0.7 * hours.width80_d
    assert levels.mae_d < 0.7 * hours.mae_d


def test_the_hours_timer_is_worse_than_the_exposure_clock() -> None:
    """Where air differs between households, counting hours errs more than counting exposure."""
    timer, clock = (wear_coverage.simulated(name, units=300, unseen=1500, seed=12) for name in ("rated", "weibull"))
    assert clock.mae_d < 0.9 * timer.mae_d


def test_the_order_quantile_costs_least() -> None:
    """Over many ends of life no other quantile of the date has a lower mean cost."""
    ends = np.random.default_rng(6).weibull(4.0, 20_000) * 100.0
    cost_early, cost_late = 1.0, 4.0

    def cost(quantile: float) -> float:
        day = np.quantile(ends, quantile)
        return float(np.mean(cost_early * np.maximum(ends - day, 0.0) + cost_late * np.maximum(day - ends, 0.0)))

    best = order_quantile(cost_early, cost_late)
    assert pytest.approx(0.2) == best
    assert all(cost(best) <= cost(other) for other in np.linspace(0.02, 0.98, 49))


@pytest.mark.parametrize("costs", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_costs_that_cannot_be_are_refused(costs: tuple[float, float]) -> None:
    """A cost of zero or less, or no number, decides nothing."""
    with pytest.raises(ValueError, match="positive number"):
        order_quantile(*costs)


def test_every_model_is_benchmarked() -> None:
    """The speed benchmark runs over every registered model."""
    rows = wear_speed.measure(slots=200, repeats=1, cycles=200)
    assert set(registry.MODELS) == {row.model for row in rows}
    assert all(row.slots_per_s > 0 for row in rows)
