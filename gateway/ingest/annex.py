"""A lane in a process of its own: while one interpreter works on its share of a large batch, another works on the rest.

A share goes there over a pipe, and its outcome or its error comes back. The process is forked before there are threads,
and ends with the one that forked it. Where it has gone, the batch is tried again, and from then on the lane here does
everything.
"""

import ctypes
import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Self

import psycopg
import structlog

from gateway.ingest.lane import Lane
from gateway.ingest.mail import Mail
from gateway.ingest.outcome import Outcome

log = structlog.get_logger()

PATIENCE = 60.0  # seconds until a process that says nothing is taken for one that stands still
GOODBYE = 10.0  # seconds that it has to end
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Annex:
    """A lane elsewhere, with a connection to the database of its own."""

    def __init__(self, pipe: Connection, process: BaseProcess) -> None:
        self._pipe, self._process = pipe, process

    @classmethod
    def start(cls, dsn: str) -> Self:
        """Fork the process; there must be no threads, whose locks it would take over."""
        here, there = multiprocessing.Pipe()
        forking = multiprocessing.get_context("fork")
        process = forking.Process(target=_serve, args=(there, here, dsn), name="wearwell ingest annex", daemon=True)
        process.start()
        there.close()  # so that its end is seen here
        return cls(here, process)

    def serves(self) -> bool:
        """Look whether shares can be given to it: between them, nothing comes from it but its end."""
        if not self._pipe.closed and self._pipe.poll():
            self._leave()
        return not self._pipe.closed

    def begin(self, batch: Mail) -> None:
        """Let messages be committed there; raises psycopg.OperationalError where the process has gone."""
        with self._watched(PATIENCE):
            self._pipe.send(batch.without_handles())  # which mean nothing there

    def end(self, patience: float = PATIENCE) -> Outcome:
        """Wait for what it came to, so many seconds; raises what `Lane.settle` raises, and as `begin` does."""
        with self._watched(patience):
            answer = self._pipe.recv()
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                del answer  # its traceback holds this frame, and those of the batch
        return answer  # type: ignore[no-any-return]  # what comes through a pipe has no type

    def close(self) -> None:
        """Let the process end, and see that it does."""
        self._pipe.close()
        self._process.join(GOODBYE)
        if self._process.is_alive():
            self._process.kill()

    def _leave(self) -> None:
        self.close()
        log.warning("the annex has gone: this process stores alone; restart ingest to have it back")

    @contextmanager
    def _watched(self, patience: float) -> Iterator[None]:
        """Say of a process that has gone what one says of a database: the batch is tried again.

        One that says nothing for so long is ended: it may stand still, with its units locked.
        """
        watch = threading.Timer(patience, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            yield
        except (EOFError, OSError) as gone:
            self._leave()
            raise psycopg.OperationalError("the process that stores a share of large batches has gone") from gone
        finally:
            watch.cancel()


def _serve(pipe: Connection, other: Connection, dsn: str) -> None:
    """Settle what comes until nobody is there any more."""
    other.close()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # standing still, it would not see the pipe's end
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # who forked us says when it is over
    lane = Lane(dsn)
    with suppress(psycopg.Error):
        lane.connection()  # now, and not while the first batch waits
    with suppress(EOFError, OSError):
        while True:
            batch = pipe.recv()
            answer: Outcome | Exception
            try:
                answer = lane.settle(batch)
            except Exception as error:  # noqa: BLE001  # it is raised where the share came from
                if isinstance(error, psycopg.OperationalError):
                    lane.hang_up()
                answer = error
            pipe.send(answer)
