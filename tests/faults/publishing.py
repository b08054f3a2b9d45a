"""A fleet that publishes in the background while a test breaks things, and the verdict at the end."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from tests.faults import ledger
from tests.faults.machinery import wait_for

SERIALS = ("1", "2", "3")
DEVICES = [f"acme.{serial}" for serial in SERIALS]


class Publishing:
    """Publishes until told to finish, whatever becomes of the broker."""

    def __init__(
        self, path: Path, url: str, devices: Iterable[str] = DEVICES, *, samples: int = 3, pause: float = 0.05
    ) -> None:
        self.path = path
        self.publisher = ledger.Publisher(path, url, devices)
        self.samples, self.pause = samples, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.publisher.step(self.samples)
            self._stop.wait(self.pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.publisher.__exit__()

    def moves_on(self, by: int = 5, seconds: float = 180) -> None:
        """Wait until every unit has so many more samples receipted."""
        waiting = {unit: unit.through + by for unit in self.publisher.units}
        wait_for(lambda: all(unit.through > through for unit, through in waiting.items()), seconds)

    def recovered(self, seconds: float = 300) -> float:
        """Wait until every unit has everything receipted that it had measured at the call; return how long it took."""
        began = time.monotonic()
        wanted = {unit: unit.count for unit in self.publisher.units}
        wait_for(lambda: all(unit.through >= count for unit, count in wanted.items()), seconds)
        return time.monotonic() - began

    def hold(self, seconds: float, look: Callable[[], object] = lambda: None) -> None:
        """Go on publishing for a while, looking at something now and then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look()
            time.sleep(0.05)

    def finish(self, seconds: float = 300) -> None:
        """Stop measuring and wait until every sample is receipted."""
        self._stop.set()
        self._thread.join()
        settled = self.publisher.settle(seconds)
        assert settled, {unit.device: (unit.through, unit.count, unit.trouble) for unit in self.publisher.units}

    @property
    def refused(self) -> dict[str, str]:
        """What the gateway refused, by reason."""
        return {code: detail for unit in self.publisher.units for code, detail in unit.refusals.items()}
