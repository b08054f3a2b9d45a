"""Sequence numbers of one session: what of [first, last] is new, which gaps open, which are filled. Pure arithmetic."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Gap(NamedTuple):
    """Numbers that never arrived, both ends included; `row` is the gap_id it comes from, None for a new one.

    A lost gap is one that the unit said it cannot fill: it holds up no receipt, but is filled if it comes after all.
    """

    first: int
    last: int
    row: int | None = None
    lost: bool = False


@dataclass(slots=True)
class Sequence:
    """What has arrived of one session: everything up to `high` except the gaps, which are disjoint and in order."""

    high: int = 0
    gaps: list[Gap] = field(default_factory=list)

    @property
    def through(self) -> int:
        """The number up to which nothing is missing any more."""
        for gap in self.gaps:
            if not gap.lost:
                return gap.first - 1
        return self.high

    def follow(self, first: int, last: int) -> bool:
        """Take in numbers that come right after the last, as most do; False where `arrive` has to look closer."""
        if first != self.high + 1:
            return False
        self.high = last
        return True

    def arrive(self, first: int, last: int) -> list[tuple[int, int]]:
        """Take in the numbers from `first` to `last` and return the spans of them that were not here before."""
        fresh: list[tuple[int, int]] = []
        if first <= self.high and self.gaps:
            fresh = self._fill(first, last)
        if first > self.high + 1:
            self.gaps.append(Gap(self.high + 1, first - 1))
        if last > self.high:
            fresh.append((max(first, self.high + 1), last))
            self.high = last
        return fresh

    def _fill(self, first: int, last: int) -> list[tuple[int, int]]:
        fresh: list[tuple[int, int]] = []
        left: list[Gap] = []
        for gap in self.gaps:
            low, high = max(first, gap.first), min(last, gap.last)
            if low > high:
                left.append(gap)
                continue
            fresh.append((low, high))
            if gap.first < low:
                left.append(gap._replace(last=low - 1))
            if high < gap.last:
                left.append(gap._replace(first=high + 1))
        self.gaps = left
        return fresh


class Changes(NamedTuple):
    """What became of the gap rows: new ones, those filled, those that shrank, and pieces split off a row."""

    opened: list[Gap]
    filled: list[int]
    shrunk: list[Gap]
    split: list[Gap]


def changes(before: list[Gap], after: list[Gap]) -> Changes:
    """Compare the gaps as they were stored with those that remain."""
    found = Changes([gap for gap in after if gap.row is None], [], [], [])
    pieces: dict[int, list[Gap]] = {}
    for gap in after:
        if gap.row is not None:
            pieces.setdefault(gap.row, []).append(gap)
    for gap in before:
        if gap.row is None:
            continue
        remain = pieces.get(gap.row, [])
        if not remain:
            found.filled.append(gap.row)
        elif remain[0] != gap:
            found.shrunk.append(remain[0])
        found.split.extend(remain[1:])
    return found
