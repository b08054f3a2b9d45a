"""docs/operating.md names every setting, command and metric, and none that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from gateway import metrics
from gateway.cli import app
from gateway.errors import Exit
from gateway.operate import fleet_metrics
from gateway.registry.channels import CHANNELS
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text()
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def helps(group: TyperGroup, before: str = "wearwell") -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from helps(command, f"{before} {name}")
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield f"{before} {name}", (command.help or "").strip().splitlines()[0]


def test_every_setting_has_its_line() -> None:
    """Name, default and description stand in the table as they stand in the code."""
    lines = dict(re.findall(r"^\| `(WEARWELL_\w+)` \| (.*) \|$", section("Settings"), re.MULTILINE))
    assert {f"WEARWELL_{name.upper()}" for name in Settings.model_fields} == set(lines)
    for name, field in Settings.model_fields.items():
        assert (field.description or "") == lines[f"WEARWELL_{name.upper()}"].split(" | ")[1]


def test_every_command_has_its_line() -> None:
    """What `wearwell --help` knows, the page knows, in the same sentence."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    rows = re.findall(r"^\| `(wearwell [^`]+)` \| (.*) \|$", section("Commands"), re.MULTILINE)
    said = {" ".join(word for word in found.split() if word[0].islower()): line for found, line in rows}
    assert dict(helps(group)) == said


def test_the_processes_of_the_readme_do_not_want_the_same_port() -> None:
    """Its lines can be pasted into one shell of one machine: the three processes run, each with metrics of its own."""
    lines = re.findall(r"^(?:WEARWELL_METRICS_PORT=(\d+) )?wearwell (serve|ingest|work)\b", README, re.MULTILINE)
    assert ["serve", "ingest", "work"] == [name for _, name in lines]
    usual = Settings.model_fields["metrics_port"].default
    taken = [Settings(_env_file=None, metrics_port=int(port or usual)).metrics_port for port, _ in lines]
    assert 4 == len({*taken, Settings.model_fields["http_port"].default})


def test_every_standard_channel_has_its_line() -> None:
    """What a maker need not declare stands in the table, with the bounds that are believed."""
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (counter|gauge|state) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [(c.name, c.unit, c.kind, f"{c.low:.0f} to {c.high:.0f}") for c in CHANNELS] == rows


def test_every_exit_code_has_its_line() -> None:
    """A script can rely on what an exit code means."""
    assert {str(code.value) for code in Exit} == set(re.findall(r"^\| (\d) \|", section("Commands"), re.MULTILINE))


def test_every_metric_has_its_line() -> None:
    """What a process exports, the page explains, by the name that Prometheus shows."""
    exported = {(metric.name, metric.label, metric.kind) for metric in metrics.METRICS}
    exported |= {(figure.name, figure.label, "gauge") for figure in fleet_metrics.FIGURES}
    rows = re.findall(r"^\| `wearwell_(\w+?)(?:\{(\w+)\})?` \| (\w+) \|", section("Watching it"), re.MULTILINE)
    assert exported == set(rows)


@pytest.mark.parametrize("word", re.findall(r"WEARWELL_[A-Z_]+[A-Z]", PAGE))
def test_no_setting_is_made_up(word: str) -> None:
    """Wherever the page names a setting, there is one."""
    assert word.removeprefix("WEARWELL_").lower() in Settings.model_fields
