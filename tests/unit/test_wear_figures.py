"""Figures of the benchmark: drawn from a run's JSON alone, standing by themselves, the same words as the numbers."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.bench.svg import WIDTH
from tests.benchmarks.ingest import growth
from tests.benchmarks.wear.gates import met
from tests.benchmarks.wear_figures import draw
from tests.benchmarks.wear_figures.charts import charts

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def score(mae: float, cov: float, width: float) -> dict[str, Any]:
    part = {"mae": mae, "cov80": cov, "width80": width}
    return {
        **part, "cov90": cov, "width90": width * 1.3, "rmse_unit": mae, "alpha_lambda": 0.6,
        "prognosis": {"horizon_share": 0.7, "steady_horizon_share": 0.6, "relative_accuracy": 0.88},
        "by_fraction": {"0.3": {**part, "mae": 2 * mae}, "0.5": part, "0.9": {**part, "mae": mae / 4}, "0.7": {}},
    }  # fmt: skip


RUN: dict[str, Any] = {
    "default_model": "fused",
    "sets": {
        "dust": {
            "cv": {"timer": score(36.0, 0.82, 130.0), "fused": score(5.3, 0.84, 16.7), "hit": score(5.6, 0.82, 17.5)},
            "leave_one_condition_out": {"timer": {}},
        }
    },
    "lives": {
        "dust": {
            "unit": "run <7> & co", "condition": "any", "ends": 100.0,
            "models": {
                name: [(10.0, 70.0, 101.0, 130.0), (50.0, 91.0, 101.0, 109.0), (90.0, 101.0, 101.0, 99.0)]
                for name in ("fused", "timer")
            },
        }
    },
    "gates": {
        "dust_cv": {
            "aim": "both", "limits": {"mae": [None, 5.0], "cov80": [0.77, 0.85]}, "seen": {"mae": 5.3, "cov80": 0.84},
            "met": False,
        },
        "dust_wide": {"aim": "w", "limits": {"width80": [None, 17.0]}, "seen": {"width80": 16.7}, "met": True},
        "unseen": {"aim": "none", "limits": {"mae": [None, 1.0]}, "seen": None, "met": None},
    },
}  # fmt: skip


@pytest.mark.parametrize("chart", charts(RUN), ids=lambda chart: chart.key)
def test_a_figure_stands_by_itself(chart: Any) -> None:
    """Sound XML of a phone's width, in both themes, asking nobody for anything, with its sentence for a reader."""
    text = draw.svg(chart)
    root = ET.fromstring(text)  # noqa: S314  # our own text
    assert (f"{WIDTH:g}", chart.title) == (root.get("width"), root.findtext(f"{SVG}title"))
    assert chart.sentence == root.findtext(f"{SVG}desc")
    assert chart.sentence.endswith(".")
    assert "prefers-color-scheme: dark" in text
    assert [] == re.findall(r"href|url\(|@import|<script|nan", text)
    assert len(text) < 12_000
    high = float(root.get("height") or 0)
    for text_of in root.iter(f"{SVG}text"):
        assert 0 < float(text_of.get("y") or 0) < high
    assert {len(chart.head)} == {len(row) for row in chart.rows}


def test_what_was_not_measured_is_not_drawn() -> None:
    """A protocol without scores and a gate without data are left out; the rest is there, the gates last."""
    keys = [chart.key for chart in charts(RUN)]
    assert ["error-dust-cv", "coverage-dust-cv", "life-dust", "gates"] == keys
    assert ["error-dust-cv", "coverage-dust-cv"] == [chart.key for chart in charts(RUN | {"lives": {}, "gates": {}})]


def test_sentences_say_what_the_numbers_say() -> None:
    """Who errs least, how much the interval held, how often one part's end was in it, how many gates are met."""
    said = {chart.key: chart.sentence for chart in charts(RUN)}
    assert "fused errs least, by 5.3" in said["error-dust-cv"]
    assert "16.7 s wide in the mean and held 84%" in said["coverage-dust-cv"]
    assert "held that in 2 of 3 forecasts" in said["life-dust"]
    assert "fused meets 1 of 2 gates" in said["gates"]


def test_a_gate_kept_is_a_dot_and_one_missed_a_ring() -> None:
    """Where a bound is from both sides the nearer one counts; each number stands with its limit."""
    drawn = charts(RUN)[-1]
    assert ["missed", "one", "one"] == [look for _, _, look in drawn.dots]
    assert ["no", "yes", "yes"] == [row[-1] for row in drawn.rows]
    assert any("held by 80 % 0.84 (0.77 to 0.85)" in word for _, _, word in drawn.labels)


@pytest.mark.parametrize(
    ("seen", "limits", "is_met"),
    [(5.0, (None, 5.0), True), (5.1, (None, 5.0), False), (0.77, (0.77, 0.85), True), (0.86, (0.77, 0.85), False)],
)
def test_a_gate_is_met_within_its_bounds(
    seen: float, limits: tuple[float | None, float | None], *, is_met: bool
) -> None:
    """The bounds belong to what is allowed."""
    assert is_met is met({"it": seen}, {"it": limits})


def test_labels_keep_their_distance() -> None:
    """Three models at one place are told apart, and none leaves the plot."""
    places = draw.spread([200.0, 200.0, 199.0, 30.0], gap=13.0, low=12.0, high=206.0)
    apart = sorted(places)
    assert all(after - before >= 13.0 for before, after in pairwise(apart))
    assert (12.0 <= apart[0], apart[-1] <= 206.0) == (True, True)


def test_one_command_makes_them_and_takes_old_ones_away(tmp_path: Path) -> None:
    """JSON and folder in, one SVG for each figure and a page that shows each of them out."""
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "error-gone.svg").write_text("<svg/>")
    (folder / "growth.svg").write_text("<svg/>")  # another benchmark's
    command = [sys.executable, "-m", "tests.benchmarks.wear_figures", str(tmp_path / "run.json"), str(folder)]
    assert 0 == subprocess.run(command, cwd=ROOT, check=True, capture_output=True).returncode
    (folder / "growth.svg").unlink()
    page = (folder / "README.md").read_text()
    assert {chart.key for chart in charts(RUN)} == {file.stem for file in folder.glob("*.svg")}
    assert sorted(re.findall(r"\((\S+)\.svg\)", page)) == sorted(file.stem for file in folder.glob("*.svg"))


def test_the_document_shows_figures_that_are_there() -> None:
    """docs/wear-model.md refers to none that the last run did not draw."""
    page = (ROOT / "docs" / "wear-model.md").read_text()
    shown = re.findall(r"\(figures/(\S+\.svg)\)", page)
    assert len(shown) >= 10
    assert [] == [name for name in shown if not (ROOT / "docs" / "figures" / name).is_file()]


def test_ingest_s_growth_is_drawn_in_both_themes_too() -> None:
    """Nothing in it is white for good; the figure that docs/ingest-speed.md shows is as it is drawn now."""
    found = {"us_by_units": {1_000: 10.0, 100_000: 25.0}, "us_by_million_rows": {1: 10.0, 100: 9.0}}
    drawn = growth.drawn(found)
    ET.fromstring(drawn)  # noqa: S314  # our own text
    assert "prefers-color-scheme: dark" in drawn
    assert [] == re.findall(r'(?:fill|stroke)="(?!none)', drawn)
    shown = (ROOT / "docs" / "figures" / "growth-ingest.svg").read_text()
    assert drawn[: drawn.index("<path")] == shown[: shown.index("<path")]
