"""The page beside the figures: each with its sentence and its table."""

from collections.abc import Sequence

from gateway.bench.svg import Chart

HEAD = """# Figures of the wear benchmark

Made by `python -m tests.benchmarks.wear_figures JSON docs/figures` from what
`python -m tests.benchmarks.wear --data ROOT --json JSON` measured; nothing here is written by hand.
What the numbers mean: [../wear-model.md](../wear-model.md).
"""


def page(charts: Sequence[Chart]) -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *(_section(chart) for chart in charts)])


def _section(chart: Chart) -> str:
    lines = [
        f"## {chart.title}",
        "",
        f"![{chart.title}]({chart.key}.svg)",
        "",
        chart.sentence,
        "",
        _row(chart.head),
        _row(["---"] * len(chart.head)),
        *(_row(row) for row in chart.rows),
        "",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
