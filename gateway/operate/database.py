"""The database this deployment uses: the one its settings name, else the embedded one."""

from pathlib import Path

import psycopg

from gateway.db import embedded, migrate, pool
from gateway.errors import ConfigurationError, Unreachable
from gateway.operate import data_folder
from gateway.settings import Settings


def dsn(settings: Settings) -> str:
    """Return the DSN that services log in with; with none set the embedded server is started and migrated.

    Raises ConfigurationError for a superuser's login, for which row-level security does not hold. A server that does
    not answer is let pass: services wait for it.
    """
    found = login(settings)
    if settings.database_dsn and _superuser(found):
        raise ConfigurationError(
            "WEARWELL_DATABASE_DSN: this login is a superuser, and tenants are not kept apart for it; use one that is"
            " a member of wearwell_app and wearwell_gateway. See docs/operating.md, Database."
        )
    return found


def login(settings: Settings) -> str:
    """Return the DSN that the settings name, else the embedded server's, started and migrated."""
    return settings.database_dsn.get_secret_value() if settings.database_dsn else start_embedded(settings.data_dir)


def _superuser(found: str) -> bool:
    try:
        with psycopg.connect(found, connect_timeout=5) as conn:
            row = conn.execute("select rolsuper from pg_roles where rolname = session_user").fetchone()
    except psycopg.OperationalError:
        return False
    return bool(row and row[0])


def migrate_embedded(data_dir: Path) -> list[str]:
    """Bring the embedded database up to date and return the names of what was applied."""
    return migrate.migrate(embedded.start(data_folder.make(data_dir)))


def start_embedded(data_dir: Path) -> str:
    """Start (or join) the embedded server, bring it up to date, and return a DSN without a superuser's rights."""
    return embedded.login(data_folder.make(data_dir))


def leave_embedded(data_dir: Path) -> None:
    """Leave the embedded server; it stops with the last process that uses it."""
    embedded.leave(data_dir.resolve())


def connect(settings: Settings) -> psycopg.Connection:
    """Open one connection in the gateway's role, which sees every tenant; the caller commits and closes it.

    Raises Unreachable, or ConfigurationError when the database lacks migrations.
    """
    try:
        conn = pool.connect(login(settings), pool.Role.GATEWAY)
    except psycopg.OperationalError as error:
        raise Unreachable(f"the database does not answer: {first_line(error)}; check WEARWELL_DATABASE_DSN") from None
    missing = migrate.pending(conn)
    conn.rollback()
    if missing:
        conn.close()
        raise ConfigurationError(f"the database lacks {', '.join(missing)}; run: wearwell migrate")
    return conn


def first_line(error: Exception) -> str:
    """Return the first line of a database's complaint, without the end of a sentence that goes on elsewhere."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
