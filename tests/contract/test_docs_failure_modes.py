"""docs/failure-modes.md says what can go wrong; each of its lines names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/failure-modes.md").read_text()
FILES = {place: ROOT / f"tests/{place}/test_failure_modes.py" for place in ("unit", "integration")}
LISTED = (
    "noise crossing low levels early", "knee", "sensor bias", "sensor swap", "sensor stuck",
    "pressure drop at another flow", "regeneration and partial cleaning", "counter rollover",
    "counter reset without replacement", "replacement without reset", "offline gaps", "late data", "duplicate data",
    "change of use", "unseen product model", "unseen environment", "zero failures", "informative censoring",
    "threshold edited mid-life", "season", "sudden failure", "bad input",
)  # fmt: skip


def lines(page: str) -> dict[str, list[str]]:
    """What goes wrong, with the cells of its line."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    return {row[0]: row for row in rows if row[0] != "what goes wrong"}


def cases_of(place: str) -> set[str]:
    tree = ast.parse(FILES[place].read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def missing(page: str) -> list[str]:
    """What a page says and the tests do not hold: lines without a test, names that no test has."""
    found: list[str] = []
    for what, row in lines(page).items():
        place, named = "", 0
        for word, name in re.findall(r"\b(unit|integration)\b|`(test_\w+)`", row[-1]):
            place = word or place
            if name:
                named += 1
                found += [] if place and name in cases_of(place) else [f"{what}: {name}"]
        found += [] if named else [f"{what}: no test"]
    return found


def test_every_line_names_tests_that_exist() -> None:
    """A reader who looks for the test of a line finds it."""
    assert [] == missing(PAGE)
    assert all(len(row) == 4 and all(row) for row in lines(PAGE).values())


def test_every_failure_that_the_design_lists_has_its_line() -> None:
    """Nothing of the list was forgotten."""
    assert set() == set(LISTED) - lines(PAGE).keys()


@pytest.mark.parametrize(
    "line",
    [
        "| a | b | c | unit `test_that_nobody_wrote` |",
        "| a | b | c | looked at by hand |",
        "| a | b | c | integration `test_the_knee_is_forecast_from_levels_not_from_a_line` |",  # in the other file
    ],
)
def test_a_line_without_its_test_is_found(line: str) -> None:
    """Planted: a test that does not exist, a line that names none, a test that lies elsewhere."""
    assert 1 == len(missing(line))
