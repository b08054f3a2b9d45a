"""The Mosquitto on this machine: found, configured, and run as a child."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

OUTSIDE_THE_PATH = "/usr/sbin:/usr/local/sbin"  # where Debian puts it, and where a plain user does not look
MAX_PACKET = 131_072  # bytes: twice the largest batch of protocol v1
QUEUE = 100_000  # messages kept for a gateway that is away; the default of 1,000 drops the rest silently

CONFIG = """\
# Written by wearwell; changes are overwritten. docs/operating.md explains the lines.
{user}allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl

# For units: the client id is the credential, so that nobody takes over another's session.
listener {units_port} {host}
use_username_as_clientid true
max_keepalive 3600

# For the gateway, whose processes share one login and differ in their client ids.
listener {gateway_port} {host}

max_packet_size {max_packet}
max_queued_messages {queue}
max_queued_bytes 268435456
persistent_client_expiration 14d
persistence true
persistence_location {folder}/store/
autosave_interval 30
sys_interval 10
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
connection_messages false
"""


def find() -> str | None:
    """Return the path of the Mosquitto program, or None when this machine has none."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=OUTSIDE_THE_PATH)


def version(program: str) -> tuple[int, ...]:
    """Return the program's version, such as (2, 0, 11)."""
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False, timeout=10).stdout  # noqa: S603  # found on the PATH
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(n) for n in found.groups()) if found else ()


def configure(folder: Path, *, units_port: int, gateway_port: int, host: str) -> Path:
    """Write the configuration into `folder` and return its path."""
    (folder / "store").mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    # Started as root it would drop its rights before it reads its files, into an account that cannot look here.
    stay = "user root\n" if os.geteuid() == 0 and account(folder) is None else ""
    config.write_text(
        CONFIG.format(
            user=stay,
            folder=folder.resolve(),
            units_port=units_port,
            gateway_port=gateway_port,
            host=host,
            max_packet=MAX_PACKET,
            queue=QUEUE,
        )
    )
    hand_over(folder)
    return config


def account(folder: Path) -> str | None:
    """Return the account Mosquitto should run as: ours, unless we are root and others may look into `folder`."""
    if os.geteuid() != 0 or not all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents):
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "mosquitto" if "mosquitto" in known else "nobody"


def hand_over(folder: Path) -> None:
    """Give the broker's files to the account that it runs as; nobody else may read them."""
    user = account(folder)
    folder.chmod(0o700)
    for path in [folder, *folder.rglob("*")]:
        if user:
            shutil.chown(path, user)
        if path.is_file():
            path.chmod(0o600)
