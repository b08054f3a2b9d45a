"""One CSV file of a history, line by line: a header that is known, and every mistake with its line."""

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.registry import sense
from gateway.replay.history.faults import Faults


class Sheet:
    """A file that is read once; a context manager. `columns` is empty where its first line cannot be used.

    `shown` is what its first line may name, as a person reads it.
    """

    def __init__(
        self, path: Path, faults: Faults, *, needed: Sequence[str], known: Collection[str], shown: str = ""
    ) -> None:
        self.path, self.name, self.faults = path, path.name, faults
        self.needed, self.known = needed, known
        self.shown = shown or ", ".join(known)
        self.columns: list[str] = []
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            self.faults.add(self.name, 1, f"cannot be read: {error.strerror}; look at its name and its rights")
            return self
        self._reader = csv.reader(self._file)
        header = next(self._whole(), (1, []))[1]
        if self._usable(header):
            self.columns = header
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line numbers and stripped cells, as many as there are columns; lines at fault are left out."""
        if not self.columns:
            return
        for line, cells in self._whole():
            if len(cells) != len(self.columns):
                self.faults.add(
                    self.name,
                    line,
                    f"it has {len(cells)} cells, the first line {len(self.columns)}; each needs one",
                )
            elif empty := [name for name in self.needed if not cells[self.columns.index(name)]]:
                self.faults.add(self.name, line, f"{' and '.join(empty)} is empty; every line needs it")
            else:
                yield line, cells
            if self.faults.full:
                return

    def place(self, name: str) -> int | None:
        """Return where a column is, None where the file has none of that name."""
        return self.columns.index(name) if name in self.columns else None

    def fault(self, line: int, says: str) -> None:
        """Note what is wrong with a line."""
        self.faults.add(self.name, line, says)

    def _whole(self) -> Iterator[tuple[int, list[str]]]:
        """Yield lines that hold something; what is no text or no CSV ends them."""
        try:
            for cells in self._reader:
                if cells:
                    yield self._reader.line_num, [cell.strip() for cell in cells]
        except UnicodeDecodeError:
            self.fault(self._reader.line_num + 1, "it is not text in UTF-8; save it as such")
        except csv.Error as error:
            self.fault(self._reader.line_num, f"it is not CSV: {error}")

    def _usable(self, header: list[str]) -> bool:
        if len(header) == 1 and ";" in header[0]:
            self.fault(1, "its cells are parted by semicolons; save it with commas")
            return False
        missing = [name for name in self.needed if name not in header]
        unknown = [name for name in header if name not in self.known]
        for name in missing:
            self.fault(1, f"the column {name!r} is missing; the first line may name {self.shown}")
        for name in unknown:
            near = sense.nearest(name, self.known)
            self.fault(1, f"{name!r} is no column here{near}; the first line may name {self.shown}")
        twice = sorted({name for name in header if header.count(name) > 1} - set(unknown))
        for name in twice:
            self.fault(1, f"the column {name!r} stands twice; keep one")
        return not (missing or unknown or twice)
