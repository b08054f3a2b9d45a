"""Migrations: one linear list of SQL files, each applied once, in one transaction each."""

import hashlib
import re
import time
from dataclasses import dataclass
from importlib import metadata, resources

import psycopg
import structlog
from psycopg import sql

from gateway import clock
from gateway.db import pool
from gateway.errors import WearwellError

log = structlog.get_logger()

LOCK = 0x77656172  # two migrations at once wait for each other
JOBS = "procrastinate"
LOCK_MS = 1_500  # that a migration may wait for a table: whoever comes after it waits behind it, and ingest does too
PAUSES_S = (1.0, 2.0, *(4.0,) * 28)  # between its tries, in which the others go on


class MigrationChanged(WearwellError):
    """A migration that was applied has another text now; restore the file, and write a new one for the change."""


class TableBusy(WearwellError):
    """Somebody holds a table for minutes on end; end that session, or migrate again when it is done."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file; `name` is its file name without the ending."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return every migration in order."""
    folder = resources.files("gateway.db") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in files]


def migrate(dsn: str) -> list[str]:
    """Bring the database up to date and return the names of what was applied, none when it was.

    `dsn` is a login that may create roles and extensions, the first time, and owns the schema from then on.
    Raises MigrationChanged when an applied file has changed since, TableBusy where a table was not to be had.
    """
    with pool.connect(dsn, None) as conn:
        conn.autocommit = True
        conn.execute("select pg_advisory_lock(%s)", (LOCK,))
        conn.execute("create schema if not exists wearwell")
        conn.execute(
            """create table if not exists migration(
                 name text primary key, sha256 text not null, applied_at timestamptz not null)"""
        )
        applied: dict[str, str] = dict(conn.execute("select name, sha256 from migration").fetchall())
        done = [m.name for m in [*migrations(), *job_migrations(applied)] if _apply(conn, m, applied)]
        with conn.transaction():
            grant_jobs(conn)
        return done


def pending(conn: psycopg.Connection) -> list[str]:
    """Return the names of the migrations that this database lacks."""
    found = conn.execute("select to_regclass('wearwell.migration')").fetchone()
    stands = bool(found and found[0])
    applied: dict[str, str] = dict(conn.execute("select name, sha256 from migration").fetchall()) if stands else {}
    return [m.name for m in [*migrations(), *job_migrations(applied)] if m.name not in applied]


def _apply(conn: psycopg.Connection, migration: Migration, applied: dict[str, str]) -> bool:
    if migration.name in applied:
        if applied[migration.name] != migration.sha256:
            raise MigrationChanged(
                f"{migration.name} was applied with another text; restore it and add a new migration"
            )
        return False
    for pause in PAUSES_S:
        try:
            with conn.transaction():
                conn.execute(f"set local lock_timeout = {LOCK_MS}")
                conn.execute(migration.text)
                conn.execute(
                    "insert into migration values (%s, %s, %s)", (migration.name, migration.sha256, clock.wall())
                )
        except psycopg.errors.LockNotAvailable:
            log.warning("a table is in use; trying again", migration=migration.name, again_s=pause)
            time.sleep(pause)
        else:
            return True
    raise TableBusy(f"{migration.name}: {TableBusy.__doc__}")


def job_migrations(applied: dict[str, str]) -> list[Migration]:
    """Return the job queue's own schema: whole on a new database, else only the steps since the version it has."""
    folder = resources.files("procrastinate") / "sql"
    version = metadata.version(JOBS)
    whole = Migration(f"{JOBS} {version}", (folder / "schema.sql").read_text("utf-8"))
    had = [name.removeprefix(f"{JOBS} ") for name in applied if name.startswith(f"{JOBS} ")]
    if not had or version in had:
        return [whole] if not had else []
    newest = max(_version(v) for v in had)
    steps = sorted((f for f in (folder / "migrations").iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    fresh = [f.read_text("utf-8") for f in steps if newest < _version(f.name) <= _version(version)]
    return [Migration(whole.name, "\n".join(fresh) or "select 1")]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:3])


def grant_jobs(conn: psycopg.Connection) -> None:
    """Let the gateway work the job queue, and the web put jobs into it."""
    gateway, app = sql.Identifier(pool.Role.GATEWAY), sql.Identifier(pool.Role.APP)
    tables = conn.execute(
        """select relname, relkind from pg_class
           where relnamespace = 'wearwell'::regnamespace and relname like 'procrastinate%' and relkind in ('r', 'S')"""
    ).fetchall()
    for name, kind in tables:
        kind_words = sql.SQL("sequence" if kind == "S" else "table")
        target = sql.Identifier("wearwell", name)
        conn.execute(sql.SQL("grant all on {} {} to {}").format(kind_words, target, gateway))
        if kind == "S":
            conn.execute(sql.SQL("grant usage on sequence {} to {}").format(target, app))
        elif name in ("procrastinate_jobs", "procrastinate_events"):
            conn.execute(sql.SQL("grant select, insert on table {} to {}").format(target, app))
