"""Owners: who a unit belongs to, where it ships, what they agreed to. Personal data stands in party and site only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.errors import Conflict, WearwellError

Purpose = Literal["replacement_prompts", "save_card"]
WORDING = {
    "replacement_prompts": "Tell me when a part of my product is due for replacement.",
    "save_card": "Save my card so that I can order parts with one tap.",
}


class BadAddress(WearwellError):
    """An email address cannot be one."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The person a unit belongs to now."""

    party_id: int
    tenant_id: int
    site_id: int | None
    email: str | None
    display_name: str | None
    locale: str
    channel: str


def register(
    conn: psycopg.Connection,
    tenant_id: int,
    unit_id: int,
    *,
    email: str,
    now: datetime,
    name: str | None = None,
    address: dict[str, Any] | None = None,
    locale: str = "en",
    prompts: bool = True,
) -> int:
    """Make a person the owner of a unit from `now` on and return their party id.

    A known email is the same person. `prompts` is their consent to be told when a part is due; who took theirs back did
    not give it again by that. Spares that are counted were the former owner's, who took them along.
    Raises BadAddress, or Conflict when somebody owns the unit already.
    """
    if "@" not in email.strip("@") or any(c.isspace() or not c.isprintable() for c in email):
        raise BadAddress(f"{email!r} is not an email address")
    if owner_of(conn, unit_id, now):
        raise Conflict("this unit has an owner; its transfer is theirs to start")
    party = conn.execute(
        """insert into party (tenant_id, display_name, email, locale, created_at) values (%s, %s, %s, %s, %s)
           on conflict (tenant_id, lower(email)) where email is not null
           do update set display_name = coalesce(excluded.display_name, party.display_name) returning party_id""",
        (tenant_id, name, email, locale, now),
    ).fetchone()
    assert party  # noqa: S101  # `returning` on an upsert always answers
    site = (
        conn.execute(
            "insert into site (tenant_id, party_id, address) values (%s, %s, %s) returning site_id",
            (tenant_id, party[0], Jsonb(address)),
        ).fetchone()
        if address
        else None
    )
    conn.execute(
        """insert into ownership (tenant_id, unit_id, party_id, site_id, period)
           values (%s, %s, %s, %s, tstzrange(%s, null))""",
        (tenant_id, unit_id, party[0], site and site[0], now),
    )
    conn.execute("update spare set count = 0 where unit_id = %s", (unit_id,))
    if prompts and not _withdrew(conn, party[0], "replacement_prompts"):
        agree(conn, tenant_id, party[0], "replacement_prompts", now)
    return int(party[0])


def owner_of(conn: psycopg.Connection, unit_id: int, at: datetime) -> Owner | None:
    """Return who owns the unit at that time, or None."""
    return _owner(conn, "o.unit_id = %s and o.period @> %s::timestamptz", (unit_id, at))


def address(conn: psycopg.Connection, site_id: int) -> dict[str, Any]:
    """Return the address of a site; an empty one where it was erased."""
    row = conn.execute("select address from site where site_id = %s", (site_id,)).fetchone()
    return dict(row[0]) if row and row[0] else {}


def agree(conn: psycopg.Connection, tenant_id: int, party_id: int, purpose: Purpose, now: datetime) -> None:
    """Record a person's consent, once while it stands."""
    conn.execute(
        """insert into consent (tenant_id, party_id, purpose, wording, given_at) values (%s, %s, %s, %s, %s)
           on conflict (party_id, purpose) where withdrawn_at is null do nothing""",
        (tenant_id, party_id, purpose, WORDING[purpose], now),
    )


def agreed(conn: psycopg.Connection, party_id: int, purpose: Purpose) -> bool:
    """Say whether the person agreed to that, and did not take it back."""
    row = conn.execute(
        "select exists(select from consent where party_id = %s and purpose = %s and withdrawn_at is null)",
        (party_id, purpose),
    ).fetchone()
    return bool(row and row[0])


def withdraw(conn: psycopg.Connection, party_id: int, purpose: Purpose, now: datetime) -> None:
    """Take a person's consent back."""
    conn.execute(
        "update consent set withdrawn_at = %s where party_id = %s and purpose = %s and withdrawn_at is null",
        (now, party_id, purpose),
    )


def _withdrew(conn: psycopg.Connection, party_id: int, purpose: Purpose) -> bool:
    row = conn.execute(
        "select exists(select from consent where party_id = %s and purpose = %s and withdrawn_at is not null)",
        (party_id, purpose),
    ).fetchone()
    return bool(row and row[0])


def _owner(conn: psycopg.Connection, where: str, arguments: tuple[object, ...]) -> Owner | None:
    with conn.cursor(row_factory=class_row(Owner)) as cursor:
        return cursor.execute(
            f"""select p.party_id, p.tenant_id, o.site_id, p.email, p.display_name, p.locale, p.channel
                from ownership o join party p on p.party_id = o.party_id
                where p.erased_at is null and {where} order by o.ownership_id limit 1""",
            arguments,
        ).fetchone()


def units_of(conn: psycopg.Connection, party_id: int, at: datetime) -> list[int]:
    """Return the ids of the units that a person owns at that time, oldest first."""
    rows = conn.execute(
        "select unit_id from ownership where party_id = %s and period @> %s::timestamptz order by ownership_id",
        (party_id, at),
    )
    return [row[0] for row in rows]
