"""The broker's access files, password and acl: written from the registry, read here for the fallback broker's rules."""

import base64
import binascii
import hashlib
import hmac
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from gateway.errors import ConfigurationError
from gateway.registry import credentials

PASSWORDS = "passwords"
ACL = "acl"
PROOF = "~proof"  # no unit can be called so


def write(
    conn: psycopg.Connection, folder: Path, *, gateway_user: str, gateway_password: str, proof: str | None = None
) -> int:
    """Write both files into `folder`, whole or not at all, and return how many logins they hold.

    `proof` is the password of one more login, PROOF, by which one can see that the broker acts on this very file.

    Raises OSError when the folder cannot be written, ConfigurationError when a unit has the gateway's own name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    units = credentials.password_file(conn)
    if f"\n{gateway_user}:" in f"\n{units}":
        raise ConfigurationError(
            f"a unit is enrolled as {gateway_user!r}, which is the gateway's own login (WEARWELL_MQTT_USERNAME):"
            " it would reach every unit's topics. Choose another login for the gateway"
        )
    own = f"{gateway_user}:{credentials.mosquitto_hash(gateway_password)}\n"
    if proof is not None:
        own += f"{PROOF}:{credentials.mosquitto_hash(proof)}\n"
    _replace(folder / PASSWORDS, own + units)
    _replace(folder / ACL, credentials.acl_file(gateway_user))
    return 1 + units.count("\n")


def _replace(path: Path, text: str) -> None:
    """Put a new file in the place of the old in one step: a broker that reloads meanwhile reads one of them whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made with mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    if path.exists():  # as root the broker runs in another account, which owns what it must read
        standing = path.stat()
        if os.geteuid() == 0:
            os.chown(name, standing.st_uid, standing.st_gid)
        Path(name).chmod(standing.st_mode & 0o777)
    Path(name).replace(path)


@dataclass
class Rules:
    """Who may log in and which topics each may reach, as the two files say."""

    hashes: dict[str, str] = field(default_factory=dict)
    patterns: list[tuple[str, str]] = field(default_factory=list)
    of_user: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def knows(self, user: str | None, password: str | None, client_id: str | None) -> bool:
        """Say whether the login is right; a unit's client id is its login, so nobody takes over another's session."""
        if not user or password is None or user not in self.hashes:
            return False
        if user not in self.of_user and client_id != user:
            return False
        return matches(password, self.hashes[user])

    def allows(self, user: str | None, topic: str, verb: str) -> bool:
        """Say whether `user` may `read` or `write` a topic or a filter; what no rule names is refused."""
        if not user or user not in self.hashes:
            return False
        own = self.of_user.get(user, [])
        rules = own + [(access, pattern.replace("%u", user)) for access, pattern in self.patterns]
        return any(access in (verb, "readwrite") and covers(allowed, topic) for access, allowed in rules)


def read(folder: Path) -> Rules:
    """Read the rules that stand in `folder`."""
    rules = Rules()
    for line in (folder / PASSWORDS).read_text().splitlines():
        user, _, secret_hash = line.partition(":")
        rules.hashes[user] = secret_hash
    user = ""
    for line in (folder / ACL).read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "user":
            user = words[1]
            rules.of_user.setdefault(user, [])
        elif words[0] == "pattern":
            rules.patterns.append((words[1], words[2]))
        elif words[0] == "topic" and user:
            rules.of_user[user].append((words[1], words[2]))
    return rules


def matches(password: str, secret_hash: str) -> bool:
    """Check a password against Mosquitto's `$7$iterations$salt$digest`."""
    try:
        _, kind, iterations, salt, digest = secret_hash.split("$")
        expected = base64.b64decode(digest, validate=True)
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt, validate=True), int(iterations))
    except (ValueError, binascii.Error):
        return False
    return kind == "7" and hmac.compare_digest(made, expected)


def covers(allowed: str, topic: str) -> bool:
    """Say whether a rule's filter covers the topic, or the whole of the filter, asked for."""
    have, want = allowed.split("/"), topic.split("/")
    for i, level in enumerate(have):
        if level == "#":
            return not (i == 0 and want[0].startswith("$"))
        if i >= len(want) or want[i] == "#" or (level == "+" and want[i].startswith("$")):
            return False
        if level not in ("+", want[i]):
            return False
    return len(have) == len(want)
