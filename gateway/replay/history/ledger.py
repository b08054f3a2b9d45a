"""All that a history says, in the order in which it arrived, however its files were ordered.

It lies in a file of SQLite's own that goes when it is closed, so that a history may be larger than memory.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import TracebackType
from typing import NamedTuple, Self

EVENT, READING = 0, 1  # of what arrived at the same moment and has the same time, events come first
AT_ONCE = 20_000
TABLE = """
create table said(arrived int, time int, kind int, unit int, file int, line int, vals int, about text, body text)"""
TOLD = "select arrived, time, kind, unit, file, line, vals, about, body from said"
IN_ORDER = "create index in_order on said(arrived, time, kind, unit, file, line)"
BY_UNIT = "create index by_unit on said(unit, time, kind)"
AGAIN = "select unit, time, kind from said group by unit, time, kind having count(*) > 1 order by unit, time, kind"
FIRST = "select min(time), unit, file, line from said group by unit order by unit"


class Entry(NamedTuple):
    """One line of a file: times in milliseconds since 1970; `body` is JSON, of a reading its values by channel.

    `values` is how many it has, and `about` what two lines of one time must not both speak of, by spaces.
    """

    arrived: int
    time: int
    kind: int
    unit: int
    file: int
    line: int
    values: int
    about: str
    body: str


class First(NamedTuple):
    """The earliest thing that a unit says."""

    time: int
    unit: int
    file: int
    line: int


class Ledger:
    """Takes lines in any order and gives them in that of their arrival; a context manager."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)  # "": a temporary file, in memory while it is small
        self._rows.execute("pragma journal_mode = off")
        self._rows.execute("pragma synchronous = off")
        self._rows.execute(TABLE)
        self._waiting: list[Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._rows.close()

    def add(self, entry: Entry) -> None:
        """Take a line."""
        self._waiting.append(entry)
        if len(self._waiting) >= AT_ONCE:
            self._write()

    def seal(self) -> None:
        """Sort what was taken; nothing more may be added."""
        self._write()
        self._rows.execute(BY_UNIT)
        self._rows.execute(IN_ORDER)

    def twice(self) -> Iterator[tuple[Entry, Entry, set[str]]]:
        """Yield two lines in which one unit says the same thing of the same time, and what that is; later line last."""
        there = f"{TOLD} where unit = ? and time = ? and kind = ? order by file, line"
        for where in self._rows.execute(AGAIN):
            before: dict[str, Entry] = {}
            for entry in (Entry(*row) for row in self._rows.execute(there, where)):
                about = set(entry.about.split())
                if both := about & set(before):
                    yield before[min(both)], entry, both
                before |= dict.fromkeys(about - both, entry)

    def firsts(self) -> list[First]:
        """Return the earliest thing that each unit says."""
        return [First(*row) for row in self._rows.execute(FIRST)]

    def span(self) -> tuple[int, int] | None:
        """Return when the first and the last line arrived; None where there is none."""
        first, last = self._rows.execute("select min(arrived), max(arrived) from said").fetchone()
        return None if first is None else (first, last)

    def by_day(self, day_ms: int) -> Iterator[tuple[int, Iterable[Entry]]]:
        """Yield what arrived, day by day, as (days since 1970, lines); days without any are left out."""
        rows = self._rows.execute(f"{TOLD} order by arrived, time, kind, unit, file, line")
        yield from groupby((Entry(*row) for row in rows), lambda entry: entry.arrived // day_ms)

    def _write(self) -> None:
        self._rows.execute("begin")
        self._rows.executemany("insert into said values (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._rows.execute("commit")
        self._waiting.clear()
