"""The table of faults: what each came to, from the lines that the tests left in test-output/faults.

python -m tests.faults.report
"""

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "test-output" / "faults"
LEDGER = ("stored", "lost", "doubled", "invented", "altered", "gaps_filled", "gaps")
TITLES = ("fault", *LEDGER[:-1], "gaps open", "recovered s", "grew KiB", "besides")


def rows(folder: Path) -> list[list[str]]:
    """Return one row for each fault that was tried, in the order of their names."""
    found = []
    for path in folder.glob("*.json"):
        told = json.loads(path.read_text())
        seen: dict[str, Any] = told["seen"]
        ledger = [str(told["ledger"][name]) if told["ledger"] else "" for name in LEDGER]
        took, grew = seen.pop("recovered_s", ""), seen.pop("grown_kib", "")
        besides = ", ".join(f"{name} {value}" for name, value in seen.items())
        found.append([told["fault"], *ledger, str(took), str(grew), besides])
    return sorted(found)


def table(folder: Path) -> str:
    """Return the rows as a Markdown table that reads well in a terminal."""
    lines = [list(TITLES), *rows(folder)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(TITLES) - 1)]
    lines.insert(1, ["-" * width for width in widths] + ["---"])
    return "\n".join(
        "| " + " | ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) + " |"
        for line in lines
    )


def main() -> int:
    """Print the table and keep it beside the lines; answer 1 where there is none."""
    if not rows(FOLDER):
        sys.stderr.write("no fault was tried yet: make faults\n")
        return 1
    (FOLDER / "table.md").write_text(table(FOLDER) + "\n")
    sys.stdout.write(table(FOLDER) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
