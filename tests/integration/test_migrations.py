"""Migrations: one linear list, applied once, never changed afterwards."""

import psycopg
import pytest

from gateway.db import migrate, pool


def test_migrating_twice_applies_nothing(dsn: str) -> None:
    """A database that is up to date stays as it is."""
    assert [] == migrate.migrate(dsn)


def test_an_applied_migration_may_not_change(dsn: str) -> None:
    """A file whose text changed after it was applied is refused by name."""
    with psycopg.connect(dsn) as conn:
        conn.execute("update wearwell.migration set sha256 = 'other' where name = '0001_identity'")
    with pytest.raises(migrate.MigrationChanged, match="0001_identity"):
        migrate.migrate(dsn)


def test_every_table_with_a_tenant_is_isolated(conn: psycopg.Connection) -> None:
    """Each table with a tenant has forced row-level security, or the app reads it through a barrier view only."""
    open_tables = conn.execute("""
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
        where c.relnamespace = 'wearwell'::regnamespace and c.relkind in ('r', 'p')
          and not (c.relrowsecurity and c.relforcerowsecurity)
          and has_table_privilege('wearwell_app', c.oid, 'select, insert, update, delete')""").fetchall()
    assert [] == open_tables


def test_the_app_role_sees_nothing_without_a_tenant(dsn: str, conn: psycopg.Connection) -> None:
    """A request that forgot its tenant reads an empty database, and one with a tenant reads only that one."""
    for slug in ("one", "two"):
        conn.execute("insert into tenant (slug, name, created_at) values (%s, %s, now())", (slug, slug))
    conn.commit()
    with pool.connect(dsn, pool.Role.APP) as app:
        assert [] == app.execute("select slug from tenant").fetchall()
        pool.speak_for(app, 2)
        assert [("two",)] == app.execute("select slug from tenant").fetchall()
