"""From the figures of a run to charts: error over life, coverage against width, one life, gates."""

from collections.abc import Mapping
from math import floor, log10
from typing import Any

from gateway.bench.svg import WIDTH, Axes, Chart, Line
from tests.benchmarks.wear_figures.draw import spread
from tests.benchmarks.wear_figures.gates import gates

CLOSE = 60.0  # from dot to dot, so that a label fits between
OWN = ("weibull", "hit")
PROTOCOLS = {
    "cv": "units in ten folds",
    "test": "its test part",
    "leave_one_condition_out": "conditions left out",
    "leave_one_concentration_out": "concentrations left out",
}
UNITS = {"cmapss": "cycles", "battery": "discharges"}
Scores = Mapping[str, Mapping[str, Any]]


def charts(run: Mapping[str, Any]) -> list[Chart]:
    """Return every chart that the run has numbers for, in the order of the page."""
    default, found = run["default_model"], []
    for name, protocols in run["sets"].items():
        for protocol, scores in protocols.items():
            told = {model: score for model, score in scores.items() if score}
            if told:
                found += [error(name, protocol, told, default), coverage(name, protocol, told, default)]
    found += [life(name, shown, default) for name, shown in run.get("lives", {}).items()]
    drawn = gates(run["gates"], default)
    return [*found, drawn] if drawn else found


def error(name: str, protocol: str, scores: Scores, default: str) -> Chart:
    """Draw the mean absolute error at each life fraction, a line for each model, on a logarithmic scale."""
    way = {
        model: [(float(f), part["mae"]) for f, part in score["by_fraction"].items() if part]
        for model, score in scores.items()
    }
    values = [max(mae, 0.1) for pairs in way.values() for _, mae in pairs]
    low, high = log10(min(values)), log10(max(values))
    axes = Axes((0.3, 1.12), (low - 0.05, high + 0.05))
    ends = [axes.y(log10(max(pairs[-1][1], 0.1))) for pairs in way.values()]
    places = spread(ends)
    best = min(scores, key=lambda model: scores[model]["mae"])
    own = scores.get(default)
    said = f"{best} errs least, by {scores[best]['mae']:.1f} in the mean of the life fractions"
    said += f"; {default} by {own['mae']:.1f}." if own and best != default else "."
    fractions = sorted({f for pairs in way.values() for f, _ in pairs})
    return Chart(
        key=f"error-{name}-{protocol.replace('_', '-')}",
        title=f"{name}, {PROTOCOLS.get(protocol, protocol)}: error",
        sentence=said,
        x_label="share of life used",
        y_label=f"mean error, {_unit(name)} (log)",
        head=["Model", *(f"at {f:g}" for f in fractions), "Mean"],
        rows=[
            [model, *(f"{dict(pairs)[f]:.1f}" if f in dict(pairs) else "none" for f in fractions),
             f"{scores[model]['mae']:.1f}"]
            for model, pairs in way.items()
        ],
        xs=[(axes.x(f), f"{f:g}") for f in fractions],
        ys=[(axes.y(log10(tick)), f"{tick:g}") for tick in _ticks(10**low, 10**high)],
        lines=[
            Line(axes.points([(f, log10(max(mae, 0.1))) for f, mae in pairs]), look(model, default))
            for model, pairs in way.items()
        ],
        labels=[
            (axes.x(fractions[-1]) + 6, place + 4, f"{look(model, default)}|{model}")
            for model, place in zip(way, places, strict=True)
        ],
        legend=[("one", "by exposure"), ("two", "what one would take instead")],
    )  # fmt: skip


def coverage(name: str, protocol: str, scores: Scores, default: str) -> Chart:
    """Draw the share of ends in the 80 % interval against its mean width: up to the line, and as far left as can be."""
    wide = {model: log10(max(score["width80"], 0.1)) for model, score in scores.items()}
    low, high = min(wide.values()), max(wide.values())
    axes = Axes((low - 0.08, high + 0.08), (floor(4.0 * min(s["cov80"] for s in scores.values())) / 4.0 - 0.05, 1.0))
    marks = [(axes.x(wide[model]), axes.y(scores[model]["cov80"])) for model in scores]
    labels = beside(marks, [f"{look(model, default)}|{model}" for model in scores])
    held = scores.get(default) or next(iter(scores.values()))
    who = default if default in scores else next(iter(scores))
    return Chart(
        key=f"coverage-{name}-{protocol.replace('_', '-')}",
        title=f"{name}, {PROTOCOLS.get(protocol, protocol)}: intervals",
        sentence=f"The 80 % interval of {who} is {held['width80']:.1f} {_unit(name)} wide in the mean and held"
        f" {held['cov80']:.0%} of the ends; the dashed line is what it should hold.",
        x_label=f"width of the 80 % interval, {_unit(name)} (log)",
        y_label="ends that it held",
        head=[
            "Model",
            "Held by 80 %",
            "Width",
            "Held by 90 %",
            "Width",
            "Alpha-lambda",
            "Horizon",
            "Steady",
            "Relative accuracy",
        ],
        rows=[[model, *_calibration(score)] for model, score in scores.items()],
        xs=[(axes.x(log10(tick)), f"{tick:g}") for tick in _ticks(10**low, 10**high)],
        ys=axes.ys(percent=True),
        lines=[Line(axes.points([(axes.x_low, 0.8), (axes.x_high, 0.8)]), "aim")],
        dots=[(x, y, look(model, default)) for model, (x, y) in zip(scores, marks, strict=True)],
        labels=labels,
        legend=[("one", "by exposure"), ("two", "what one would take instead")],
    )


