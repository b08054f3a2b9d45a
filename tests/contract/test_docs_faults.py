"""docs/faults.md names every fault test, and none that does not exist; its verdicts are those of the checker."""

import ast
import re
from pathlib import Path

from tests.faults.ledger.verdict import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()
OF_THE_LEDGER = {"test_faults_ledger.py", "test_faults_command.py"}  # the page speaks of them as a whole


def test_every_fault_has_its_line() -> None:
    """A fault that is tried is told of, with what was seen."""
    there = {
        node.name
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        if path.name not in OF_THE_LEDGER
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert there == set(re.findall(r"`(test_\w+)`", PAGE))


def test_every_verdict_has_its_line() -> None:
    """What the checker can say is explained in its own words."""
    lines = dict(re.findall(r"^\| (\w+) \| ([^|]+) \|$", PAGE.split("| must be 0 |")[1].split("\n\n")[0], re.MULTILINE))
    assert lines == FAULTS
