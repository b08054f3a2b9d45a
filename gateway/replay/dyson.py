"""Recorded messages of Dyson units as files: which unit said what, on which topic.

A file holds one payload per line; `# Source` lines name the public thread that the lines after them were posted in.
A thread is the nearest that the files come to one unit, so each becomes one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SOURCE = re.compile(r"#\s*Source:?\s*(?P<where>.+?)(?:#\S*)?(?:\s*\(.*)?$")
LEAVES = {"CURRENT-FAULTS": "faults", "HELLO": "connection", "GOODBYE": "connection", "IM-BACK": "connection"}


@dataclass(frozen=True, slots=True)
class Recording:
    """What one unit said, in the order it was recorded: (topic, payload) pairs."""

    device_type: str
    serial: str
    source: str
    messages: list[tuple[str, bytes]]

    def span(self, otherwise: datetime) -> tuple[datetime, datetime]:
        """Return the first and the last time that it told; twice `otherwise` for a unit without a clock."""
        told = [at for _, payload in self.messages if (at := _time(payload)) is not None]
        return (min(told), max(told)) if told else (otherwise, otherwise)


def recordings(path: Path) -> Iterator[Recording]:
    """Yield a recording per file and thread; `path` is a .jsonl file or a folder of them."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        for number, (source, lines) in enumerate(_threads(file).items(), start=1):
            serial = f"{file.stem}.{number}"
            kind = file.stem.partition("-")[0]  # 438-v2 is a second file of type 438
            messages = [(f"{kind}/{serial}/status/{_leaf(line)}", line) for line in lines]
            yield Recording(kind, serial, source, messages)


def _threads(file: Path) -> dict[str, list[bytes]]:
    """Return the payload lines of each thread; a payload that is no JSON is kept, since a gateway must survive it."""
    threads: dict[str, list[bytes]] = {}
    source = "not said"
    for line in file.read_text("utf-8").splitlines():
        if found := SOURCE.match(line):
            source = found["where"].strip()
        elif line.startswith("{"):
            threads.setdefault(source, []).append(line.encode())
    return threads


def _leaf(line: bytes) -> str:
    try:
        return LEAVES.get(json.loads(line).get("msg"), "current")
    except ValueError:
        return "current"


def _time(line: bytes) -> datetime | None:
    try:
        at = datetime.fromisoformat(json.loads(line)["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo else None
