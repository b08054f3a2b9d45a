"""Device credentials: one random secret per unit, known to the unit, stored only as the broker's hash."""

import base64
import hashlib
import secrets
from datetime import datetime

import psycopg

ITERATIONS = (
    1_000  # the secret has 192 random bits: stretching it adds nothing, and a broker starts with 20,000 of them
)


def mosquitto_hash(secret: str, salt: bytes | None = None) -> str:
    """Return the secret as Mosquitto's password file holds it: `$7$`, PBKDF2 with SHA-512."""
    salt = salt or secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def issue(conn: psycopg.Connection, *, tenant_id: int, unit_id: int, device: str, now: datetime) -> str:
    """Give a unit a new secret, revoke the one it had, and return the secret: the only time that it is seen."""
    revoke(conn, device, now)
    secret = secrets.token_urlsafe(24)
    conn.execute(
        "insert into credential (tenant_id, unit_id, device, secret_hash, created_at) values (%s, %s, %s, %s, %s)",
        (tenant_id, unit_id, device, mosquitto_hash(secret), now),
    )
    return secret


def revoke(conn: psycopg.Connection, device: str, at: datetime) -> bool:
    """Revoke a device's credential and say whether it had one; the broker knows after its files are written again."""
    return bool(
        conn.execute(
            "update credential set revoked_at = %s where device = %s and revoked_at is null", (at, device)
        ).rowcount
    )


def password_file(conn: psycopg.Connection) -> str:
    """Return Mosquitto's password file: a line for each live credential."""
    rows = conn.execute("select device, secret_hash from credential where revoked_at is null order by device")
    return "".join(f"{device}:{secret_hash}\n" for device, secret_hash in rows)


ACL = """\
# A unit reaches its own topics and no other.
pattern write ww/v1/%u/state
pattern write ww/v1/%u/tlm
pattern write ww/v1/%u/evt
pattern write ww/v1/%u/up/#
pattern read ww/v1/%u/dn/#
# Units that speak an adapter's topics: <type>/<serial>/status/…
pattern write +/%u/status/#

user {gateway}
topic read ww/v1/+/state
topic read ww/v1/+/tlm
topic read ww/v1/+/evt
topic read ww/v1/+/up/#
topic read +/+/status/#
topic write ww/v1/+/dn/#
topic read $SYS/broker/version
"""


def acl_file(gateway_user: str) -> str:
    """Return Mosquitto's access file; whatever it does not name is refused."""
    return ACL.format(gateway=gateway_user)
