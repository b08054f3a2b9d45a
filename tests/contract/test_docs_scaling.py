"""The tables of docs/scaling.md are what `python -m tests.benchmarks.scaling` prints, and its words fit them."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.scaling import arithmetic
from tests.benchmarks.scaling.profiles import PROFILES

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
PROSE = " ".join(PAGE.split())


def test_every_table_is_what_the_command_prints() -> None:
    """No number stands there that the measured costs do not make."""
    printed = dict(re.findall(r"<!-- table (\w+) -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL))
    assert arithmetic.tables() == printed


def test_the_page_says_what_it_multiplied_by() -> None:
    """Assumptions are told as they are in the code."""
    costs = arithmetic.COSTS
    kafka = arithmetic.number(costs["kafka"]["gateway_us"] / costs[PROFILES[0].name]["gateway_us"])
    assert f"the gateway needed {kafka} times" in PROSE
    assert f"Cores are at {arithmetic.PEAK} times the mean" in PROSE
    assert f"return within {arithmetic.BACK_S // 60:.0f} minutes" in PROSE
    order = costs["order"]
    assert f"{100 * order['taken']:.0f} % of prompts taken, {order['calls']} calls each" in PROSE


def test_arithmetic_is_proportional() -> None:
    """Ten times the units ask for ten times as much of everything."""
    for profile in PROFILES:
        small, large = (arithmetic._stream(profile, units)[-3:] for units in (10_000_000, 100_000_000))
        for one, ten in zip(small, large, strict=True):
            assert 10 * float(one.replace(",", "")) == pytest.approx(float(ten.replace(",", "")), rel=0.05)
