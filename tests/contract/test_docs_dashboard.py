"""deploy/grafana/wearwell.json draws what is exported, all of it, and in expressions that Prometheus can read."""

import json
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY, generate_latest

from gateway import metrics
from gateway.operate import fleet_metrics
from tests.contract import exported

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "wearwell.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_a_panel_asks_for_series_that_exist(title: str, expression: str) -> None:
    """A panel over a metric, or by a label, that nobody exports stays empty for ever."""
    assert set() == exported.unknown(expression), title
    assert any(one.name.startswith("wearwell_") for one in exported.asked(expression))


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(wearwell_readings_stored_total[5m])", set()),
        ("sum by (le) (rate(wearwell_commit_seconds_bucket[5m])) / 2 > 1e3", set()),
        ('max(wearwell_jobs{status="failed"} offset 1h) and on () up{job="x"} == 1', set()),
        ("rate(wearwell_readings_lost_total[5m])", {"wearwell_readings_lost_total"}),
        ("wearwell_commit_seconds", {"wearwell_commit_seconds"}),
        ("sum(wearwell_gaps_open) / sum(readings)", {"readings"}),
        ('wearwell_jobs{state="failed"}', {"wearwell_jobs{state}"}),
        ("sum by (reason) (wearwell_jobs)", {"by (reason)"}),
        ('sum(wearwell_quarantined{reason="wearwell_x"})', set()),
    ],
)
def test_what_is_made_up_is_found(expression: str, wrong: set[str]) -> None:
    """The reader of expressions itself: names, labels and groupings, with strings and durations left out."""
    assert wrong == exported.unknown(expression)


def test_every_metric_of_the_table_is_exported_under_its_name() -> None:
    """What Prometheus reads after each was used once is what expressions may ask for."""
    for metric in metrics.METRICS:
        if metric.name == "reading_age_seconds":
            metrics.observe_all(metric.name, np.zeros(1))
        elif metric.kind == "counter":
            metrics.count(metric.name, 0, "x" if metric.label else "")
        elif metric.kind == "histogram":
            metrics.observe(metric.name, 0)
        else:
            metrics.put(metric.name, 0, "x" if metric.label else "")
    names = set(re.findall(r"^(wearwell_\w+)[{ ]", generate_latest(REGISTRY).decode(), re.MULTILINE))
    figures = {f"wearwell_{figure.name}" for figure in fleet_metrics.FIGURES}
    assert set() == set(exported.series()) - names - figures - {"up"}


def test_every_metric_is_drawn() -> None:
    """What is worth counting is worth seeing, without writing an expression at night."""
    drawn = {one.name for _, expression in EXPRESSIONS for one in exported.asked(expression)}
    drawn = {re.sub(r"_(bucket|sum|count)$", "", name) for name in drawn}
    tables = {f"wearwell_{one.name}" for one in (*metrics.METRICS, *fleet_metrics.FIGURES)}
    assert set() == tables - drawn


def test_panels_stand_in_rows_and_do_not_overlap() -> None:
    """Each has its place, its number and a sentence about what it shows."""
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert ["Ingest", "Nothing lost, nothing doubled", "Units", "Store"] == rows[:4]
    assert ["Forecasts", "Prompts and orders", "Outbox and jobs"] == rows[4:]
    assert len(BOARD["panels"]) == len({panel["id"] for panel in BOARD["panels"]})
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert [] == [panel["title"] for panel in PANELS if not panel["description"].endswith(".")]


@pytest.mark.skipif(which("promtool") is None, reason="promtool (Debian's package prometheus) is not on the PATH")
def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    """Its own parser's judgement: each expression as a recording rule."""
    rules = [{"record": f"x:panel{number}", "expr": expression} for number, (_, expression) in enumerate(EXPRESSIONS)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    assert f"{len(rules)} rules found" in done.stdout
