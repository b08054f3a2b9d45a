"""The usage forecast holds on simulated households that it has not seen."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import usage, usage_hours

VDQ = usage.DATA / "vdq"


def test_dates_are_nearer_than_a_rates_and_covered() -> None:
    """Over all kinds and horizons, errors are below those of rates and of today, and four in five are covered."""
    found, best = usage.households(400, seed=5)
    rows = {row.model: row for row in found if (row.kind, row.horizon_d) == ("all", 0)}
    ours = rows.pop("usage")
    assert ours.mae_d < 0.9 * min(row.mae_d for row in rows.values())
    assert pytest.approx(0.81, abs=0.05) == ours.cov80
    assert pytest.approx(0.90, abs=0.05) == ours.cov90
    by_kind = {row.kind: row for row in found if (row.model, row.horizon_d) == ("usage", 0)}
    assert pytest.approx(0.80, abs=0.08) == by_kind[usage.TOLD].cov80
    assert pytest.approx(0.80, abs=0.06) == by_kind[usage.NEWCOMERS].cov80
    assert best["moving"][365] < 0.75  # a change to come is nobody's knowledge


def test_a_change_of_use_is_told_seldom_wrongly_and_mostly_when_it_is_there() -> None:
    """Of steady households, one in twenty at most is told of a change that was none; of real ones, half are."""
    told = usage.alarms(400, seed=5)
    assert told["none, steady"] < 0.05
    assert told["one, moving"] > 0.5


def test_the_hour_of_the_week_counts_in_the_last_half_day_alone() -> None:
    """Hours tell the usual moment better where six hours are left, and nothing from a day on: so dates are of days."""
    found = usage_hours.errors(300, seed=5)
    assert np.median(found[6]["hours"]) < np.median(found[6]["days"])
    for horizon in (24, 48, 72):
        assert found[horizon]["hours"].mean() > 0.97 * found[horizon]["days"].mean()


@pytest.mark.skipif(not (VDQ / "train").exists(), reason="vdq is not beside the project")
def test_recorded_load_schedules_are_recognised() -> None:
    """On vdq the load to come errs by a few percent, where its mean so far and its last value err by half."""
    for errors in usage.schedules(VDQ / "train" / "runs.csv", Path("nowhere")).values():
        assert errors["schedule"] < 0.05
        assert errors["mean rate"] > 0.5
