"""Connections: each process connects in its own role, and a web request speaks for one tenant."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import psycopg
from psycopg import conninfo
from psycopg_pool import ConnectionPool

SEARCH_PATH = "wearwell,public"


class Role(StrEnum):
    """Which rights a connection has, see migrations/0001_identity.sql."""

    APP = "wearwell_app"  # the web: sees the tenant of its transaction, or nothing
    GATEWAY = "wearwell_gateway"  # ingest and worker: sees every tenant, changes no schema


def dsn_for(dsn: str, role: Role | None) -> str:
    """Return the DSN with our search path, UTC and the role; None keeps the login's own rights (migrations)."""
    options = [f"-c search_path={SEARCH_PATH}", "-c timezone=UTC"]
    if role:
        options.append(f"-c role={role}")
    return conninfo.make_conninfo(dsn, options=" ".join(options))


def connect(dsn: str, role: Role | None) -> psycopg.Connection:
    """Open one connection outside any pool; the caller closes it."""
    return psycopg.connect(dsn_for(dsn, role), connect_timeout=5)


def open_pool(dsn: str, role: Role, *, size: int = 8) -> ConnectionPool:
    """Open a pool of at most `size` connections; the caller closes it."""
    return ConnectionPool(
        dsn_for(dsn, role), min_size=1, max_size=size, open=True, timeout=10, kwargs={"connect_timeout": 5}
    )


@contextmanager
def for_tenant(pool: ConnectionPool, tenant_id: int) -> Iterator[psycopg.Connection]:
    """Yield a connection in one transaction that sees this tenant; commit at the end, roll back on an exception."""
    with pool.connection() as conn:
        speak_for(conn, tenant_id)
        yield conn


def speak_for(conn: psycopg.Connection, tenant_id: int) -> None:
    """Set the tenant of the transaction that `conn` is in; it ends with the transaction."""
    conn.execute("select set_config('app.tenant', %s, true)", (str(tenant_id),))
