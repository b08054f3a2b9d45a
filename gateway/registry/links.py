"""Owner links: what a mail carries. A random token, stored hashed, bound to a person and a purpose, expiring."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import psycopg
from psycopg.rows import class_row

from gateway import clock

Purpose = Literal["prompt", "sign_in"]


@dataclass(frozen=True, slots=True)
class Link:
    """A live link; `used_at` tells that it has ordered already (prompt) or signed in (sign_in)."""

    token_hash: bytes
    tenant_id: int
    party_id: int
    unit_id: int | None
    slot_id: int | None
    prompt_id: int | None
    purpose: Purpose
    expires_at: datetime
    used_at: datetime | None


def digest(token: str) -> bytes:
    """Return what is stored of a token: 32 bytes of SHA-256. The token is random, so it needs no salt."""
    return hashlib.sha256(token.encode()).digest()


def mint(
    conn: psycopg.Connection,
    *,
    tenant_id: int,
    party_id: int,
    purpose: Purpose,
    lifetime: timedelta,
    unit_id: int | None = None,
    slot_id: int | None = None,
    prompt_id: int | None = None,
) -> str:
    """Make a link that lives for `lifetime` of wall time; return its token (192 random bits), seen this once."""
    token = secrets.token_urlsafe(24)
    now = clock.wall()
    conn.execute(
        """insert into owner_link
           (token_hash, tenant_id, party_id, unit_id, slot_id, prompt_id, purpose, created_at, expires_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (digest(token), tenant_id, party_id, unit_id, slot_id, prompt_id, purpose, now, now + lifetime),
    )
    return token


def find(conn: psycopg.Connection, token: str) -> Link | None:
    """Return the live link of a token; None for one that is unknown, expired or revoked, and never which."""
    with conn.cursor(row_factory=class_row(Link)) as cursor:
        return cursor.execute(
            """select token_hash, tenant_id, party_id, unit_id, slot_id, prompt_id, purpose, expires_at, used_at
               from owner_link where token_hash = %s and revoked_at is null and expires_at > %s""",
            (digest(token), clock.wall()),
        ).fetchone()


def spend(conn: psycopg.Connection, link: Link) -> bool:
    """Spend a link and say whether this was the first time: of two at once, one wins."""
    return bool(
        conn.execute(
            "update owner_link set used_at = %s where token_hash = %s and used_at is null",
            (clock.wall(), link.token_hash),
        ).rowcount
    )
