"""Some units that measure and send until told to stop."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Self

from tests.faults.ledger.book import Book
from tests.faults.ledger.unit import RESEND, Door, LedgerUnit, Login


class Figures(NamedTuple):
    """How far a run is, in samples of all units; `troubled` counts units that have no connection that works."""

    attempted: int
    acknowledged: int
    receipted: int
    repeated: int
    troubled: int


class Publisher:
    """A fleet that keeps a ledger."""

    def __init__(
        self,
        path: Path,
        door: Door | str,
        logins: Iterable[Login | str],
        *,
        session: int = 1,
        resend: float = RESEND,
    ) -> None:
        self.book = Book(path)
        door = Door(door) if isinstance(door, str) else door
        each = [Login(login) if isinstance(login, str) else login for login in logins]
        self.units = [LedgerUnit(self.book, door, login, session=session, resend=resend) for login in each]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for unit in self.units:
            unit.close()
        self.book.close()

    def publish(self, batches: int, samples: int = 3, pause: float = 0.0) -> None:
        """Let every unit measure and send so many batches."""
        for _ in range(batches):
            self.step(samples)
            time.sleep(pause)

    def step(self, samples: int) -> None:
        """Let every unit measure and send one batch, and send again what has waited for long."""
        for unit in self.units:
            unit.settled()
            unit.measure(samples)

    def settle(self, seconds: float, look: Callable[[], bool] = lambda: True) -> bool:
        """Wait until everything is receipted, sending again where it takes long; say whether it was.

        `look` is called now and then, and ends the waiting when it says False.
        """
        end = time.monotonic() + seconds
        while waiting := [unit for unit in self.units if not unit.settled()]:  # each is asked: it may send again
            if time.monotonic() > end or not look():
                return False
            time.sleep(0.05)
        return not waiting

    def figures(self) -> Figures:
        """Return how far the run is."""
        units = self.units
        return Figures(
            sum(unit.count for unit in units),
            sum(unit.acknowledged for unit in units),
            sum(min(unit.through, unit.count) for unit in units),
            sum(unit.repeated for unit in units),
            sum(unit.trouble is not None for unit in units),
        )
