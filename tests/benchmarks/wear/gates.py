"""The aims of the design, each with what was seen and whether it was met."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from tests.benchmarks.wear.models import DEFAULT
from tests.benchmarks.wear.scores import Score

Scores = Mapping[str, Mapping[str, Mapping[str, Score]]]
"""Scores by set, protocol and model."""


class Verdict(TypedDict):
    """What was aimed at, what was seen, and whether it is met; None where the data were not there."""

    aim: str
    seen: dict[str, float] | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold one aim for the default model: where it is looked up, in words, and as a test of a score.

    protocols: those in which it is looked up, the first that was run counts.
    """

    name: str
    recorded: str
    protocols: tuple[str, ...]
    aim: str
    shown: tuple[str, ...]
    holds: Callable[[Score], bool]


GATES = (
    Gate(
        "esrel22_rmse_unit",
        "esrel22",
        ("cv",),
        "mean per-unit RMSE <= 5.5 s",
        ("rmse_unit",),
        lambda seen: seen["rmse_unit"] <= 5.5,
    ),
    Gate(
        "esrel22_life_fractions",
        "esrel22",
        ("cv",),
        "MAE <= 5.0 s, cov80 .77 to .85, width <= 17 s",
        ("mae", "cov80", "width80"),
        lambda seen: seen["mae"] <= 5.0 and 0.77 <= seen["cov80"] <= 0.85 and seen["width80"] <= 17.0,
    ),
    Gate(
        "esrel22_feed_left_out",
        "esrel22",
        ("leave_one_condition_out",),
        "MAE <= 6.0 s, cov80 >= .77",
        ("mae", "cov80"),
        lambda seen: seen["mae"] <= 6.0 and seen["cov80"] >= 0.77,
    ),
    Gate(
        "phme20_unseen_concentration",
        "phme20",
        ("test", "leave_one_concentration_out"),
        "MAE <= 6.0 s, cov80 >= .75",
        ("mae", "cov80"),
        lambda seen: seen["mae"] <= 6.0 and seen["cov80"] >= 0.75,
    ),
    Gate(
        "phme20_profile_left_out",
        "phme20",
        ("leave_one_condition_out",),
        "MAE <= 5.0 s, cov80 >= .77",
        ("mae", "cov80"),
        lambda seen: seen["mae"] <= 5.0 and seen["cov80"] >= 0.77,
    ),
    Gate(
        "vdq_causal_use",
        "vdq",
        ("cv",),
        "MAE <= 7.0 s, cov80 >= .77",
        ("mae", "cov80"),
        lambda seen: seen["mae"] <= 7.0 and seen["cov80"] >= 0.77,
    ),
    Gate(
        "p2p_censored",
        "p2p",
        ("cv",),
        "MAE <= 9 s, cov80 >= .77",
        ("mae", "cov80"),
        lambda seen: seen["mae"] <= 9.0 and seen["cov80"] >= 0.77,
    ),
)


def verdicts(scores: Scores) -> dict[str, Verdict]:
    """Return what became of every gate."""
    return {gate.name: _verdict(gate, scores.get(gate.recorded, {})) for gate in GATES}


def _verdict(gate: Gate, protocols: Mapping[str, Mapping[str, Score]]) -> Verdict:
    for protocol in gate.protocols:
        seen = protocols.get(protocol, {}).get(DEFAULT)
        if seen:
            numbers = {name: float(seen[name]) for name in gate.shown}  # type: ignore[literal-required]  # its own names
            return {"aim": gate.aim, "seen": numbers, "met": gate.holds(seen)}
    return {"aim": gate.aim, "seen": None, "met": None}
