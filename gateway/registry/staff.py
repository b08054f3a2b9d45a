"""Staff: who works at a manufacturer's console, and in which role."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from psycopg.rows import class_row

from gateway.db import pool
from gateway.errors import NotFound, WearwellError
from gateway.registry import audit, doors, sessions

Role = Literal["admin", "editor", "reader"]
RANK = {"reader": 0, "editor": 1, "admin": 2}
SHORTEST = 12
hasher = PasswordHasher()  # argon2id, the library's parameters (RFC 9106, low memory)


class BadPassword(WearwellError):
    """A password is too short to protect a fleet; use 12 characters or more."""


@dataclass(frozen=True, slots=True)
class Staff:
    staff_id: int
    tenant_id: int
    email: str
    role: Role


def create(conn: psycopg.Connection, *, tenant_id: int, email: str, password: str, role: Role, wall: datetime) -> int:
    """Create a staff member, or give the one of that address a new password and role; return their id.

    Their sessions end: a new password is asked for where somebody else may know the old one. The audit keeps it.
    Raises BadPassword. An address belongs to one tenant.
    """
    if len(password) < SHORTEST:
        raise BadPassword(f"this password has {len(password)} characters; use {SHORTEST} or more")
    row = conn.execute(
        """insert into staff (tenant_id, email, password_hash, role, created_at) values (%s, %s, %s, %s, %s)
           on conflict (lower(email)) do update
           set password_hash = excluded.password_hash, role = excluded.role, disabled_at = null
           where staff.tenant_id = excluded.tenant_id returning staff_id, xmax = 0""",
        (tenant_id, email, hasher.hash(password), role, wall),
    ).fetchone()
    if row is None:
        raise WearwellError(f"{email} works for another tenant; one address belongs to one")
    ended = sessions.end_all(conn, staff_id=row[0])
    action = "staff_added" if row[1] else "staff_changed"
    _note(conn, tenant_id, action, {"staff_id": row[0], "role": role, "sessions_ended": ended}, wall)
    return int(row[0])


def disable(conn: psycopg.Connection, *, tenant_id: int, email: str, wall: datetime) -> int:
    """Shut a staff member out, end their sessions, and return how many there were; the audit keeps it.

    Raises NotFound.
    """
    row = conn.execute(
        """update staff set disabled_at = coalesce(disabled_at, %s)
           where tenant_id = %s and lower(email) = lower(%s) returning staff_id""",
        (wall, tenant_id, email),
    ).fetchone()
    if row is None:
        raise NotFound(f"nobody of this tenant signs in as {email}; look for another spelling, or another --tenant")
    ended = sessions.end_all(conn, staff_id=row[0])
    _note(conn, tenant_id, "staff_disabled", {"staff_id": row[0], "sessions_ended": ended}, wall)
    return ended


def _note(conn: psycopg.Connection, tenant_id: int, action: str, detail: dict[str, Any], wall: datetime) -> None:
    audit.note(conn, tenant_id=tenant_id, actor=audit.OPERATOR, action=action, wall=wall, detail=detail)


def sign_in(conn: psycopg.Connection, email: str, password: str) -> Staff | None:
    """Return who signs in with that password, or None: same answer, same work, whether or not the address is known.

    The transaction speaks for their tenant from then on.
    """
    known = doors.staff(conn, email)
    try:
        hasher.verify(known[2] if known else _nobody(), password)
    except VerificationError:
        return None
    if known is None or known[3]:
        return None
    pool.speak_for(conn, known[0])
    with conn.cursor(row_factory=class_row(Staff)) as cursor:
        return cursor.execute(
            "select staff_id, tenant_id, email, role from staff where staff_id = %s", (known[1],)
        ).fetchone()


def may(role: str | None, needed: Role) -> bool:
    """Say whether a role is enough for what needs another."""
    return role is not None and RANK[role] >= RANK[needed]


@cache
def _nobody() -> str:
    return hasher.hash("nobody has this password")
