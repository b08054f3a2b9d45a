"""The aims of the design, each with what was seen and whether it was met."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from tests.benchmarks.wear.models import DEFAULT
from tests.benchmarks.wear.scores import Score

Scores = Mapping[str, Mapping[str, Mapping[str, Score]]]
"""Scores by set, protocol and model."""


class Verdict(TypedDict):
    """What was aimed at, what was seen, and whether it is met; None where the data were not there.

    limits: the least and the most of each number, None where it has no such bound.
    """

    aim: str
    limits: dict[str, tuple[float | None, float | None]]
    seen: dict[str, float] | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold one aim for the default model: where it is looked up, in words, and the bounds of its numbers.

    protocols: those in which it is looked up, the first that was run counts. limits: (number, least, most).
    """

    name: str
    recorded: str
    protocols: tuple[str, ...]
    aim: str
    limits: tuple[tuple[str, float | None, float | None], ...]


GATES = (
    Gate("esrel22_rmse_unit", "esrel22", ("cv",), "mean per-unit RMSE <= 5.5 s", (("rmse_unit", None, 5.5),)),
    Gate(
        "esrel22_life_fractions",
        "esrel22",
        ("cv",),
        "MAE <= 5.0 s, cov80 .77 to .85, width <= 17 s",
        (("mae", None, 5.0), ("cov80", 0.77, 0.85), ("width80", None, 17.0)),
    ),
    Gate(
        "esrel22_feed_left_out",
        "esrel22",
        ("leave_one_condition_out",),
        "MAE <= 6.0 s, cov80 >= .77",
        (("mae", None, 6.0), ("cov80", 0.77, None)),
    ),
    Gate(
        "phme20_unseen_concentration",
        "phme20",
        ("test", "leave_one_concentration_out"),
        "MAE <= 6.0 s, cov80 >= .75",
        (("mae", None, 6.0), ("cov80", 0.75, None)),
    ),
    Gate(
        "phme20_profile_left_out",
        "phme20",
        ("leave_one_condition_out",),
        "MAE <= 5.0 s, cov80 >= .77",
        (("mae", None, 5.0), ("cov80", 0.77, None)),
    ),
    Gate(
        "vdq_causal_use",
        "vdq",
        ("cv",),
        "MAE <= 7.0 s, cov80 >= .77",
        (("mae", None, 7.0), ("cov80", 0.77, None)),
    ),
    Gate(
        "p2p_censored",
        "p2p",
        ("cv",),
        "MAE <= 9 s, cov80 >= .77",
        (("mae", None, 9.0), ("cov80", 0.77, None)),
    ),
)


def verdicts(scores: Scores) -> dict[str, Verdict]:
    """Return what became of every gate."""
    return {gate.name: _verdict(gate, scores.get(gate.recorded, {})) for gate in GATES}


def _verdict(gate: Gate, protocols: Mapping[str, Mapping[str, Score]]) -> Verdict:
    limits = {name: (least, most) for name, least, most in gate.limits}
    for protocol in gate.protocols:
        score = protocols.get(protocol, {}).get(DEFAULT)
        if score:
            seen = {name: float(score[name]) for name in limits}  # type: ignore[literal-required]  # its own names
            return {"aim": gate.aim, "limits": limits, "seen": seen, "met": met(seen, limits)}
    return {"aim": gate.aim, "limits": limits, "seen": None, "met": None}


def met(seen: Mapping[str, float], limits: Mapping[str, tuple[float | None, float | None]]) -> bool:
    """Tell whether each number lies within its bounds."""
    return all(
        (least is None or seen[name] >= least) and (most is None or seen[name] <= most)
        for name, (least, most) in limits.items()
    )
