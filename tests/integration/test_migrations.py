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


def test_the_web_may_do_what_its_pages_do_and_no_more(conn: psycopg.Connection) -> None:
    """A hole in a page reads no device's credential, writes no reading, forecast or price, and rewrites no history."""
    rights = {
        table: set(rights)
        for table, rights in conn.execute("""
          select c.relname, array_agg(a.privilege_type) from pg_class c, aclexplode(c.relacl) a
          where c.relnamespace = 'wearwell'::regnamespace and c.relkind in ('r', 'p', 'v')
            and a.grantee = 'wearwell_app'::regrole group by c.relname""")
    }
    assert not {"credential", "reading", "rescore", "wear_clock", "use_days", "use_cohort"} & rights.keys()
    writes = {table: may - {"SELECT"} for table, may in rights.items()}
    assert {"web_session", "attempt", "customer"} == {table for table, may in writes.items() if "DELETE" in may}
    for table in ("unit", "staff", "model_version", "cycle", "forecast", "slot_state", "reading_hourly", "part"):
        assert not writes[table], table
    for table in ("event", "quote", "purchase_step", "outbox", "audit"):
        assert {"INSERT"} == writes[table], table


def test_the_audit_takes_no_row_in_another_tenants_name(dsn: str, conn: psycopg.Connection) -> None:
    """Who is refused at the door has no tenant; whoever has one writes in its name only."""
    for slug in ("one", "two"):
        conn.execute("insert into tenant (slug, name, created_at) values (%s, %s, now())", (slug, slug))
    conn.commit()
    row = "insert into audit (tenant_id, at, actor, action) values (%s, now(), 'anonymous', 'refused')"
    with pool.connect(dsn, pool.Role.APP) as app:
        app.execute(row, (None,))
        pool.speak_for(app, 2)
        app.execute(row, (2,))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(row, (1,))


def test_no_reference_crosses_tenants(conn: psycopg.Connection) -> None:
    """Each foreign key from a row of a tenant carries the tenant, or ends where one that does begins: at its model."""
    crossing = conn.execute("""
        select c.conrelid::regclass::text, pg_get_constraintdef(c.oid) from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attname = 'tenant_id'
        join pg_attribute b on b.attrelid = c.confrelid and b.attname = 'tenant_id'
        where c.contype = 'f' and c.connamespace = 'wearwell'::regnamespace and not a.attnum = any(c.conkey)
        order by 1, 2""").fetchall()
    assert [
        ("cycle", "FOREIGN KEY (model_id, slot_id) REFERENCES slot(model_id, slot_id)"),
        ("fitment", "FOREIGN KEY (model_id, slot_id) REFERENCES slot(model_id, slot_id)"),
        (
            "payment",
            "FOREIGN KEY (order_id, amount_minor, currency) REFERENCES purchase(order_id, total_minor, currency)",
        ),
        ("purchase", "FOREIGN KEY (quote_id, total_minor, currency) REFERENCES quote(quote_id, total_minor, currency)"),
    ] == crossing
