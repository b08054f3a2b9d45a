"""What a ledger's files say, in about eleven bytes a sample: a run of a hundred million samples fits in memory."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults.ledger import book

LARGEST = 2**31  # a greater sequence number is no ledger's


@dataclass(slots=True)
class Session:
    """One session of one unit; place k is sequence number k + 1, and a mark of 0 was never attempted."""

    marks: "array[int]" = field(default_factory=lambda: array("q"))
    broker: bytearray = field(default_factory=bytearray)  # 1 where the broker acknowledged
    through: int = 0

    def attempt(self, first: int, marks: list[int]) -> None:
        """Take in the fingerprints of samples from `first` on."""
        if len(self.marks) < first - 1:
            self.marks.extend([0] * (first - 1 - len(self.marks)))
        self.marks[first - 1 : first - 1 + len(marks)] = array("q", marks)

    def acknowledge(self, first: int, last: int) -> None:
        """Take in that the broker has these samples."""
        if len(self.broker) < last:
            self.broker.extend(bytes(last - len(self.broker)))
        self.broker[first - 1 : last] = b"\x01" * (last - first + 1)

    def attempted(self) -> NDArray[np.int64]:
        """Return the fingerprints."""
        return np.frombuffer(self.marks, np.int64)

    def acknowledged(self) -> NDArray[np.bool_]:
        """Return, for each sample attempted, whether the broker acknowledged it."""
        found = np.zeros(len(self.marks), bool)
        held = np.frombuffer(self.broker, bool)[: len(found)]
        found[: len(held)] = held
        return found


Told = dict[str, dict[int, Session]]  # by device, then by session


def read(paths: Iterable[Path]) -> tuple[Told, float]:
    """Return what these files say, and the longest time in them between two receipts, in seconds."""
    told: Told = {}
    silence = 0.0
    for path in paths:
        before: float | None = None
        for line in book.read(path):
            _take(told, line)
            if line["what"] == "receipted" or before is None:
                silence = max(silence, line["at"] - before if before else 0.0)
                before = line["at"]
    return told, silence


def _take(told: Told, line: dict[str, Any]) -> None:
    if line["what"] == "refused" or not 1 <= line["q"] + len(line.get("hash", ())) <= LARGEST:
        return
    session = told.setdefault(line["device"], {}).setdefault(line["s"], Session())
    if line["what"] == "attempted":
        session.attempt(line["q"], line["hash"])
    elif line["what"] == "acknowledged":
        session.acknowledge(line["q"], line["to"])
    else:
        session.through = max(session.through, line["q"])
