"""A Dask cluster as a crew: workers on other machines. Needs the extra `wearwell[dask]`."""

import warnings
from collections.abc import Callable, Sequence

from distributed import Client, KilledWorker

from gateway.bench.crew import PATIENCE, Chunk, CrewLost, Result
from gateway.errors import WearwellError


class NoCluster(WearwellError):
    """No Dask scheduler answers at that address."""


class Dask:
    """The workers of a scheduler; what one had in hand when it died, another does again."""

    away = True

    def __init__(self, address: str, timeout_s: float = 10.0) -> None:
        self.address = address
        self.timeout_s = timeout_s

    def do(self, work: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> list[Result]:
        """Return the results; raise NoCluster, CrewLost where workers keep dying, and what the work itself raises."""
        try:
            client = Client(self.address, timeout=self.timeout_s, set_as_default=False)  # type: ignore[no-untyped-call]  # so is Dask
        except (OSError, ValueError) as error:
            raise NoCluster(f"no Dask scheduler answers at {self.address}: {error}") from None
        with client, warnings.catch_warnings():
            # A chunk goes with its task and is not scattered: what lies on a worker is lost with it.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            futures = [client.submit(work, chunk, pure=False, retries=PATIENCE) for chunk in chunks]
            try:
                results: list[Result] = client.gather(futures)  # type: ignore[no-untyped-call]  # so is Dask
            except KilledWorker as error:
                raise CrewLost(f"workers of {self.address} keep dying: {error}") from None
            return results
