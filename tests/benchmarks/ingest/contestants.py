"""Who drains the broker: each has a session of its own there, filled with the same messages while nobody listens."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.ingest.ground import Ground
from tests.faults.machinery import ROOT, end, wait_for

FILTER = "ww/v1/+/tlm"
WINDOW = 65_535  # messages that mosquitto_sub lets the broker have under way: all that MQTT allows
LIMIT_S = 60.0


class Drained(NamedTuple):
    """How long it took, and the most memory that its processes held, in MiB (0 where nobody looked)."""

    seconds: float
    peak_mib: float = 0.0


class MosquittoSub:
    """The C client that stores nothing: what the broker can hand over at all."""

    def __init__(self, ground: Ground) -> None:
        self.command = ["mosquitto_sub", "-p", str(ground.port), "-V", "5", "-i", "bench-sub", "-c", "-x", "86400",
                        "-q", "1", "-t", FILTER, "-D", "connect", "receive-maximum", str(WINDOW)]  # fmt: skip

    def subscribe(self) -> None:
        """Open the session that the broker fills."""
        subprocess.run([*self.command, "-E"], check=True, stdout=subprocess.DEVNULL)

    def drain(self, messages: int) -> Drained:
        """Receive so many messages."""
        began = time.monotonic()
        subprocess.run([*self.command, "-C", str(messages)], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
        return Drained(time.monotonic() - began)


class Wearwell:
    """`wearwell ingest` as it is shipped, a process of its own."""

    def __init__(self, ground: Ground) -> None:
        self.log = ground.folder / "ingest.log"
        self.env = os.environ | {
            "WEARWELL_DATA_DIR": str(ground.folder),
            "WEARWELL_DATABASE_DSN": ground.service_dsn,
            "WEARWELL_MQTT_URL": f"mqtt://127.0.0.1:{ground.port}",
            "WEARWELL_METRICS_PORT": "0",
        }

    def subscribe(self) -> None:
        """Open the session that the broker fills."""
        with self.running():
            pass

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it; it is subscribed when this yields, and has stored what it held when this ends."""
        self.log.write_bytes(b"")
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "ingest"], env=self.env, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: b"subscribed at the broker" in self.log.read_bytes(), 60.0)
            yield process
        finally:
            end(process, signal.SIGTERM)

    def drain(self, readings: int) -> Drained:
        """Store so many readings; timed from its connection to the commit of the last, by its own log."""
        with self.running() as process:
            wait_for(lambda: self.stored() >= readings, LIMIT_S, every=0.2)
            peak = peak_mib(process.pid)
        lines = self.lines()
        began = next(at for at, line in lines if line["event"] == "connected to the broker")
        ended = max(at for at, line in lines if line["event"] == "batch")
        return Drained((ended - began).total_seconds(), peak)

    def stored(self) -> int:
        """Return how many readings its log says it committed."""
        return sum(int(line["stored"]) for _, line in self.lines() if line["event"] == "batch")

    def lines(self) -> list[tuple[datetime, dict[str, object]]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [(datetime.fromisoformat(line["timestamp"]), line) for line in found]


def peak_mib(pid: int) -> float:
    """Return the most memory that a process and those it started have held so far, each at its own peak, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(found[1]) / 1024 if found else 0.0) + sum(peak_mib(int(child)) for child in children)
