"""A look at everything a deployment leans on, each with a verdict and what to do about it."""

import shutil
import smtplib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from gateway import clock
from gateway.db import migrate, pool
from gateway.errors import Exit, Unreachable
from gateway.operate import broker, broker_check, database
from gateway.settings import Settings

OLDEST_POSTGRES = 15
SKEW_S = 2.0
SMALL_DISK = 2 * 1024**3  # bytes
TINY_DISK = 200 * 1024**2


class Verdict(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` says what to do and is empty when all is well."""

    what: str
    verdict: Verdict
    says: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at database, broker, disk, mail and payments; a thing that is away is a finding, not an error."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_database, _broker, _disk, _mail, _payments)
    return [finding for check in checks for finding in check(settings)]


def exit_code(findings: list[Finding]) -> Exit:
    """Return failed when something is bad, else ok: a warning is advice."""
    return Exit.FAILED if any(f.verdict is Verdict.BAD for f in findings) else Exit.OK


def _database(settings: Settings) -> Iterator[Finding]:
    own = settings.database_dsn is None
    try:
        conn = pool.connect(database.dsn(settings), None)
    except psycopg.OperationalError as error:
        yield Finding(
            "database",
            Verdict.BAD,
            f"does not answer: {database.first_line(error)}",
            "check WEARWELL_DATABASE_DSN, and that the server runs",
        )
        return
    with conn:
        row = conn.execute(
            """select current_setting('server_version_num')::int / 10000, current_setting('server_version'), rolsuper,
                      rolname, clock_timestamp(), (select extversion from pg_extension where extname = 'timescaledb')
               from pg_roles where rolname = session_user"""
        ).fetchone()
        asked = clock.wall()
        assert row  # noqa: S101  # one row for the session's own role
        major, version, superuser, name, its_time, timescale = row
        old = major < OLDEST_POSTGRES
        yield Finding(
            "PostgreSQL",
            Verdict.BAD if old else Verdict.GOOD,
            f"{version}{', embedded' if own else ''}",
            f"needs {OLDEST_POSTGRES} or newer" if old else "",
        )
        yield Finding(
            "database role",
            Verdict.BAD if superuser else Verdict.GOOD,
            f"{name}{' is a superuser: tenants are not kept apart' if superuser else ''}",
            "give the services a login that is a member of wearwell_app and wearwell_gateway, see docs/operating.md"
            if superuser
            else "",
        )
        yield Finding(
            "TimescaleDB",
            Verdict.GOOD if timescale or own else Verdict.WARNING,
            timescale or "not there: readings lie in native monthly partitions",
            "" if timescale or own else "works as it is; install the extension for compression on large fleets",
        )
        missing = migrate.pending(conn)
        yield Finding(
            "migrations",
            Verdict.BAD if missing else Verdict.GOOD,
            f"missing: {', '.join(missing)}" if missing else "all applied",
            "run: wearwell migrate" if missing else "",
        )
        skew = (its_time - asked).total_seconds()
        off = abs(skew) > SKEW_S
        yield Finding(
            "clock",
            Verdict.WARNING if off else Verdict.GOOD,
            f"{skew:+.1f} s between the database's and ours",
            "let both follow the same time server" if off else "",
        )


def _broker(settings: Settings) -> Iterator[Finding]:
    own = broker.folder_of(settings.data_dir)
    if "mqtt_url" not in settings.model_fields_set and broker.running(own) is None:
        yield Finding("broker", Verdict.WARNING, "the embedded one is not running", "start it with: wearwell up")
        return
    try:
        seen = broker_check.look(settings)
        refuses = broker_check.anonymous_refused(settings)
    except Unreachable as error:
        yield Finding("broker", Verdict.BAD, str(error), "start it, or correct WEARWELL_MQTT_URL")
        return
    if seen.refused:
        yield Finding(
            "broker",
            Verdict.BAD,
            f"refuses us: {seen.refused}",
            "check WEARWELL_MQTT_USERNAME and WEARWELL_MQTT_PASSWORD, and run: wearwell broker-files",
        )
        return
    yield Finding("broker", Verdict.GOOD, f"{seen.version or 'version not told'}, {seen.protocol}")
    if seen.protocol == broker_check.OLDER:
        yield Finding(
            "broker protocol",
            Verdict.WARNING,
            "speaks MQTT 3.1.1 only",
            "install Mosquitto: without MQTT 5 the window of unacknowledged messages is the broker's to choose",
        )
    yield Finding(
        "anonymous clients",
        Verdict.GOOD if refuses else Verdict.BAD,
        "refused" if refuses else "let in",
        "" if refuses else "set allow_anonymous false",
    )
    yield Finding(
        "broker sessions",
        Verdict.GOOD if seen.session_kept else Verdict.BAD,
        "kept between connections"
        if seen.session_kept
        else "lost between connections: what arrives while the gateway is away is dropped",
        "" if seen.session_kept else "allow persistent sessions (persistent_client_expiration)",
    )
    yield from _broker_file(own / "mosquitto.conf")


def _broker_file(config: Path) -> Iterator[Finding]:
    """Judge what only the configuration shows: a queue's limit and persistence cannot be seen from a connection."""
    if not config.exists():
        yield Finding(
            "broker queue",
            Verdict.WARNING,
            "its limit and its persistence cannot be seen from here",
            "compare with deploy/mosquitto/mosquitto.conf",
        )
        return
    lines = dict(line.partition(" ")[::2] for line in config.read_text().splitlines() if line and line[0] != "#")
    queue, kept = int(lines.get("max_queued_messages", 1000)), lines.get("persistence") == "true"
    good = kept and (queue == 0 or queue >= 10_000)
    yield Finding(
        "broker queue",
        Verdict.GOOD if good else Verdict.BAD,
        f"{queue or 'unlimited'} messages, {'kept' if kept else 'not kept'} over a restart",
        "" if good else "set persistence true and max_queued_messages to 100000",
    )


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    verdict = Verdict.BAD if free < TINY_DISK else Verdict.WARNING if free < SMALL_DISK else Verdict.GOOD
    yield Finding(
        "disk",
        verdict,
        f"{free / 1024**3:.1f} GiB free at {folder}",
        "" if verdict is Verdict.GOOD else "free some space: a full disk stops ingest",
    )


def _mail(settings: Settings) -> Iterator[Finding]:
    if settings.smtp_url is None:
        yield Finding("mail", Verdict.WARNING, "stays in the outbox: no server is set", "set WEARWELL_SMTP_URL")
        return
    url = urlsplit(settings.smtp_url.get_secret_value())
    place = f"{url.hostname}:{url.port or (465 if url.scheme == 'smtps' else 25)}"
    try:
        if url.scheme == "smtps":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(url.hostname or "", url.port or 465, timeout=10, context=context)
        else:
            server = smtplib.SMTP(url.hostname or "", url.port or 25, timeout=10)
        with server:
            server.ehlo()
            if url.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
    except (OSError, smtplib.SMTPException) as error:
        yield Finding("mail", Verdict.BAD, f"{place} does not take mail from us: {error}", "check WEARWELL_SMTP_URL")
        return
    yield Finding("mail", Verdict.GOOD, f"{place} answers")


def _payments(settings: Settings) -> Iterator[Finding]:
    if settings.stripe_key is None:
        yield Finding(
            "payments",
            Verdict.WARNING,
            "nothing can be ordered: no key is set",
            "set WEARWELL_STRIPE_KEY and WEARWELL_STRIPE_WEBHOOK_SECRETS",
        )
        return
    key = settings.stripe_key.get_secret_value()
    if settings.stripe_url:
        yield Finding(
            "payments",
            Verdict.WARNING,
            f"the stand-in at {settings.stripe_url}: no money moves",
            "unset WEARWELL_STRIPE_URL to sell",
        )
        return
    mode = "live" if "_live_" in key else "test" if "_test_" in key else "unknown"
    if not key.startswith("rk_"):
        yield Finding(
            "payments",
            Verdict.WARNING,
            f"{mode} mode, with an unrestricted key",
            "use a restricted key (rk_…): it can do less harm when it leaks",
        )
        return
    verdict = Verdict.GOOD if mode == "live" else Verdict.WARNING
    yield Finding(
        "payments",
        verdict,
        f"{mode} mode, restricted key",
        "" if mode == "live" else "no real money moves in test mode",
    )
