"""A chart as an SVG that stands alone: its own paper and colours in both themes, no script, no request to anybody."""

from itertools import pairwise
from xml.sax.saxutils import escape

from gateway.bench.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart

HEAD = 40.0  # above the plot: the title, and a line that says what the marks are
STYLE = """
svg { --paper: #fffefb; --line: #dcd8cd; --ink: #1b2320; --muted: #58635d; --one: #14624f; --two: #9a3a10; }
@media (prefers-color-scheme: dark) { svg { --paper: #181d1a; --line: #323a36; --ink: #e9eeeb; --muted: #a2aea8;
  --one: #6fd3b2; --two: #ffab80; } }
.paper { fill: var(--paper); stroke: var(--line); }
text { fill: var(--muted); font: 12px ui-sans-serif, system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
g text { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
text.title { fill: var(--ink); font-weight: 600; font-size: 13px; }
text.default, text.one { fill: var(--one); } text.default { font-weight: 600; } text.two { fill: var(--two); }
.grid { stroke: var(--line); } polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
polyline.default { stroke: var(--one); stroke-width: 3; } polyline.one { stroke: var(--one); }
polyline.two { stroke: var(--two); stroke-dasharray: 6 3; }
polyline.aim { stroke: var(--muted); stroke-dasharray: 3 3; } polyline.truth { stroke: var(--ink); }
polygon.default { fill: var(--one); opacity: .22; } polygon.two { fill: var(--two); opacity: .14; }
circle.default, circle.one { fill: var(--one); } circle.two { fill: var(--two); }
circle.missed { fill: var(--paper); stroke: var(--two); stroke-width: 2.5; }
"""


def svg(chart: Chart) -> str:
    """Return the chart's SVG, WIDTH wide, as high as its labels want; who cannot see it reads title and sentence."""
    deepest = max((y for _, y, _ in chart.labels), default=0.0)
    height = HEIGHT if deepest <= HEIGHT - BOTTOM + 4.0 else deepest + BOTTOM + 6.0
    high = HEAD + height
    size = f'viewBox="0 0 {WIDTH:g} {high:g}" width="{WIDTH:g}" height="{high:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(chart.title)}</title><desc id="d">{escape(chart.sentence)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1:g}" height="{high - 1:g}" rx="10"/>',
        f'<text class="title" x="14" y="21">{escape(chart.title)}</text>',
        *_legend(chart),
        f'<g transform="translate(0 {HEAD:g})">',
        *[f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y}" y2="{y}"/>' for y, _ in chart.ys],
        *[f'<text x="{LEFT - 6:g}" y="{y + 4:g}" text-anchor="end">{escape(word)}</text>' for y, word in chart.ys],
        *[
            f'<text x="{x}" y="{height - BOTTOM + 15:g}" text-anchor="middle">{escape(word)}</text>'
            for x, word in chart.xs
        ],
        *[f'<polygon class="{area.look}" points="{area.points}"/>' for area in chart.areas],
        *[f'<polyline class="{line.look}" points="{line.points}"/>' for line in chart.lines],
        *[f'<circle class="{look}" cx="{x}" cy="{y}" r="4"/>' for x, y, look in chart.dots],
        *[_label(x, y, word) for x, y, word in chart.labels],
        _axis(chart, height),
        "</g></svg>\n",
    ]
    return "\n".join(part for part in parts if part)


def spread(places: list[float], gap: float = 13.0, low: float = TOP, high: float = HEIGHT - BOTTOM) -> list[float]:
    """Return places of labels as near to those wanted as leaves `gap` between them, within low and high."""
    order = sorted(range(len(places)), key=places.__getitem__)
    found = list(places)
    for before, here in pairwise(order):
        found[here] = max(found[here], found[before] + gap)
    excess = found[order[-1]] - high if order else 0.0
    if excess > 0:
        found[order[-1]] = high
        for after, here in pairwise(reversed(order)):
            found[here] = max(min(found[here], found[after] - gap), low)
    return found


def _legend(chart: Chart) -> list[str]:
    x, parts = 14.0, []
    for look, name in chart.legend:
        parts.append(f'<text class="{look}" x="{x:g}" y="37">{escape(name)}</text>')
        x += (7.2 if look == "default" else 6.4) * len(name) + 14.0
    return parts


def _label(x: float, y: float, word: str) -> str:
    look, _, text = word.rpartition("|")
    return f'<text class="{look}" x="{x:g}" y="{y:g}">{escape(text)}</text>' if text else ""


def _axis(chart: Chart, height: float) -> str:
    middle = (WIDTH + LEFT - RIGHT) / 2
    across = f'<text x="{middle:g}" y="{height - 5:g}" text-anchor="middle">{escape(chart.x_label)}</text>'
    up = (height - BOTTOM + TOP) / 2
    return across + (
        f'<text x="12" y="{up:g}" text-anchor="middle" transform="rotate(-90 12 {up:g})">{escape(chart.y_label)}</text>'
        if chart.y_label
        else ""
    )
