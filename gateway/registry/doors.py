"""The doors: how a request that names no tenant yet finds the one it belongs to (migrations/0005_web.sql).

Each returns the least it can; the transaction then speaks for that tenant (`pool.speak_for`).
"""

import psycopg

from gateway.registry.links import digest


def unit(conn: psycopg.Connection, gtin14: str, serial: str) -> tuple[int, int] | None:
    """Return (tenant_id, unit_id) of a code, or None."""
    return conn.execute("select tenant_id, unit_id from door_unit(%s, %s)", (gtin14, serial)).fetchone()


def model(conn: psycopg.Connection, gtin14: str) -> tuple[int, int] | None:
    """Return (tenant_id, model_id) of a product model's GTIN, or None."""
    return conn.execute("select tenant_id, model_id from door_model(%s)", (gtin14,)).fetchone()


def link(conn: psycopg.Connection, token: str) -> int | None:
    """Return the tenant of an owner link, live or not, or None."""
    return _tenant(conn.execute("select tenant_id from door_link(%s)", (digest(token),)).fetchone())


def session(conn: psycopg.Connection, token: str) -> int | None:
    """Return the tenant of a web session, live or not, or None."""
    return _tenant(conn.execute("select tenant_id from door_session(%s)", (digest(token),)).fetchone())


def staff(conn: psycopg.Connection, email: str) -> tuple[int, int, str, bool] | None:
    """Return (tenant_id, staff_id, password_hash, disabled) of a staff member's address, or None."""
    return conn.execute("select tenant_id, staff_id, password_hash, disabled from door_staff(%s)", (email,)).fetchone()


def owners(conn: psycopg.Connection, email: str) -> list[tuple[int, int]]:
    """Return (tenant_id, party_id) wherever that address owns a unit now: one person, several makers."""
    return conn.execute("select tenant_id, party_id from door_owner(%s)", (email,)).fetchall()


def tenant(conn: psycopg.Connection, slug: str) -> int | None:
    """Return the tenant of a slug, or None."""
    return _tenant(conn.execute("select tenant_id from door_tenant(%s)", (slug,)).fetchone())


def _tenant(row: tuple[int, ...] | None) -> int | None:
    return row[0] if row else None
