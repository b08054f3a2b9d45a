"""What is wrong with the files of a history: each fault with its file, its line and what would be right."""

from typing import NamedTuple

from gateway.errors import WearwellError

MOST = 20  # told word for word: a file with a wrong column has one in every line


class BadHistory(WearwellError):
    """A history cannot be brought in; the message names each file and line, what is wrong and what would be right."""


class Fault(NamedTuple):
    """One thing that cannot work."""

    file: str
    line: int
    says: str


class Faults:
    """Collects faults in the order in which they are found; what many lines of a file share is told once."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self._told: set[tuple[str, str]] = set()

    @property
    def full(self) -> bool:
        """Whether so many were found that looking further would only repeat them."""
        return len(self.found) >= MOST

    def add(self, file: str, line: int, says: str) -> None:
        """Note a fault, unless the same was said of this file before."""
        if (file, says) not in self._told and not self.full:
            self._told.add((file, says))
            self.found.append(Fault(file, line, says))

    def end(self) -> None:
        """Raise BadHistory with all that was found, if anything was."""
        if not self.found:
            return
        head = "the history cannot be brought in"
        if len(self.found) > 1:
            head += f"; it has {len(self.found)} faults{' and maybe more' if self.full else ''}"
        raise BadHistory("\n  ".join([f"{head}:", *(f"{file} line {line}: {says}" for file, line, says in self.found)]))
