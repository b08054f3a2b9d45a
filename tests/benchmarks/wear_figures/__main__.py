"""Figures of a benchmark's run: `python -m tests.benchmarks.wear_figures JSON FOLDER`.

JSON is what `python -m tests.benchmarks.wear --json` wrote. FOLDER gets one SVG for each figure and a README.md with
every sentence and table; figures that a run has no numbers for are left out, and older ones of the same name removed.
"""

import argparse
import json
from pathlib import Path

from tests.benchmarks.wear_figures import draw, page
from tests.benchmarks.wear_figures.charts import charts

KINDS = ("error-", "coverage-", "life-", "gates")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, help="what the benchmark wrote")
    parser.add_argument("folder", type=Path, help="where the figures go")
    given = parser.parse_args()
    try:
        run = json.loads(given.json.read_text("utf-8"))
    except (OSError, ValueError) as error:
        parser.error(f"{given.json} cannot be read: {error}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:  # a set that is no longer drawn leaves nothing behind; other benchmarks' figures stay
        for old in given.folder.glob(f"{kind}*.svg"):
            old.unlink()
    drawn = charts(run)
    for chart in drawn:
        (given.folder / f"{chart.key}.svg").write_text(draw.svg(chart), "utf-8")
    (given.folder / "README.md").write_text(page.page(drawn), "utf-8")
    print(f"{len(drawn)} figures in {given.folder}")


if __name__ == "__main__":
    main()
