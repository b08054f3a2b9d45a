"""Migrations: one linear list, applied once, never changed afterwards."""

import uuid

import psycopg
import pytest
from psycopg import conninfo

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


def test_an_owner_without_superuser_rights_can_migrate(server_dsn: str) -> None:
    """A login that may create roles and owns its database is enough, as docs/operating.md says."""
    owner, database = f"owner_{uuid.uuid4().hex[:8]}", f"ww_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"create role {owner} login createrole")
        for role in ("wearwell_app", "wearwell_gateway"):  # on this server they may stand already, as another's
            if conn.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                conn.execute(f"grant {role} to {owner} with admin option")
        conn.execute(f"create database {database} owner {owner}")
        try:
            assert "0001_identity" in migrate.migrate(conninfo.make_conninfo(server_dsn, dbname=database, user=owner))
        finally:
            conn.execute(f"drop database {database} with (force)")
