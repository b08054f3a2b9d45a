"""Recorded messages of Dyson units as files: which unit said what, on which topic.

A file holds one payload per line; `# Source` lines name the public thread that the lines after them were posted in.
A thread is the nearest that the files come to one unit, so each becomes one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
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


def recordings(path: Path) -> Iterator[Recording]:
    """Yield a recording per file and thread; `path` is a .jsonl file or a folder of them."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        for number, (source, lines) in enumerate(_threads(file).items(), start=1):
            serial = f"{file.stem}.{number}"
            topics = [(f"{file.stem}/{serial}/status/{_leaf(line)}", line) for line in lines]
            yield Recording(file.stem, serial, source, topics)


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
