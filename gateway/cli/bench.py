"""What the bench's commands share: the record of a slot as it had arrived, files, their options."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import clock, settings
from gateway.errors import WearwellError

if TYPE_CHECKING:
    import psycopg

    from gateway.bench.crew import Crew

SlotName = Annotated[str, typer.Argument(help="GTIN/code of the slot; the code alone where there is one of it.")]
PredictorName = Annotated[
    str | None, typer.Option("--predictor", help="A predictor, such as hit; else the slot's own.")
]
By = Annotated[str, typer.Option(help="Who decides: the address of an editor or admin of the manufacturer.")]
Note = Annotated[str, typer.Option(help="Why; kept with it.")]
Until = Annotated[datetime | None, typer.Option(help="As it had arrived by then, in UTC; else by now.")]
Origins = Annotated[int, typer.Option(min=1, max=200, help="On how many days models are fitted anew.")]

Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that fit and forecast; the result is the same.")]
DaskAddress = Annotated[
    str | None, typer.Option("--dask", help="A Dask scheduler that does, as tcp://HOST:PORT; needs wearwell[dask].")
]


def crew(workers: int, dask: str | None) -> "Crew":
    from gateway.bench.crew import INLINE, Pool

    if dask is None:
        return INLINE if workers == 1 else Pool(workers)
    try:
        from gateway.bench.dask_crew import Dask
    except ImportError:
        raise WearwellError("--dask needs Dask; install it with: pip install 'wearwell[dask]'") from None
    return Dask(dask)


def moment(until: datetime | None) -> datetime:
    return clock.now() if until is None else until.replace(tzinfo=UTC) if until.tzinfo is None else until


def read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise WearwellError(f"{path} cannot be read: {error.strerror}; look at its name and its rights") from None
    except UnicodeDecodeError:
        raise WearwellError(f"{path} cannot be read: it is not text in UTF-8; save it as such") from None


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise WearwellError(f"{path} cannot be written: {error.strerror}; name another with --out") from None


@contextmanager
def connected() -> Iterator["psycopg.Connection"]:
    from gateway.operate import database

    with database.connect(settings.load()) as conn:
        yield conn
