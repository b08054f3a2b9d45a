"""docs/bench.md: every example of the page runs, in order, as a manufacturer would type it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway import cli, clock
from gateway.bench import notebook
from gateway.bench.compare import Rule
from gateway.replay.history import files
from gateway.replay.history.ledger import EVENT
from tests import bench_field, recorded
from tests.bench_field import at

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text()
HISTORY = PAGE.split("\n## Bring a history\n")[1].split("\n## ")[0]  # in a deployment of its own: a test of its own
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.replace(HISTORY, ""))
GTIN = "09520000000035"


@pytest.mark.timeout(1800)
def test_every_example_runs(
    dsn: str, conn: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A product model that the code has never heard of is declared, measured and tuned from the page alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEARWELL_DATABASE_DSN", dsn)
    monkeypatch.setattr(clock, "now", lambda: at(400.0))
    names: dict[str, Any] = {}
    for kind, text in BLOCKS:
        if kind == "toml":
            (tmp_path / "maker.toml").write_text(text)
        elif kind == "sh":
            for line in text.splitlines():
                run(monkeypatch, capsys, line)
                if line == "wearwell declare maker.toml":
                    bench_field.fill(conn, GTIN, bench_field.field(homes=16, days=400.0, every_d=8.0))
                    conn.commit()
        else:
            exec(compile(text, "docs/bench.md", "exec"), names)  # noqa: S102  # the page is ours
    assert {"toml", "sh", "python"} == {kind for kind, _ in BLOCKS}
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


@pytest.fixture
def recording(open_folder: Path) -> Path:
    """The folder of the page's example history, its declaration and its files."""
    folder = open_folder / "recorded"
    folder.mkdir()
    (folder / "maker.toml").write_text(next(text for kind, text in BLOCKS if kind == "toml"))
    for name, text in re.findall(r"^`recorded/(\w+\.csv)`:\n\n```csv\n(.*?)^```$", HISTORY, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text)
    return folder


def test_the_files_of_the_example_history_are_what_the_page_says(recording: Path) -> None:
    """They can be read as they stand; what arrived later than it was so is told later, a change after the readings."""
    with files.read(recording, clock.wall()) as found:
        assert ["H1", "H2"] == [unit.serial for unit in found.members]
        assert {("09520000000035", ""): 8} == dict(found.told)
        *_, last = [entry for _, day in found.ledger.by_day(86_400_000) for entry in day]
        assert (EVENT, True) == (last.kind, last.arrived > last.time)


@pytest.mark.timeout(600)
def test_a_stranger_brings_a_history_and_takes_a_model_home(recording: Path) -> None:
    """Each line of the page, in a shell: replayed, measured, compared, fitted, and imported where the slot stands."""
    recorded.recorded(12, 34).write(recording, (recording / "maker.toml").read_text())
    version = ""
    (lines,) = [text.splitlines() for kind, text in BLOCK.findall(HISTORY) if kind == "sh"]
    said = ""
    for line in ["wearwell declare recorded/maker.toml", *lines]:
        said = shell(line.replace("NUMBER", version), recording.parent)
        if " fit " in line:
            version = said.splitlines()[1].split("\t")[1]
    assert "hit" in said
    assert version.isdigit()


def shell(line: str, cwd: Path) -> str:
    """Run one line as it stands, which must end well, and return what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEARWELL_")}
    wearwell = f'wearwell() {{ {shlex.quote(sys.executable)} -m gateway.cli "$@"; }}\n'
    env |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["sh", "-c", wearwell + line], cwd=cwd, env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert 0 == done.returncode, f"{line}: {done.stderr}"
    return done.stdout


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Run one line of the page, which must end well."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code, f"{line}: {capsys.readouterr().err}"


def test_the_page_states_the_rule_as_it_stands() -> None:
    """The defaults in its table are those of the code."""
    rule = Rule()
    low, high = rule.cov80
    said = dict(re.findall(r"^\| ([^|]+?) \| ([^|]*?) \|$", PAGE.split("may take over if all")[1], re.MULTILINE))
    assert str(rule.least_cycles) == said["enough cycles with a seen end that both were judged on"]
    assert f"{rule.sure:.0%}" == said["costs less, in so many of the draws"].replace(" ", "")
    assert f"{low:.0%} to {high:.0%}".replace("%", "") == said["its 80 % interval held so many of the ends"].replace(
        " %", ""
    )


def test_the_page_has_an_example_for_each_function() -> None:
    """What a notebook can call is shown once at least."""
    own = {name: value for name, value in vars(notebook).items() if callable(value)}
    public = {name for name, value in own.items() if value.__module__ == notebook.__name__}
    shown = set(re.findall(r"bench\.(\w+)", "".join(text for kind, text in BLOCKS if kind == "python")))
    assert set() == public - shown
