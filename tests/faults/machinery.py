"""Real processes that a test may kill: a broker, the gateway's ingest, a database server."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], object], seconds: float = 20.0, every: float = 0.02) -> None:
    """Wait until `what` is true; raises TimeoutError."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came of {what} in {seconds} s")
        time.sleep(every)


def answers(port: int) -> bool:
    """Say whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Mosquitto:
    """A broker of the test's own, without access rules; its port stays the same over restarts.

    It keeps its queues in `store`; `also` is one more address that it listens on.
    """

    def __init__(
        self, folder: Path, *, persistence: bool = False, store: Path | None = None, also: str | None = None
    ) -> None:
        self.port = free_port()
        self.folder = folder / f"mosquitto-{self.port}"
        self.folder.mkdir(parents=True)
        self.store = store or self.folder
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "log_type error",
                 f"persistence {'true' if persistence else 'false'}"]  # fmt: skip
        if also:
            lines.append(f"listener {self.port} {also}")
        if os.geteuid() == 0:  # it would change into an account that may not write here
            lines.append("user root")
        if persistence:
            lines += [f"persistence_location {self.store}/", "autosave_on_changes true", "autosave_interval 1"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> bool:
        """Say whether this machine has no Mosquitto."""
        return shutil.which("mosquitto") is None

    @property
    def url(self) -> str:
        """Return the broker's address as a setting."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        config = ["-c", str(self.folder / "mosquitto.conf")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["mosquitto", *config], stdout=log, stderr=log)
        wait_for(lambda: answers(self.port))

    def forget(self) -> None:
        """Remove what it keeps, as one must where a full disk tore the file: it would not start."""
        (self.store / "mosquitto.db").unlink(missing_ok=True)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it with a signal and wait for its end."""
        end(self.process, number)
        self.process = None


class Gateway:
    """`wearwell ingest` as a process of its own, killed at a point of the test's choice (see victim.py)."""

    def __init__(
        self,
        folder: Path,
        dsn: str,
        mqtt_url: str,
        client: str = "ingest-1",
        window: int = 200,
        *,
        before: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.before = before  # what runs it, such as `ip netns exec NAME`
        self.env = (
            os.environ
            | env
            | {
                "WEARWELL_DATA_DIR": str(folder),
                "WEARWELL_DATABASE_DSN": dsn,
                "WEARWELL_MQTT_URL": mqtt_url,
                "WEARWELL_MQTT_CLIENT": client,
                "WEARWELL_MQTT_WINDOW": str(window),
            }
        )
        self.log = folder / f"{client}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, point: str = "never", nth: int = 1) -> None:
        """Start it; it will kill itself with SIGKILL the nth time that it passes the point."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "tests.faults.victim", point, str(nth)],
                env=self.env, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def connected(self) -> bool:
        """Say whether it has subscribed at the broker, in this life or an earlier one."""
        return "subscribed at the broker" in self.log.read_text()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what it logged of this, in this life and earlier ones."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    def held(self) -> int:
        """Return the most messages that it said to hold while the database was away."""
        return max((line["held"] for line in self.said("the database is away; holding what was received")), default=0)

    def memory(self) -> int:
        """Return how much memory it has in use, in KiB."""
        return 0 if self.process is None else memory(self.process.pid)

    def tell(self, number: int) -> None:
        """Send it a signal and do not wait."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it with a signal and return what it answered."""
        code = end(self.process, number)
        self.process = None
        return code

    def died(self) -> bool:
        """Say whether it ended by itself."""
        return self.process is not None and self.process.poll() is not None


def memory(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def end(process: subprocess.Popen[bytes] | None, number: int) -> int:
    """End one process with a signal and wait for it."""
    if process is None:
        return 0
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
    return process.wait(20)
