"""Charts of the report: numbers in, an SVG's coordinates, a sentence and a table out. No script, no inline style."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor, log10

import numpy as np

WIDTH, HEIGHT = 360.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 18.0, 12.0, 34.0
Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A polyline of one kind: `look` is its class, `name` its legend, empty without one."""

    points: str
    look: str
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """One drawn chart with its sentence and its table twin."""

    key: str
    title: str
    sentence: str
    x_label: str
    y_label: str
    head: list[str]
    rows: list[list[str]]
    xs: list[tuple[float, str]]
    ys: list[tuple[float, str]]
    lines: list[Line] = field(default_factory=list)
    areas: list[Line] = field(default_factory=list)
    dots: list[tuple[float, float, str]] = field(default_factory=list)
    ticks: list[tuple[float, float]] = field(default_factory=list)
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)


class Axes:
    """Straight scales from values to coordinates, with round numbers on them."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x_low, self.x_high = x[0], x[1] if x[1] > x[0] else x[0] + 1.0
        self.y_low, self.y_high = y[0], y[1] if y[1] > y[0] else y[0] + 1.0

    def x(self, value: float) -> float:
        """Return the horizontal place of a value, kept within the chart."""
        share = (min(max(value, self.x_low), self.x_high) - self.x_low) / (self.x_high - self.x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Return the vertical place of a value, kept within the chart."""
        share = (min(max(value, self.y_low), self.y_high) - self.y_low) / (self.y_high - self.y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def points(self, pairs: Pairs) -> str:
        """Return pairs of values as the points of a polyline."""
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in pairs)

    def xs(self, *, percent: bool = False) -> list[tuple[float, str]]:
        """Return round numbers along the horizontal axis."""
        return [(self.x(v), _word(v, percent=percent)) for v in round_numbers(self.x_low, self.x_high)]

    def ys(self, *, percent: bool = False) -> list[tuple[float, str]]:
        """Return round numbers along the vertical axis."""
        return [(self.y(v), _word(v, percent=percent)) for v in round_numbers(self.y_low, self.y_high)]


def round_numbers(low: float, high: float, about: int = 4) -> list[float]:
    """Return about so many round numbers from low to high."""
    step = (high - low) / about
    size = 10.0 ** floor(log10(step))
    step = next(m * size for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * size >= step * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(first + i * step), 10) for i in range(int((high - first) / step + 1e-9) + 1)]


def grouped_bars(axes: Axes, values: Sequence[Sequence[float | None]]) -> list[tuple[float, float, float, float, str]]:
    """Return bars (x, y, width, height, look), `values[i][k]` that of model k in group i; none where it is None."""
    bars = []
    for i, group in enumerate(values):
        wide = round((axes.x(1.0) - axes.x(0.0)) * 0.8 / max(len(group), 1), 1)
        for k, value in enumerate(group):
            if value is not None:
                x, y = axes.x(i + 0.1) + k * wide, axes.y(value)
                bars.append((round(x, 1), y, round(wide - 1, 1), round(HEIGHT - BOTTOM - y, 1), ("one", "two")[k % 2]))
    return bars


def steps(pairs: Pairs) -> list[tuple[float, float]]:
    """Return the corners of a step function that falls at each pair."""
    corners: list[tuple[float, float]] = []
    for x, y in pairs:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def _word(value: float, *, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:,.4g}"
