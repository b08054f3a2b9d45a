"""Tables on a terminal: whatever its width, a number is read whole and nothing is left out."""

import re
import sys
from datetime import UTC, datetime

import pytest

from gateway.cli import talk

MADE = datetime(2026, 11, 26, 12, 24, 26, tzinfo=UTC)
NAMES = ("slot", "version", "predictor", "made_at", "share", "note", "sha256")
NOTE = "fitted from 20 finished and 31 running cycles"
ROWS = [
    dict(zip(NAMES, ("hepa", 12, "weibull", MADE, float("nan"), NOTE, "a337f27fda0d"), strict=True)),
    dict(zip(NAMES, ("water", 3, "hit", MADE, 0.125, "", "e3846c262cb8"), strict=True)),
]
WHOLE = {"hepa", "12", "weibull", "2026-11-26", "12:24:26Z", "finished", "a337f27fda0d", "0.125", "predictor", "-"}


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 160])
def test_no_word_is_cut_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines break between words; where that does not do, each row stands by itself."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    talk.table(ROWS, json=False, nothing="")
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert set() == WHOLE - set(said.split())
    assert ("predictor  weibull" in said) == (columns < 80)
    if columns >= 80:
        assert columns >= max(map(len, said.splitlines()))


def test_off_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """As programs read it; what is not known is a dash."""
    talk.table(ROWS, json=False, nothing="")
    head, first, _ = capsys.readouterr().out.splitlines()
    assert list(ROWS[0]) == head.split("\t")
    assert ["hepa", "12", "weibull", "2026-11-26 12:24:26Z", "-"] == first.split("\t")[:5]
