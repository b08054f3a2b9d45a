"""Tenants: a manufacturer, or a fleet operator with its own gateway."""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from gateway import clock
from gateway.errors import NotFound
from gateway.registry import channels


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: int
    slug: str
    name: str


def create(conn: psycopg.Connection, slug: str, name: str) -> int:
    """Create a tenant with the standard channels, or find the one of that slug; return its id."""
    row = conn.execute(
        """insert into tenant (slug, name, created_at) values (%s, %s, %s)
           on conflict (slug) do update set name = excluded.name returning tenant_id""",
        (slug, name, clock.wall()),
    ).fetchone()
    assert row  # noqa: S101  # `returning` on an upsert always answers
    for channel in channels.CHANNELS:
        channels.add(conn, row[0], channel)
    return int(row[0])


def by_slug(conn: psycopg.Connection, slug: str) -> Tenant:
    """Return the tenant of that slug; raises NotFound."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        found = cursor.execute("select tenant_id, slug, name from tenant where slug = %s", (slug,)).fetchone()
    if not found:
        raise NotFound(f"there is no tenant {slug!r}; `wearwell declare` creates one")
    return found


def get(conn: psycopg.Connection, tenant_id: int) -> Tenant:
    """Return one tenant; raises NotFound."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        found = cursor.execute("select tenant_id, slug, name from tenant where tenant_id = %s", (tenant_id,)).fetchone()
    if not found:
        raise NotFound(f"there is no tenant {tenant_id}")
    return found
