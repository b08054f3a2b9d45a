"""docs/bench.md: every example of the page runs, in order, as a manufacturer would type it."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway import cli, clock
from gateway.bench import notebook
from gateway.bench.compare import Rule
from tests import bench_field
from tests.bench_field import at

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
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
