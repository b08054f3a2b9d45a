"""Whether the database answers, asked over a connection of its own: a pool that is used up is not a database away."""

import psycopg
from psycopg import conninfo

from gateway.db import migrate

PATIENCE = 2  # seconds that the database may take
AWAY = "the database does not answer; check that it runs and is reachable"


def database(dsn: str) -> str | None:
    """Say why the database cannot be used by who connects with this DSN, or None."""
    options = conninfo.conninfo_to_dict(dsn).get("options") or ""
    asked = f"{options} -c statement_timeout={PATIENCE * 1000}"
    try:
        with psycopg.connect(dsn, connect_timeout=PATIENCE, options=asked) as conn:
            missing = migrate.pending(conn)
    except psycopg.Error:
        return AWAY
    return f"{len(missing)} migrations are missing; run wearwell migrate" if missing else None
