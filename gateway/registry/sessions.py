"""Sessions, kept on the server: what a cookie names is a row that can be ended. Times are the wall clock's."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from gateway.registry.links import digest

TOUCH = timedelta(minutes=1)  # how much an idle session's age may be overstated; saves a write per request


class Limits(NamedTuple):
    """How long a session lives unused, and at all."""

    idle: timedelta
    absolute: timedelta


STAFF = Limits(timedelta(hours=1), timedelta(hours=12))
OWNER = Limits(timedelta(days=30), timedelta(days=90))


@dataclass(frozen=True, slots=True)
class Session:
    """A live session of one staff member or one owner; `role` and `email` are theirs."""

    token_hash: bytes
    tenant_id: int
    staff_id: int | None
    party_id: int | None
    role: str | None
    email: str | None
    csrf_hash: bytes
    seen_at: datetime


def csrf(token: str) -> str:
    """Return the value that every form of the session carries; it follows from the token and cannot be guessed."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def start(
    conn: psycopg.Connection,
    *,
    tenant_id: int,
    wall: datetime,
    staff_id: int | None = None,
    party_id: int | None = None,
) -> str:
    """Start a session for one staff member or one owner; return its token (256 random bits), seen this once."""
    token = secrets.token_urlsafe(32)
    limits = STAFF if staff_id else OWNER
    conn.execute(
        """insert into web_session
           (token_hash, tenant_id, staff_id, party_id, csrf_hash, created_at, seen_at, expires_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (digest(token), tenant_id, staff_id, party_id, digest(csrf(token)), wall, wall, wall + limits.absolute),
    )
    return token


def find(conn: psycopg.Connection, token: str, wall: datetime) -> Session | None:
    """Return the live session of a token and note that it was used; None when unknown, idle too long or over."""
    with conn.cursor(row_factory=class_row(Session)) as cursor:
        found = cursor.execute(
            """select token_hash, w.tenant_id, staff_id, party_id, s.role, coalesce(s.email, p.email) as email,
                      csrf_hash, seen_at
               from web_session w left join staff s using (tenant_id, staff_id)
               left join party p using (tenant_id, party_id)
               where token_hash = %(hash)s and w.expires_at > %(wall)s and s.disabled_at is null
                 and p.erased_at is null
                 and w.seen_at > case when staff_id is null then %(owner)s::timestamptz else %(staff)s end""",
            {"hash": digest(token), "wall": wall, "owner": wall - OWNER.idle, "staff": wall - STAFF.idle},
        ).fetchone()
    if found and wall - found.seen_at > TOUCH:
        conn.execute("update web_session set seen_at = %s where token_hash = %s", (wall, found.token_hash))
    return found


def end(conn: psycopg.Connection, token: str) -> None:
    """End the session of a token."""
    conn.execute("delete from web_session where token_hash = %s", (digest(token),))


def end_all(conn: psycopg.Connection, *, staff_id: int | None = None, party_id: int | None = None) -> int:
    """End every session of a person, on every device, and return how many there were."""
    return conn.execute("delete from web_session where staff_id = %s or party_id = %s", (staff_id, party_id)).rowcount
