"""The gates of the design as one chart: each number as a share of what it may be at most."""

from collections.abc import Mapping
from typing import Any

from gateway.bench.svg import TOP, Chart, Line

NAMES = {"mae": "MAE", "rmse_unit": "RMSE by unit", "cov80": "held by 80 %", "width80": "width", "s": "seconds"}
LOW, HIGH = 0.5, 2.0  # shares of a limit from edge to edge; what is beyond stands at the edge
FIRST, LAST = 190.0, 338.0  # where they lie, right of the words
ROW = 15.0


def gates(verdicts: Mapping[str, Mapping[str, Any]], default: str) -> Chart | None:
    """Draw how near each number came to its limit; None where nothing was measured."""
    rows = [
        (gate, number, found["seen"][number], least, most)
        for gate, found in verdicts.items()
        if found["seen"]
        for number, (least, most) in found["limits"].items()
    ]
    if not rows:
        return None
    met = [gate for gate, found in verdicts.items() if found["met"]]
    told = [gate for gate, found in verdicts.items() if found["seen"]]
    labels, dots, y, before = [], [], TOP, ""
    for gate, number, seen, least, most in rows:
        if gate != before:
            y, before = y + ROW + (4.0 if before else 0.0), gate
            labels.append((14.0, y, f"{'default' if verdicts[gate]['met'] else 'two'}|{_words(gate)}"))
        y += ROW
        share = _share(seen, least, most)
        labels.append((22.0, y, f"|{NAMES.get(number, number)} {seen:.2f} ({_aim(least, most)})"))
        dots.append((_x(share), y - 4.0, "one" if share <= 1.0 else "missed"))
    return Chart(
        key="gates",
        title="Gates of the design, met and missed",
        sentence=f"{default} meets {len(met)} of {len(told)} gates that were measured. Dots left of the dashed line"
        " keep their limit, rings right of it do not.",
        x_label="limit = 1; left of it is better",
        y_label="",
        head=["Gate", "Number", "Aim", "Seen", "Kept"],
        rows=[
            [_words(gate), NAMES.get(number, number), _aim(least, most), f"{seen:.2f}",
             "yes" if _share(seen, least, most) <= 1 else "no"]
            for gate, number, seen, least, most in rows
        ],
        xs=[(_x(tick), f"{tick:g}" + ("+" if tick == HIGH else "")) for tick in (LOW, 1.0, 1.5, HIGH)],
        ys=[],
        lines=[Line(f"{_x(1.0)},{TOP} {_x(1.0)},{y + 4.0}", "aim")],
        dots=dots,
        labels=labels,
    )  # fmt: skip


def _x(share: float) -> float:
    return round(FIRST + (min(max(share, LOW), HIGH) - LOW) / (HIGH - LOW) * (LAST - FIRST), 1)


def _words(gate: str) -> str:
    return gate.replace("_", " ")


def _aim(least: float | None, most: float | None) -> str:
    if least is None:
        return f"≤ {most:g}"
    return f"≥ {least:g}" if most is None else f"{least:g} to {most:g}"


def _share(seen: float, least: float | None, most: float | None) -> float:
    """Return how much of its limit a number uses: at most one where it is kept, whichever side it has to stay on."""
    used = [seen / most] if most else []
    return max([*used, *([least / max(seen, 1e-9)] if least else [])])
