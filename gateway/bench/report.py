"""The report of a slot: one self-contained page, and the same data as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from commerce import money
from gateway.bench import backtest, compare, drift, evaluate, plot_foresight, plots, whatif
from gateway.bench.backtest import Progress
from gateway.bench.compare import Comparison, Rule
from gateway.bench.contender import Contender
from gateway.bench.drift import Finding
from gateway.bench.evaluate import Evaluation
from gateway.bench.plain import plain
from gateway.bench.record import Record
from gateway.bench.svg import HEIGHT, LEFT, WIDTH, Chart

RATIOS = (1.0, 2.0, 4.0, 9.0, 19.0)
PAGES = Environment(
    loader=PackageLoader("gateway.bench", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAGES.filters["money"] = money.words


@dataclass(frozen=True)
class Report:
    """Hold everything that the page shows."""

    slot: str
    product: str
    made_at: datetime
    champion: str
    challenger: str
    evaluation: Evaluation
    comparison: Comparison
    drift: list[Finding]
    charts: list[Chart]
    currency: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the same data as plain values: of charts, their titles, sentences and tables."""
        kept = ("key", "title", "sentence", "head", "rows")
        return {
            **{name: plain(getattr(self, name)) for name in ("slot", "product", "champion", "challenger", "currency")},
            "made_at": self.made_at.isoformat(),
            "evaluation": plain(self.evaluation),
            "comparison": {**plain(self.comparison), "promote": self.comparison.promote},
            "drift": plain(self.drift),
            "charts": [{name: plain(getattr(chart, name)) for name in kept} for chart in self.charts],
        }

    def as_html(self) -> str:
        """Return one page: no script, no request to anybody, both themes, readable on a phone."""
        frame = {"width": WIDTH, "height": HEIGHT, "left": LEFT}
        return PAGES.get_template("report.html.j2").render(report=self, frame=frame)


def report(
    record: Record,
    champion: Contender,
    challenger: Contender,
    *,
    product: str,
    rule: Rule | None = None,
    count: int = backtest.ORIGINS,
    progress: Progress | None = None,
) -> Report:
    """Return the report of a record: the champion measured, compared with a challenger, and where drift stands."""
    days = backtest.origins(record, count)
    found = evaluate.evaluate(record, champion, days, progress=progress)
    pair = compare.compare(record, champion, challenger, rule, at=days, progress=progress)
    said = {one.name: backtest.backtest(record, one, days) for one in (champion, challenger)}
    shared = np.intersect1d(said[champion.name].rows, said[challenger.name].rows)
    said = {name: each.take(np.isin(each.rows, shared)) for name, each in said.items()}
    own = said[champion.name]
    tables = {name.split(" ", 1)[1]: table for name, table in pair.scores.items()}
    declared = record.slot.cost_late / record.slot.cost_early
    ratios = tuple(sorted({*RATIOS, declared}))
    charts = [
        plots.life(record),
        plots.predicted(record, own),
        plots.coverage(record, said),
        plots.pit(record, own),
        plots.error(tables, "life ", "Error over the life of a part", "share of life used"),
        plot_foresight.foresight(tables, found.prognosis, champion.name),
        plots.error(tables, "cohort ", "Error by cohort", "cohort"),
        plots.trade_off(record, whatif.trade_off(record, champion.predictor, ratios), declared),
    ]
    return Report(
        slot=record.slot.name,
        product=product,
        made_at=record.date(record.until_d),
        champion=champion.name,
        challenger=challenger.name,
        evaluation=found,
        comparison=pair,
        drift=drift.look(record),
        charts=charts,
        currency=record.money.currency if record.money else None,
    )
