"""The lock files hold every dependency with its hashes, and no address."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=; ]", requirement)[0].lower()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_versions_and_hashes_and_no_address(lock: str) -> None:
    """Every pinned line is followed by a hash, and nothing names a host."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [] == [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def test_every_dependency_is_locked() -> None:
    """What pyproject.toml asks for stands in the locks: `make lock` was not forgotten."""
    locked = set(
        re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    )
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert set() == {name_of(requirement) for requirement in asked} - locked
