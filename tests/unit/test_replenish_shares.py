"""What brought the wear: shares of the exposure by channel, as numbers and in an owner's words."""

import numpy as np
import pytest

from gateway.notify import reasons
from gateway.replenish import why
from gateway.replenish.shares import shares
from predictors import registry
from predictors.batch import SlotBatch
from predictors.declaration import Declaration
from predictors.history import History

NAN = float("nan")
TIMED = ("runtime", "pm25")


def told(covariates: tuple[float, float], *, load_h: float = 150.0) -> dict[str, float]:
    """The drivers of a part whose load and covariates wear it, by a model that has learned how much."""
    rng = np.random.default_rng(3)
    z = rng.normal(0.0, 0.6, (300, 2))
    lives = 1000.0 * np.exp(0.1 * rng.standard_normal(300) - z @ [0.8, -0.5])
    declared = Declaration(1000.0, 200.0, covariates=("humidity", "flow"))
    model = registry.named("weibull")(declared).fit(History.of(lives, np.zeros(300, dtype=bool), covariates=z))
    batch = SlotBatch.of(
        1, run_h=100.0, load_h=load_h, h_per_day=5.0, load_per_h=1.0, covariates=np.array([covariates])
    )
    return {name: float(column[0]) for name, column in model.forecast(batch).drivers.items()}


def test_shares_by_channel_make_up_the_whole() -> None:
    """Running time, the load above its reference and each covariate sum to one, whichever way a covariate works."""
    for covariates, load_h in (((0.9, 0.0), 75.4), ((0.9, 0.7), 150.0), ((-0.6, 0.3), 150.0), ((NAN, NAN), 20.0)):
        found = shares("pm25", told(covariates, load_h=load_h))
        assert {"runtime", "pm25", "humidity", "flow"} == set(found)
        assert pytest.approx(1.0) == sum(found.values())


def test_shares_by_hand() -> None:
    """100 h at 1.5 times the load are two thirds and one third; a clock at twice that halves them and adds a half."""
    drivers = {"use_share": 2 / 3, "load_share": 1 / 3, "clock_ratio": 2.0, "clock_share humidity": 0.5}
    assert {"runtime": 1 / 3, "pm25": 1 / 6, "humidity": 0.5} == pytest.approx(shares("pm25", drivers))
    assert {"runtime": 2 / 3, "pm25": 1 / 3} == pytest.approx(
        shares("pm25", drivers | {"clock_ratio": None, "clock_share humidity": None})
    )
    assert {} == shares("pm25", {"use_share": NAN, "load_share": NAN})
    assert {"runtime": 1.0} == shares(None, {"use_share": 1.0, "load_share": 0.0})


def test_a_load_that_spared_the_part_has_a_share_below_zero() -> None:
    """At half the rated load, running time alone would have brought twice the wear; its owner reads so."""
    spared = told((NAN, NAN), load_h=50.0)
    assert {"runtime": 2.0, "pm25": -1.0} == pytest.approx({name: shares("pm25", spared)[name] for name in TIMED})
    (found,) = why.brought("pm25", spared)
    said = "It was spared 100 % of its wear so far by fine dust below what it is rated for."
    assert said == reasons.say(found, "en")
    assert "Gespart durch Feinstaub unter dem vorgesehenen Maß: 100 %" in reasons.say(found, "de")
    assert [] == why.brought("pm25", told((NAN, NAN), load_h=10.0))
    assert {} == shares("pm25", told((NAN, NAN), load_h=0.0))


def test_a_channel_that_is_covariate_and_load_counts_once() -> None:
    """Its two shares are added under its one name."""
    drivers = {"use_share": 0.5, "load_share": 0.5, "clock_ratio": 1.25, "clock_share pm25": 0.2}
    assert {"runtime": 0.4, "pm25": 0.6} == pytest.approx(shares("pm25", drivers))


def test_an_owner_reads_what_brought_the_wear_the_largest_share_first() -> None:
    """More than the load: the covariate that wore it, and the one that spared it; in both languages."""
    found = why.brought("pm25", told((0.9, 1.2)))
    assert ["share_more", "share_less", "share_load"] == [reason.code for reason in found]
    assert ["humidity", "flow", "pm25"] == [reason.channel for reason in found]
    english = [reasons.say(reason, "en") for reason in found]
    assert "of its wear so far came from its humidity, compared with other units." in english[0]
    assert english[1].startswith("Its flow spared it ")
    assert "came from fine dust above what it is rated for." in english[2]
    german = [reasons.say(reason, "de") for reason in found]
    assert "% durch Luftfeuchte, verglichen mit anderen Geräten." in german[0]
    assert "% weniger durch Durchfluss" in german[1]
    assert "% durch Feinstaub über dem vorgesehenen Maß." in german[2]


def test_a_small_share_is_not_worth_a_word() -> None:
    """Below 15 % nothing is said, and running time never is: how long it ran is said already."""
    assert [] == why.brought("pm25", {"use_share": 0.9, "load_share": 0.1, "clock_share flow": -0.1})
    assert [] == why.brought(None, {"use_share": 1.0})


def test_a_makers_own_channel_is_called_by_its_name() -> None:
    """What nobody translated is said as it was declared, and travels with the stored reason."""
    reason = reasons.Reason("share_load", 40.0, channel="grease_drag")
    assert "40 % of its wear so far came from grease drag above what it is rated for." == reasons.say(reason, "en")
    assert reason == reasons.from_json(reason.as_json())
    assert set(reasons.CHANNELS["en"]) == set(reasons.CHANNELS["de"])
