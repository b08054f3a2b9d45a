"""What the report draws of prognosis: how often a forecast is near enough to act on, over the life of a part."""

from gateway.bench.plots import UNSEEN
from gateway.bench.prognosis import ALPHA, BETA, HORIZON_ALPHA, Prognosis
from gateway.bench.scores import Score
from gateway.bench.svg import Axes, Chart, grouped_bars

PART = "life "


def foresight(tables: dict[str, list[Score]], seen: Prognosis, name: str) -> Chart:
    """Draw alpha-lambda accuracy by share of life used, a bar for each model; `seen` are the metrics of `name`."""
    groups = list(dict.fromkeys(s.group for table in tables.values() for s in table if s.group.startswith(PART)))
    found = {model: {s.group: s.alpha_lambda for s in table} for model, table in tables.items()}
    axes = Axes((0.0, float(max(len(groups), 1))), (0.0, 1.0))
    said = UNSEEN
    if seen.cycles:
        said = (
            f"From {seen.steady_horizon_d:.0f} days before the end on, {seen.steady_horizon_share:.0%} of a life,"
            f" {name} kept within {HORIZON_ALPHA:.0%} of a life of it; {seen.never:.0%} of {seen.cycles} parts it never"
            f" foresaw so near. Its relative accuracy over life is {seen.relative_accuracy:.2f} (one is perfect)."
        )
    return Chart(
        key="foresight",
        title="Near enough to act on",
        sentence=said,
        x_label="share of life used",
        y_label="near forecasts",
        head=["Life used", *(f"{model}: {BETA:.0%} within ± {ALPHA:.0%} of what was left" for model in found)],
        rows=[
            [group.removeprefix(PART), *(f"{own[group]:.0%}" if group in own else "none" for own in found.values())]
            for group in groups
        ],
        xs=[(round(axes.x(i + 0.5), 1), group.removeprefix(PART)) for i, group in enumerate(groups)],
        ys=axes.ys(percent=True),
        bars=grouped_bars(axes, [[own.get(group) for own in found.values()] for group in groups]),
        legend=list(zip(("one", "two"), found, strict=False)),
    )
