"""What the report draws: life, calibration, error, trade-off; each with a sentence and a table."""

import numpy as np

from commerce import money
from gateway.bench import scores
from gateway.bench.backtest import GRID, Backtest
from gateway.bench.pit import histogram
from gateway.bench.record import Record
from gateway.bench.replay import Outcome
from gateway.bench.scores import Score
from gateway.bench.svg import BOTTOM, HEIGHT, Axes, Chart, Line, grouped_bars, steps

MOST_DOTS = 250
UNSEEN = "No forecast can be judged by an end yet."  # what a chart without rows says, which is not drawn


def survival(record: Record) -> list[tuple[float, float, int, int]]:
    """Return (age in days, share that lasts longer, ends at that age, at risk), by Kaplan & Meier (1958)."""
    known = np.isfinite(record.alive_until_d)
    age = (record.alive_until_d - record.cycles.began_d)[known]
    ended = record.ended[known]
    share, found = 1.0, [(0.0, 1.0, 0, int(age.size))]
    for at in np.unique(age[ended]):
        risk, ends = int((age >= at).sum()), int((ended & (age == at)).sum())
        share *= 1.0 - ends / risk
        found.append((float(at), share, ends, risk))
    return found


def life(record: Record) -> Chart:
    """Draw how long parts last, and at which ages those are that have not ended."""
    curve = survival(record)
    known = record.censored
    lost = np.sort((record.alive_until_d - record.cycles.began_d)[known])
    reach = max(curve[-1][0], float(lost.max(initial=1.0)), record.slot.life_d)
    axes = Axes((0.0, reach), (0.0, 1.0))
    corners = [*steps([(age, share) for age, share, _, _ in curve]), (reach, curve[-1][1])]
    middle = next((age for age, share, _, _ in curve if share <= 0.5), None)
    half = f"half of them are over after {middle:.0f} days" if middle is not None else "fewer than half have ended"
    ages, shares = np.array([row[0] for row in curve]), np.array([row[1] for row in curve])
    at = shares[np.searchsorted(ages, lost, side="right") - 1]
    rated = record.slot.life_d
    return Chart(
        key="life",
        title="How long parts last",
        sentence=f"{int(record.ended.sum())} parts were seen to end, and {half}; {lost.size} more had not ended when"
        f" they were last seen (ticks) and count with that. Rated: {rated:.0f} days (dashed).",
        x_label="days since fitting",
        y_label="still going",
        head=["Days", "Lasts longer", "Ended", "At risk"],
        rows=[[f"{a:.0f}", f"{s:.0%}", str(d), str(n)] for a, s, d, n in curve[:: max(1, len(curve) // 20)]],
        xs=axes.xs(),
        ys=axes.ys(percent=True),
        lines=[
            Line(axes.points(corners), "one", "parts"),
            Line(axes.points([(rated, 0.0), (rated, 1.0)]), "aim", "rated life"),
        ],
        ticks=[(axes.x(float(x)), axes.y(float(y))) for x, y in list(zip(lost, at, strict=True))[:MOST_DOTS]],
        legend=[("one", "parts"), ("aim", "rated life")],
    )


def predicted(record: Record, said: Backtest) -> Chart:
    """Draw the forecast of each cycle about its middle against what came."""
    judged = scores.judge(record, said)
    best: dict[int, int] = {}
    for i in np.argsort(np.abs(judged.fraction - 0.5), kind="stable"):
        best.setdefault(int(judged.cycle[i]), int(i))
    rows = np.array(sorted(best.values()), dtype=np.int64)
    rows = rows[:: max(1, rows.size // MOST_DOTS)]
    made = judged.end_d - judged.horizon_d
    left, came = (judged.backtest.at(0.5) - made)[rows], judged.horizon_d[rows]
    inside = judged.inside(0.1, 0.9)[rows]
    reach = float(max(np.quantile(left, 0.98, method="higher") if left.size else 1.0, came.max(initial=1.0)))
    axes = Axes((0.0, reach), (0.0, reach))
    pairs = list(zip(came.tolist(), left.tolist(), inside.tolist(), strict=True))
    error = float(np.mean(np.abs(left - came))) if left.size else float("nan")
    count = int(inside.sum())
    return Chart(
        key="predicted",
        title="Forecast against what came",
        sentence=UNSEEN
        if not rows.size
        else f"Forecasts about the middle of life were off by {error:.1f} days in the mean; of {rows.size} ends"
        f" {count} lay in the 80 % interval. Above the dashed line the forecast was too late.",
        x_label="days that were left",
        y_label="days forecast",
        head=["Were left", "Forecast", "Within 80 %"],
        rows=[
            [f"{c:.0f}", f"{f:.0f}", "yes" if i else "no"]
            for c, f, i in list(zip(came, left, inside, strict=True))[:40]
        ],
        xs=axes.xs(),
        ys=axes.ys(),
        lines=[Line(axes.points([(0.0, 0.0), (reach, reach)]), "aim")],
        dots=[(axes.x(c), axes.y(f), "one" if held else "two") for c, f, held in pairs],
        legend=[("one", "within the 80 % interval"), ("two", "outside it")],
    )


def coverage(record: Record, said: dict[str, Backtest]) -> Chart:
    """Draw which share of ends lies within each middle interval: on the diagonal they hold what they say."""
    nominal = [round(1 - 2 * q, 2) for q in GRID if q < 0.5]
    axes, lines, held, ends = Axes((0.0, 1.0), (0.0, 1.0)), [], {}, 0
    for look, (name, each) in zip(("one", "two"), said.items(), strict=False):
        judged = scores.judge(record, each)
        ends += judged.cycle.size
        share = judged.share(np.ones(judged.cycle.size, dtype=np.bool_))
        shares = [float(share @ judged.inside(q, round(1 - q, 2))) for q in GRID if q < 0.5]
        held[name] = shares
        pairs = sorted([(0.0, 0.0), *zip(nominal, shares, strict=True), (1.0, 1.0)])
        lines.append(Line(axes.points(pairs), look, name))
    first, shares = next(iter(held.items()))
    cov80 = shares[nominal.index(0.8)]
    word = "about as wide as they should be" if abs(cov80 - 0.8) < 0.06 else "too narrow" if cov80 < 0.8 else "too wide"
    return Chart(
        key="coverage",
        title="What intervals hold",
        sentence=UNSEEN
        if not ends
        else f"The 80 % interval of {first} held {cov80:.0%} of the ends: its intervals are {word}.",
        x_label="what an interval says",
        y_label="ends that it held",
        head=["Says", *held],
        rows=[[f"{n:.0%}", *(f"{held[name][i]:.0%}" for name in held)] for i, n in enumerate(nominal if ends else [])],
        xs=axes.xs(percent=True),
        ys=axes.ys(percent=True),
        lines=[Line(axes.points([(0.0, 0.0), (1.0, 1.0)]), "aim"), *lines],
        legend=list(zip(("one", "two"), held, strict=False)),
    )


def pit(record: Record, said: Backtest) -> Chart:
    """Draw where ends lie in their forecasts: flat is calibrated, a heap on the left is too late."""
    mass = histogram(record, said)
    judged = bool(np.isfinite(mass).all())
    shown = mass if judged else np.zeros_like(mass)
    axes = Axes((0.0, 1.0), (0.0, max(0.25, float(shown.max()) * 1.1)))
    low, high = float(mass[:3].sum()), float(mass[-3:].sum())
    wide = axes.x(0.1) - axes.x(0.0) - 2
    return Chart(
        key="pit",
        title="Where ends lie in their forecasts",
        sentence=UNSEEN
        if not judged
        else f"Ends {_shape(low, high)}: {low:.0%} lie in the earliest three tenths of their forecast, {high:.0%} in"
        " the latest (30 % each would be right). Ends that were not seen are spread over what was left.",
        x_label="place in the forecast (PIT)",
        y_label="share",
        head=["Place", "Share"],
        rows=[[f"{i / 10:.1f}-{(i + 1) / 10:.1f}", f"{share:.1%}"] for i, share in enumerate(mass) if judged],
        xs=axes.xs(),
        ys=axes.ys(percent=True),
        bars=[
            (axes.x(i / 10) + 1, axes.y(float(share)), wide, round(HEIGHT - BOTTOM - axes.y(float(share)), 1), "one")
            for i, share in enumerate(shown)
        ],
        lines=[Line(axes.points([(0.0, 0.1), (1.0, 0.1)]), "aim")],
    )


def _shape(low: float, high: float) -> str:
    """Return how ends lie, from the shares in the earliest and the latest three tenths of their forecasts."""
    if low < 0.22 and high < 0.22:
        return "heap in the middle, so intervals could be narrower"
    if low > 0.38 and high > 0.38:
        return "heap at both edges, so intervals are too narrow"
    if max(low, high) <= 0.4:
        return "are spread evenly"
    return "mostly come earlier than forecast" if low > high else "mostly come later than forecast"


def error(tables: dict[str, list[Score]], prefix: str, title: str, x_label: str) -> Chart:
    """Draw the mean absolute error by part of life or by cohort, a bar for each model."""
    groups = list(dict.fromkeys(s.group for table in tables.values() for s in table if s.group.startswith(prefix)))
    found = {name: {s.group: s for s in table} for name, table in tables.items()}
    top = max((found[n][g].mae_d for n in found for g in groups if g in found[n]), default=1.0)
    axes = Axes((0.0, float(max(len(groups), 1))), (0.0, top * 1.08))
    values = [[found[name][group].mae_d if group in found[name] else None for name in found] for group in groups]
    first = next(iter(found), "")
    own = [found[first][g] for g in groups if first and g in found[first]]
    worst = max(own, key=lambda s: s.mae_d, default=None)
    any_judged = any(table for table in tables.values())
    said = "All parts are of one cohort." if any_judged and prefix.startswith("cohort") else UNSEEN
    if worst:
        where = worst.group.removeprefix(prefix)
        said = f"{first} errs most at {where} ({x_label}): {worst.mae_d:.1f} days in the mean of {worst.cycles} cycles."
    return Chart(
        key=f"error-{prefix.strip()}",
        title=title,
        sentence=said,
        x_label=x_label,
        y_label="days off, mean",
        head=["Group", *(f"{name}: days off · held 80 %" for name in found), "Cycles"],
        rows=[
            [g, *(f"{found[n][g].mae_d:.1f} · {found[n][g].cov80:.0%}" if g in found[n] else "none" for n in found),
             str(max((found[n][g].cycles for n in found if g in found[n]), default=0))]
            for g in groups
        ],
        xs=[(round(axes.x(i + 0.5), 1), group.removeprefix(prefix)[:9]) for i, group in enumerate(groups)],
        ys=axes.ys(),
        bars=grouped_bars(axes, values),
        legend=list(zip(("one", "two"), found, strict=False)),
    )  # fmt: skip


def trade_off(record: Record, outcomes: list[Outcome], ratio: float) -> Chart:
    """Draw days thrown away against days run past the end, over what a day late costs; money stands in the table."""
    outcomes = [each for each in outcomes if each.cycles]
    reach_x, reach_y = max((o.early_d for o in outcomes), default=1.0), max((o.late_d for o in outcomes), default=1.0)
    axes = Axes((0.0, reach_x * 1.15 or 1.0), (0.0, reach_y * 1.15 or 1.0))

    def cost(outcome: Outcome) -> str:
        if record.money is None or outcome.money_minor is None:
            return f"{outcome.cost:.2f}"
        return money.words(outcome.money_minor, record.money.currency)

    stands = min(outcomes, key=lambda o: abs(float(o.contender) - ratio), default=None)
    best = min(outcomes, key=lambda o: o.cost, default=None)
    said = "No cycle can be replayed yet."
    if stands and best:
        said = (
            f"With a day late at {ratio:g} times a day early, {stands.early_d:.1f} days of life are thrown away and"
            f" {stands.late_d:.1f} run past the end per part: {cost(stands)}, at the declared costs."
            f" {stands.late_rate:.0%} were asked too late, {stands.stock_out_rate:.0%} had no part at the end."
        )
    pairs = [(o.early_d, o.late_d) for o in outcomes]
    return Chart(
        key="trade-off",
        title="Too early, too late, and what it costs",
        sentence=said,
        x_label="days thrown away, per part",
        y_label="days late, per part",
        head=["Late : early", "Days early", "Days late", "Asked too late", "No part at the end", "Cost per part"],
        rows=[_replayed(o, cost(o)) for o in outcomes],
        xs=axes.xs(),
        ys=axes.ys(),
        lines=[Line(axes.points(pairs), "one")],
        dots=[(axes.x(o.early_d), axes.y(o.late_d), "two" if o is stands else "one") for o in outcomes],
        labels=[(axes.x(o.early_d) + 6, axes.y(o.late_d) - 5, f"{o.contender}:1") for o in outcomes],
        legend=[("one", "another cost of a day late"), ("two", "nearest to the declared one")],
    )


def _replayed(outcome: Outcome, cost: str) -> list[str]:
    days = [f"{outcome.contender} : 1", f"{outcome.early_d:.1f}", f"{outcome.late_d:.2f}"]
    return [*days, f"{outcome.late_rate:.0%}", f"{outcome.stock_out_rate:.0%}", cost]
