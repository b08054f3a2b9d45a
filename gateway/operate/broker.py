"""The embedded broker: Mosquitto where the machine has it, else amqtt; both behind the same access files."""

import os
import secrets
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gateway.operate import access, mosquitto, ports
from gateway.operate.processes import Program

PID = "pid"
PASSWORD = "gateway-password"  # noqa: S105  # the name of a file
USUAL_PORT = 1883
STOP_S = 5.0


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
    password = gateway_password(folder)
    access.write(conn, folder, gateway_user=user, gateway_password=password)
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
    return EmbeddedBroker(
        kind,
        Program("broker", command, env, pid_file=folder / PID, account=account),
        host,
        units_port,
        gateway_port,
        password,
        version,
    )


def gateway_password(folder: Path) -> str:
    """Return the gateway's own password at this broker, made at the first call."""
    path = folder / PASSWORD
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def refresh(conn: psycopg.Connection, data_dir: Path, *, user: str) -> bool:
    """Write the access files again after units were enrolled or revoked; say whether a broker runs and was told."""
    folder = folder_of(data_dir)
    if not (folder / PASSWORD).exists():
        return False
    access.write(conn, folder, gateway_user=user, gateway_password=gateway_password(folder))
    return tell(folder)


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
