"""ARCHITECTURE.md names files, tables and events; each of them exists."""

import re
from pathlib import Path

from gateway.events import EventType

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
STEPS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)
]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_file_on_the_page_exists() -> None:
    """A reader who opens the file that a step names finds it."""
    assert [] == [path for path in re.findall(r"`([a-z_]+/[^` ]+)`", PAGE) if not (ROOT / path).exists()]


def test_every_table_on_the_page_exists() -> None:
    """The tables that a step writes are in the migrations."""
    sql = "\n".join(file.read_text() for file in sorted((ROOT / "gateway/db/migrations").glob("*.sql")))
    tables = set(re.findall(r"create table (\w+)", sql))
    assert set() == {table for step in STEPS for table in named(step[3])} - tables


def test_every_event_on_the_page_exists() -> None:
    """The events that a step tells are in gateway/events.py."""
    assert set() == {event for step in STEPS for event in named(step[4])} - set(EventType)


def test_the_page_walks_the_whole_way() -> None:
    """The steps are numbered without a hole, and each names the file that takes it."""
    assert list(range(1, len(STEPS) + 1)) == [int(step[0]) for step in STEPS]
    assert all(named(step[2]) for step in STEPS)
