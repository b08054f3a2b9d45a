"""The report: one page that asks nobody for anything, and the same data as JSON."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from gateway.bench import plots, report
from gateway.bench.contender import recipe
from gateway.bench.report import Report
from gateway.bench.svg import round_numbers
from tests import bench_field


@pytest.fixture(scope="module")
def found() -> Report:
    record = bench_field.record_of(bench_field.field(homes=24))
    return report.report(record, recipe("weibull"), recipe("rated"), product='Hood <b>"X"</b>', count=4)


class Tags(HTMLParser):
    """Collects every tag with its attributes, and that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()


def test_the_page_stands_alone(found: Report) -> None:
    """No script, no link, no image, no address of anybody; what people wrote stays text."""
    page = found.as_html()
    tags = Tags()
    tags.feed(page)
    assert [] == tags.open
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in tags.seen}
    assert [] == [value for _, attrs in tags.seen for name, value in attrs.items() if name in ("src", "href")]
    assert [] == re.findall(r"https?://|url\(|@import", page)
    assert "Hood &lt;b&gt;" in page
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", page.lower())
    assert "prefers-color-scheme: dark" in page


def test_each_chart_has_a_sentence_and_a_table(found: Report) -> None:
    """Who cannot see a chart reads what it shows."""
    charts = {chart.key for chart in found.charts}
    assert {"life", "predicted", "coverage", "pit", "error-life", "foresight", "error-cohort", "trade-off"} == charts
    for chart in found.charts:
        assert chart.sentence.endswith(".")
        assert chart.rows
        assert {len(chart.head)} == {len(row) for row in chart.rows}
    page = found.as_html()
    assert len(found.charts) == drawn(page)


def drawn(page: str) -> int:
    """Return how many charts a page draws, each with its table."""
    (count,) = {page.count(mark) for mark in ("<svg", 'role="img"', "The same as a table")}
    return count


def test_one_cohort_is_said_and_not_drawn() -> None:
    """Bars by cohort of a fleet that has one would be axes with nothing between them."""
    record = bench_field.record_of(bench_field.field(homes=12))
    alike = replace(record, cycles=replace(record.cycles, cohort=("DE",) * len(record.cycles)))
    one = report.report(alike, recipe("weibull"), recipe("rated"), product="Hood", count=2)
    [chart] = [chart for chart in one.charts if chart.key == "error-cohort"]
    assert ("All parts are of one cohort.", []) == (chart.sentence, chart.rows)
    page = one.as_html()
    assert chart.sentence in page
    assert len(one.charts) - 1 == drawn(page)


def test_a_page_says_one_coverage(found: Report) -> None:
    """What the head of the page says that the 80 and 90 % intervals held, the chart says too: a cycle counts once."""
    [chart] = [chart for chart in found.charts if chart.key == "coverage"]
    score, said = found.evaluation.scores[0], {row[0]: row[1] for row in chart.rows}
    assert (f"{score.cov80:.0%}", f"{score.cov90:.0%}") == (said["80%"], said["90%"])


def test_the_same_data_come_as_json(found: Report) -> None:
    """Scores, comparison, drift and every chart's table; nothing that JSON cannot hold."""
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert found.evaluation.scores[0].mae_d == pytest.approx(data["evaluation"]["scores"][0]["mae_d"])
    assert [chart.title for chart in found.charts] == [chart["title"] for chart in data["charts"]]
    assert {"exposure_rate", "pit", "support"} <= {each["code"] for each in data["drift"]}
    assert data["comparison"]["promote"] is False
    assert found.evaluation.prognosis.horizon_d == pytest.approx(data["evaluation"]["prognosis"]["horizon_d"])
    assert {"alpha_lambda", "late_rate", "stock_out_rate", "cost"} <= set(data["evaluation"]["timer_scores"][0])


def test_a_slot_without_an_end_has_a_report_as_well() -> None:
    """A new product: nothing can be judged yet, and the page says so."""
    worn = [one for one in bench_field.field(homes=6, days=40.0) if one.label is None]
    young = report.report(
        bench_field.record_of(worn, 40.0), recipe("weibull"), recipe("rated"), product="Hood", count=2
    )
    page = young.as_html()
    assert "nothing can be judged yet" in page
    assert "nan" not in page
    assert ["life", "pit"] == [chart.key for chart in young.charts if chart.rows]  # parts that run tell something
    assert {"No forecast can be judged by an end yet.", "No cycle can be replayed yet."} == {
        chart.sentence for chart in young.charts if not chart.rows
    }
    assert 2 == drawn(page)
    json.dumps(young.as_json(), allow_nan=False)


def test_the_life_curve_counts_the_censored() -> None:
    """By hand: of four parts one ends at 10, one is lost at 20, one ends at 30, one still runs at 40."""
    lives = [(10.0, True), (20.0, False), (30.0, True), (40.0, False)]
    worn = [
        bench_field.Worn(i, 0.0, age, age, {"censored": not ended, "witnessed": True}, ((0.0, {"indicator": 1.0}),))
        for i, (age, ended) in enumerate(lives)
    ]
    curve = plots.survival(bench_field.record_of(worn, 50.0))
    assert [(0.0, 1.0, 0, 4), (10.0, 0.75, 1, 4), (30.0, 0.375, 1, 2)] == curve


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 173.2), (-5.0, 5.0), (0.0, 0.013), (3.0, 4e6)])
def test_axes_have_a_few_round_numbers(low: float, high: float) -> None:
    """Three to nine of them, within the axis, evenly apart."""
    numbers = np.array(round_numbers(low, high))
    assert 3 <= numbers.size <= 9
    assert low <= numbers.min()
    assert numbers.max() <= high * 1.0000001
    assert np.allclose(np.diff(numbers), numbers[1] - numbers[0])
