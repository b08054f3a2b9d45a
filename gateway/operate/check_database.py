"""The database as `wearwell doctor` sees it."""

from collections.abc import Iterator

import psycopg

from gateway import clock
from gateway.db import migrate, pool
from gateway.operate import database
from gateway.operate.finding import Finding, bad, good, warning
from gateway.settings import Settings

OLDEST = 15
SKEW_S = 2.0
MEMBER = "give the services a login that is a member of wearwell_app and wearwell_gateway, see docs/operating.md"
SERVER = """
select current_setting('server_version_num')::int / 10000, current_setting('server_version'), rolsuper, rolname,
       clock_timestamp(), (select extversion from pg_extension where extname = 'timescaledb')
from pg_roles where rolname = session_user"""


def look(settings: Settings) -> Iterator[Finding]:
    """Look at version, login, extension, migrations and clock."""
    try:
        conn = pool.connect(database.login(settings), None)
    except psycopg.OperationalError as error:
        said = f"does not answer: {database.first_line(error)}"
        yield bad("database", said, "check WEARWELL_DATABASE_DSN, and that the server runs")
        return
    with conn:
        conn.autocommit = True
        row = conn.execute(SERVER).fetchone()
        asked = clock.wall()
        assert row  # noqa: S101  # one row for the session's own role
        major, version, superuser, name, its_time, timescale = row
        own = settings.database_dsn is None
        if major < OLDEST:
            yield bad("PostgreSQL", version, f"needs {OLDEST} or newer")
        else:
            yield good("PostgreSQL", f"{version}{', embedded' if own else ''}")
        if superuser:
            yield bad("database login", f"{name} is a superuser: tenants are not kept apart", MEMBER)
        else:
            yield good("database login", name)
        if timescale or own:
            yield good("TimescaleDB", timescale or "not there: readings lie in monthly partitions")
        else:
            remedy = "works as it is; the extension compresses what a large fleet stores"
            yield warning("TimescaleDB", "not there: readings lie in monthly partitions", remedy)
        yield _migrations(conn)
        skew = (its_time - asked).total_seconds()
        said = f"{skew:+.1f} s between the database's and ours"
        if abs(skew) > SKEW_S:
            yield warning("clock", said, "let both follow the same time server")
        else:
            yield good("clock", said)


def _migrations(conn: psycopg.Connection) -> Finding:
    try:
        conn.execute(f"set role {pool.Role.GATEWAY}")
        missing = migrate.pending(conn)
    except psycopg.Error as error:
        return bad("migrations", f"cannot be looked at: {database.first_line(error)}", f"wearwell migrate; {MEMBER}")
    if missing:
        return bad("migrations", f"missing: {', '.join(missing)}", "run: wearwell migrate")
    return good("migrations", "all applied")
