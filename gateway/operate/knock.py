"""Knock at a broker's door with a login, and see whether it lets us in."""

import secrets
import socket
import time

CONNECT, USER_PASSWORD_CLEAN, KEEPALIVE_S = 0x10, 0xC2, 10
WELCOME = bytes((0x20, 2, 0, 0))  # CONNACK of MQTT 3.1.1: accepted
GOODBYE = bytes((0xE0, 0))
ANSWER_S = 1.0
REST_S = 0.05


def lets_in(host: str, port: int, user: str, password: str) -> bool:
    """Tell whether the broker lets this login in, as a client of the same name; one that is silent does not."""
    head = b"\x00\x04MQTT" + bytes((4, USER_PASSWORD_CLEAN, 0, KEEPALIVE_S))
    body = head + b"".join(len(word).to_bytes(2) + word for word in (user.encode(), user.encode(), password.encode()))
    try:
        with socket.create_connection((host, port), timeout=ANSWER_S) as door:
            door.sendall(bytes((CONNECT, len(body))) + body)  # less than 128 bytes: one byte says its length
            answer = door.recv(len(WELCOME), socket.MSG_WAITALL)
            if answer == WELCOME:
                door.sendall(GOODBYE)
    except OSError:
        return False
    return answer == WELCOME


def until(host: str, port: int, user: str, password: str, *, within_s: float) -> bool:
    """Tell whether the broker lets this login in within so many seconds."""
    deadline = time.monotonic() + within_s
    while not lets_in(host, port, user, password):
        if time.monotonic() >= deadline:
            return False
        time.sleep(REST_S)
    return True


def password() -> str:
    """Make a password to knock with once."""
    return secrets.token_urlsafe(24)
