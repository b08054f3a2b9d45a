"""docs/dependencies.md has one line for each package we depend on, and none for another."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_list_is_the_one_in_pyproject() -> None:
    """A dependency without a reason, or a reason without its dependency, is a mistake."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[\[<>=; ]", requirement)[0] for requirement in asked}
    page = (ROOT / "docs" / "dependencies.md").read_text().split("## Vendored")[0]
    assert names == set(re.findall(r"^\| ([a-z0-9-]+) \|", page, re.MULTILINE)) - {"package"}
