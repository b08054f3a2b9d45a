"""Ports: the usual one when it is free, else any other."""

import socket
import time

LOOPBACK = "127.0.0.1"
BACKLOG = 2048  # callers that may wait while the web starts, as many as uvicorn itself lets wait


def free(wanted: int, host: str = LOOPBACK) -> int:
    """Return `wanted` when nobody listens on it, else a port that the system says is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


def hold(wanted: int, host: str = LOOPBACK) -> socket.socket:
    """Return a listening socket on `wanted`, or on any other port where somebody else listens there.

    Unlike a port that was free a moment ago, nobody can take it any more; a process that inherits it may start, end and
    start again, and who calls meanwhile waits instead of being refused.
    """
    for port in (wanted, 0):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((host, port))
            held.listen(BACKLOG)
        except OSError:
            held.close()
            continue
        return held
    raise OSError(f"no free port on {host}")


def answers(port: int, host: str = LOOPBACK, *, within_s: float = 0.5) -> bool:
    """Tell whether somebody accepts connections on the port, waiting at most `within_s` seconds for it."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            with socket.create_connection((host, port), timeout=0.5):
                return True
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
