"""The ledger's file: one JSON line for each thing that happened, written before the next may happen."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def fingerprint(ms: int | None, values: Mapping[str, float]) -> int:
    """Return 63 bits that stand for what one sample says: its time in Unix milliseconds, and its values."""
    told = f"{ms};" + ";".join(f"{name}={float(values[name])!r}" for name in sorted(values))
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest()) >> 1 or 1


class Book:
    """The file, open for writing; lines of an earlier run in it stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1)

    def attempted(self, device: str, session: int, first: int, samples: list[tuple[int, dict[str, float]]]) -> None:
        """Note samples, numbered from `first` on, that are about to be sent for the first time."""
        ts = [ms for ms, _ in samples]
        marks = [fingerprint(ms, values) for ms, values in samples]
        self._note("attempted", device, s=session, q=first, ts=ts, hash=marks)

    def acknowledged(self, device: str, session: int, first: int, last: int) -> None:
        """Note that the broker acknowledged these samples."""
        self._note("acknowledged", device, s=session, q=first, to=last)

    def receipted(self, device: str, session: int, through: int) -> None:
        """Note that the gateway said that everything up to `through` is stored."""
        self._note("receipted", device, s=session, q=through)

    def refused(self, device: str, error: str, detail: str) -> None:
        """Note that the gateway refused something."""
        self._note("refused", device, error=error, detail=detail)

    def close(self) -> None:
        self._file.close()

    def _note(self, what: str, device: str, **more: Any) -> None:
        line = json.dumps({"what": what, "at": round(time.time(), 3), "device": device} | more, separators=(",", ":"))
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Return the ledger's lines, one after another; a line that was cut off by a kill is left out."""
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue
