"""ARCHITECTURE.md names files, tables and events; each of them exists."""

import re
from pathlib import Path

import pytest

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


def texts(step: list[str]) -> str:
    """All that stands in the files that a step names."""
    return "\n".join((ROOT / path).read_text() for path in named(step[2]))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step[0]))
def test_a_step_s_tables_are_written_in_its_files(step: list[str]) -> None:
    """A reader who looks for the insert finds it in a file that the step names, and not somewhere else."""
    code = texts(step)
    written = {
        table for table in named(step[3]) if re.search(rf"\b(insert into|update|copy|delete from) {table}\b", code)
    }
    assert set(named(step[3])) == written


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step[0]))
def test_a_step_s_events_are_told_in_its_files(step: list[str]) -> None:
    """Likewise the events; each is a row, so a step that tells one writes table event."""
    code = texts(step)
    told = {event for event in named(step[4]) if re.search(rf"EventType\.{event.upper()}\b|\"{event}\"", code)}
    assert set(named(step[4])) == told
    assert not told or "event" in named(step[3])


@pytest.mark.parametrize("number", [1, 2, 3, 7, 8, 9, 11, 13, 23, 25, 33, 35])
def test_the_scenarios_of_the_main_job_are_journeys(number: int) -> None:
    """Whoever looks for a scenario by its number finds the journey that walks through it."""
    journeys = "\n".join(path.read_text() for path in (ROOT / "tests" / "journeys").glob("test_*.py"))
    assert re.search(rf"^(async )?def test_s{number}_", journeys, re.MULTILINE)
