"""What one fault test works with: a database, a broker, a ledger's file, and the report."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.faults import ledger
from tests.faults.machinery import Gateway, Mosquitto, wait_for
from tests.faults.publishing import DEVICES, Publishing


class Note(Protocol):
    """Writes the line of the report that belongs to a test."""

    def __call__(self, fault: str, found: ledger.Verdict | None = None, **seen: object) -> None: ...


@dataclass(frozen=True)
class Rig:
    """Gateways and publishers of one test meet at its broker and its database."""

    folder: Path
    dsn: str
    broker: Mosquitto
    note: Note

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return self.folder / "run.jsonl"

    def gateway(self, client: str = "ingest-1", *, url: str | None = None, window: int = 40, **more: Any) -> Gateway:
        """Return an ingest process that is not started yet."""
        return Gateway(self.folder, self.dsn, url or self.broker.url, client, window, **more)

    @contextmanager
    def serving(self, *, url: str | None = None, **more: Any) -> Iterator[Gateway]:
        """Let an ingest process serve while the block runs."""
        with self.gateway(url=url, **more) as gateway:
            gateway.start()
            wait_for(gateway.connected, 60)
            yield gateway

    def publishing(self, devices: Iterable[str] = DEVICES, *, url: str | None = None, **more: Any) -> Publishing:
        """Return units that publish in the background."""
        return Publishing(self.path, url or self.broker.url, devices, **more)

    def clean(self) -> ledger.Verdict:
        """Check the ledger: no fault, nothing missing any more, no gap left open."""
        found = ledger.check(self.path, self.dsn)
        assert found.clean, found
        assert (0, 0) == (found.missing, found.gaps)
        assert found.stored > 0
        return found