def beside(marks: list[tuple[float, float]], words: list[str]) -> list[tuple[float, float, str]]:
    """Return labels beside dots: right of them, left of those near the edge; those of dots close together spread."""
    groups: list[list[int]] = []
    for i in sorted(range(len(marks)), key=lambda i: marks[i][0]):
        if groups and marks[i][0] - marks[groups[-1][-1]][0] < CLOSE:
            groups[-1].append(i)
        else:
            groups.append([i])
    found = []
    for group in groups:
        places = spread([marks[i][1] for i in group], gap=12.0)
        for i, y in zip(group, places, strict=True):
            x, long = marks[i][0], 6.4 * len(words[i].split("|")[1])
            found.append((round(x + 8 if x + 8 + long < WIDTH - 6 else x - 8 - long, 1), y + 4, words[i]))
    return found


def _calibration(score: Mapping[str, Any]) -> list[str]:
    seen = score["prognosis"]
    return [
        f"{score['cov80']:.0%}", f"{score['width80']:.1f}", f"{score['cov90']:.0%}", f"{score['width90']:.1f}",
        f"{score['alpha_lambda']:.0%}", f"{seen['horizon_share']:.0%} of life",
        f"{seen['steady_horizon_share']:.0%}", f"{seen['relative_accuracy']:.2f}",
    ]  # fmt: skip


def life(name: str, shown: Mapping[str, Any], default: str) -> Chart:
    """Draw the forecast end of one part over its life: interval, median, the end that came, the day itself."""
    own = shown["models"].get(default) or next(iter(shown["models"].values()))
    who = default if default in shown["models"] else next(iter(shown["models"]))
    timer, ends = shown["models"].get("timer", []), shown["ends"]
    axes = Axes((0.0, ends * 1.02), (0.0, ends * 1.8))
    band = [(now, low) for now, low, _, _ in own] + [(now, high) for now, _, _, high in reversed(own)]
    held = sum(low <= ends <= high for _, low, _, high in own)
    lines = [
        Line(axes.points([(0.0, ends), (ends, ends)]), "truth"),
        Line(axes.points([(0.0, 0.0), (ends, ends)]), "aim"),
        Line(axes.points([(now, mid) for now, _, mid, _ in own]), "default"),
    ]
    beside = bool(timer) and who != "timer"
    if beside:
        lines.insert(2, Line(axes.points([(now, mid) for now, _, mid, _ in timer]), "two"))
    kept = own[:: max(1, len(own) // 10)]
    return Chart(
        key=f"life-{name}",
        title=f"{name}, one part through its life",
        sentence=f"Part {shown['unit']} ended at {ends:.0f} {_unit(name)} (plain line). The 80 % interval of {who} held"
        f" that in {held} of {len(own)} forecasts. Below the dotted line lies what was past when it was said.",
        x_label=f"when it was said, {_unit(name)}",
        y_label=f"forecast end, {_unit(name)}",
        head=["Said at", "10 %", "Median", "90 %"],
        rows=[[f"{value:.0f}" for value in row] for row in kept],
        xs=axes.xs(),
        ys=axes.ys(),
        areas=[Line(axes.points(band), "default")],
        lines=lines,
        legend=[
            ("default", f"{who}, median and 80 %"),
            *([("two", "hours timer")] if beside else []),
            ("", "what came"),
        ],
    )


def look(model: str, default: str) -> str:
    """Return how a model is drawn: the default, ours, or what one would take instead."""
    return "default" if model == default else "one" if model in OWN else "two"


def _unit(name: str) -> str:
    return UNITS.get(name, "s")


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers between two values on a logarithmic scale, or as near as one comes to that."""
    ways = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
    within: list[float] = []
    for way in ways:
        tens = range(floor(log10(low)) - 1, floor(log10(high)) + 2)
        within = [m * 10.0**e for e in tens for m in way if low * 0.98 <= m * 10.0**e <= high * 1.02]
        if len(within) >= 3:
            break
    return within if len(within) <= 6 else within[::2]
