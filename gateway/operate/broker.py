"""The embedded broker: Mosquitto where the machine has it, else amqtt; both behind the same access files."""

import fcntl
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gateway.operate import access, knock, mosquitto, ports
from gateway.operate.processes import Program

PID = "pid"
PASSWORD = "gateway-password"  # noqa: S105  # the name of a file
PORT = "port"
LOCK = "lock"
USUAL_PORT = 1883
STOP_S = 5.0
ACTS_S = 6.0  # that a broker may take to act on new files
AGAIN_S = 1.5  # after which it is told again: a signal that comes while it reads its files is lost


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A broker ready to be started: what to run, and where units and gateway find it."""

    kind: str
    program: Program
    host: str
    units_port: int
    gateway_port: int
    password: str
    mqtt_version: str
    proof: str
    """Whom this broker alone lets in as access.PROOF: another that listens where it should does not."""

    def lets_us_in(self, *, within_s: float) -> bool:
        """Tell whether it is this broker that answers where it should, within so many seconds."""
        return knock.until(self.host, self.gateway_port, access.PROOF, self.proof, within_s=within_s)


def folder_of(data_dir: Path) -> Path:
    """Return where the embedded broker of a data folder keeps its files."""
    return data_dir.resolve() / "broker"


def prepare(
    conn: psycopg.Connection, data_dir: Path, *, user: str, env: dict[str, str], host: str = ports.LOOPBACK
) -> EmbeddedBroker:
    """Write the broker's files under `data_dir`, choose its ports, and return what to start."""
    folder = folder_of(data_dir)
    end_stale(folder)
    folder.mkdir(parents=True, exist_ok=True)
    password, proof = gateway_password(folder), knock.password()
    access.write(conn, folder, gateway_user=user, gateway_password=password, proof=proof)
    program = mosquitto.find()
    units_port = ports.free(USUAL_PORT, host)
    command: tuple[str, ...]
    if program:
        gateway_port = ports.free(units_port + 1, host)
        config = mosquitto.configure(folder, units_port=units_port, gateway_port=gateway_port, host=host)
        command = (program, "-c", str(config))
        version = "5"
        account = mosquitto.account(folder)
        kind = f"Mosquitto {'.'.join(map(str, mosquitto.version(program)))}"
    else:
        gateway_port = units_port
        command = (sys.executable, "-m", "gateway.operate.fallback_broker", str(folder), host, str(units_port))
        version, kind, account = "3.1.1", "amqtt", None
    (folder / PORT).write_text(f"{host} {gateway_port}")
    return EmbeddedBroker(
        kind,
        Program("broker", command, env, pid_file=folder / PID, account=account),
        host,
        units_port,
        gateway_port,
        password,
        version,
        proof,
    )


def gateway_password(folder: Path) -> str:
    """Return the gateway's own password at this broker, made at the first call."""
    path = folder / PASSWORD
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def refresh(conn: psycopg.Connection, data_dir: Path, *, user: str) -> bool:
    """Write the access files again after units were enrolled or revoked; say whether a broker runs and acts on them.

    That it was told is not enough: it may be unable to read the files, or have missed the signal.
    """
    folder = folder_of(data_dir)
    if not (folder / PORT).exists():
        return False
    with _alone(folder):
        proof = knock.password()
        access.write(conn, folder, gateway_user=user, gateway_password=gateway_password(folder), proof=proof)
        host, _, port = (folder / PORT).read_text().partition(" ")
        deadline = time.monotonic() + ACTS_S
        while time.monotonic() < deadline and tell(folder):
            if knock.until(host, int(port), access.PROOF, proof, within_s=AGAIN_S):
                return True
    return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one command at a time write the files: who read the registry first must not overwrite who read it last."""
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tell(folder: Path, number: signal.Signals = signal.SIGHUP) -> bool:
    """Signal the broker that runs on `folder`; False when none does."""
    pid = running(folder)
    if pid is None:
        return False
    os.kill(pid, number)
    return True


def running(folder: Path) -> int | None:
    """Return the process id of the broker that runs on `folder`, None when that process is another's or gone."""
    try:
        pid = int((folder / PID).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return None
    return pid if str(folder) in command else None


def end_stale(folder: Path) -> None:
    """End a broker that outlived the process which had started it: two on one folder would fight over its sessions."""
    pid = running(folder)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while running(folder) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    (folder / PID).unlink(missing_ok=True)
