"""docs/operating.md names every setting, command and metric, and none that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from typer.core import TyperGroup

from gateway import metrics
from gateway.cli import app
from gateway.errors import Exit
from gateway.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(group: TyperGroup, before: str = "wearwell") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


def test_every_setting_has_its_line() -> None:
    """Name, default and description stand in the table as they stand in the code."""
    lines = dict(re.findall(r"^\| `(WEARWELL_\w+)` \| (.*) \|$", section("Settings"), re.MULTILINE))
    assert {f"WEARWELL_{name.upper()}" for name in Settings.model_fields} == set(lines)
    for name, field in Settings.model_fields.items():
        assert (field.description or "") == lines[f"WEARWELL_{name.upper()}"].split(" | ")[1]


def test_every_command_has_its_line() -> None:
    """What `wearwell --help` knows, the page knows."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    named = {
        " ".join(word for word in found.split() if word[0].islower())
        for found in re.findall(r"^\| `(wearwell [^`]+)` \|", section("Commands"), re.MULTILINE)
    }
    assert set(commands(group)) == named


def test_every_exit_code_has_its_line() -> None:
    """A script can rely on what an exit code means."""
    assert {str(code.value) for code in Exit} == set(re.findall(r"^\| (\d) \|", section("Commands"), re.MULTILINE))


def test_every_metric_has_its_line() -> None:
    """What a process exports, the page explains, by the name that Prometheus shows."""
    defined = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    exported = {family.name: family.type for value in defined for family in value.collect()}
    named = dict(re.findall(r"^\| `(wearwell_\w+?)(?:\{[^}]*\})?` \| (\w+) \|", section("Watching it"), re.MULTILINE))
    assert exported == {
        name.removesuffix("_total") if kind == "counter" else name: kind for name, kind in named.items()
    }
    assert REGISTRY


@pytest.mark.parametrize("word", re.findall(r"WEARWELL_[A-Z_]+[A-Z]", PAGE))
def test_no_setting_is_made_up(word: str) -> None:
    """Wherever the page names a setting, there is one."""
    assert word.removeprefix("WEARWELL_").lower() in Settings.model_fields
