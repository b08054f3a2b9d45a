"""Which series the processes export, and which an expression asks for."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from gateway import metrics
from gateway.operate import fleet_metrics

OF_PROMETHEUS = {"job", "instance", "le"}  # labels that Prometheus itself adds
WORDS = {"and", "or", "unless", "on", "ignoring", "bool", "offset", "by", "without", "group_left", "group_right"}
GROUPED = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTED = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")


class Asked(NamedTuple):
    """A series that an expression names, with the labels that it selects by."""

    name: str
    labels: frozenset[str]


def series() -> dict[str, set[str]]:
    """Return each exported series with its labels."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in metrics.METRICS:
        ends = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        for end in ends:
            found[f"wearwell_{metric.name}{end}"] = {metric.label} - {""} | ({"le"} if end == "_bucket" else set())
    for figure in fleet_metrics.FIGURES:
        found[f"wearwell_{figure.name}"] = {figure.label} - {""}
    return found


def asked(expression: str) -> Iterator[Asked]:
    """Yield the series that a PromQL expression asks for."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = GROUPED.sub(" ", text)
    for name, inside in SELECTED.findall(text):
        yield Asked(name, frozenset(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)))
    text = re.sub(r"\[[^\]]*\]", " ", SELECTED.sub(" ", text))
    text = re.sub(r"\boffset\s+\w+", " ", text)
    for name in re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", text):
        if name not in WORDS:
            yield Asked(name, frozenset())


def unknown(expression: str) -> set[str]:
    """Return the series, and the labels, that an expression names and nobody exports."""
    known = series()
    wrong = set()
    for one in asked(expression):
        if one.name not in known:
            wrong.add(one.name)
        else:
            wrong |= {f"{one.name}{{{label}}}" for label in one.labels - known[one.name] - OF_PROMETHEUS}
    here = {label for one in asked(expression) for label in known.get(one.name, ())} | OF_PROMETHEUS
    grouped = {label.strip() for _, inside in GROUPED.findall(expression) for label in inside.split(",")} - {""}
    return wrong | {f"by ({label})" for label in grouped - here}
