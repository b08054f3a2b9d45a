"""A PostgreSQL server of a test's own, with the durability that it has by default: killed, frozen, filled."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg

from gateway.db import embedded, migrate
from tests.faults.machinery import wait_for

OTHERS = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


class Server:
    """One server, migrated, in a folder of its own or in the one given."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="wearwell-fault-"))
        self.dsn = embedded.start(self.folder)
        migrate.migrate(self.dsn)

    @property
    def data(self) -> Path:
        """Where its files lie."""
        return self.folder / "postgres"

    def postmaster(self) -> int:
        """Return the process id of the server itself."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def processes(self) -> list[int]:
        """Return every process of the server: those that work in its folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").resolve(strict=True) == self.data.resolve():
                    found.append(int(process.name))
        return found

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop every process where it stands; the kernel goes on answering for their sockets."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def thaw(self) -> None:
        """Let every process go on."""
        self.freeze(signal.SIGCONT)

    def kill_backends(self, number: signal.Signals) -> int:
        """End every session but our own with a signal, when there is one; return how many."""
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            wait_for(lambda: admin.execute(OTHERS).fetchone())
            found = [pid for (pid,) in admin.execute(OTHERS).fetchall()]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(found)

    def kill(self) -> None:
        """Kill the server, and wait until its orphaned backends have noticed and left."""
        os.kill(self.postmaster(), signal.SIGKILL)
        wait_for(lambda: not self.processes())

    def start(self) -> None:
        """Start it again, unless it runs."""
        if self.processes():
            return
        for left in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):  # its parent may not have buried it yet
            (self.data / left).unlink(missing_ok=True)
        embedded.server(self.folder).ensure_postgres_running()

    def close(self) -> None:
        """Stop it and remove its files."""
        self.thaw()
        embedded.server(self.folder).cleanup()
        shutil.rmtree(self.data, ignore_errors=True)
        with contextlib.suppress(OSError):  # a disk of its own stays
            self.folder.rmdir()
