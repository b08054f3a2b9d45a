"""When a line of a history was so, and when the maker heard of it."""

from typing import ClassVar

from gateway.ingest import clocks
from gateway.replay.history import cells
from gateway.replay.history.sheet import Sheet

AHEAD_MS = clocks.AHEAD // 1_000


class When:
    """Reads the columns `time` and `arrived`; what had not arrived by `now`, in milliseconds since 1970, is a fault."""

    OWN: ClassVar = ("serial", "time", "arrived")

    def __init__(self, now: int) -> None:
        self.now = now

    def of(self, sheet: Sheet, line: int, row: list[str]) -> tuple[int, int] | None:
        """Return when a line arrived and when it was so; None, and a fault, where that cannot be."""
        time = self._moment(sheet, line, row, "time")
        told = sheet.place("arrived") is not None and row[sheet.columns.index("arrived")]
        arrived = self._moment(sheet, line, row, "arrived") if told else time
        if time is None or arrived is None:
            return None
        if arrived < time - AHEAD_MS:
            says = (
                "arrived lies before time: nothing arrives before it happens; leave the cell empty where nobody knows"
            )
            sheet.fault(line, says)
            return None
        return max(arrived, time), time

    def _moment(self, sheet: Sheet, line: int, row: list[str], name: str) -> int | None:
        try:
            at = cells.moment(row[sheet.columns.index(name)])
        except ValueError as error:
            sheet.fault(line, f"{name}: {error}")
            return None
        if at > self.now:
            sheet.fault(line, f"{name}: {row[sheet.columns.index(name)]!r} lies ahead; a history is over")
            return None
        return at
