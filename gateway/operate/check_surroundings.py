"""Disk, mail and payments as `wearwell doctor` sees them."""

import smtplib
import ssl
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from gateway.operate import data_folder
from gateway.operate.finding import Finding, bad, good, warning
from gateway.settings import Settings

SMALL = 2 * 1024**3  # bytes
TINY = 200 * 1024**2
PATIENCE_S = 10


def disk(settings: Settings) -> Iterator[Finding]:
    """Look at the room under the data folder."""
    folder, free = data_folder.room(settings.data_dir)
    said, remedy = f"{free / 1024**3:.1f} GiB free at {folder}", "free some space: a full disk stops ingest"
    if free < TINY:
        yield bad("disk", said, remedy)
    elif free < SMALL:
        yield warning("disk", said, remedy)
    else:
        yield good("disk", said)


def mail(settings: Settings) -> Iterator[Finding]:
    """Connect to the mail server and log in, as the worker does."""
    if settings.smtp_url is None:
        yield warning("mail", "stays in the outbox: no server is set", "set WEARWELL_SMTP_URL")
        return
    url = urlsplit(settings.smtp_url.get_secret_value())
    secure = url.scheme == "smtps"
    host, port = url.hostname or "", url.port or (465 if secure else 587)
    try:
        with _smtp(host, port, secure=secure) as server:
            server.ehlo()
            if not secure and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
    except (OSError, smtplib.SMTPException) as error:
        yield bad("mail", f"{host}:{port} does not take mail from us: {error}", "check WEARWELL_SMTP_URL")
        return
    yield good("mail", f"{host}:{port} answers")


def _smtp(host: str, port: int, *, secure: bool) -> smtplib.SMTP:
    if secure:
        return smtplib.SMTP_SSL(host, port, timeout=PATIENCE_S, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=PATIENCE_S)


def payments(settings: Settings) -> Iterator[Finding]:
    """Look at what the key may do and whether money moves."""
    if settings.stripe_key is None:
        remedy = "set WEARWELL_STRIPE_KEY and WEARWELL_STRIPE_WEBHOOK_SECRETS"
        yield warning("payments", "nothing can be ordered: no key is set", remedy)
        return
    if settings.stripe_url:
        said = f"the stand-in at {settings.stripe_url}: no money moves"
        yield warning("payments", said, "unset WEARWELL_STRIPE_URL to sell")
        return
    key = settings.stripe_key.get_secret_value()
    mode = "live" if "_live_" in key else "test" if "_test_" in key else "unknown"
    if not key.startswith("rk_"):
        remedy = "use a restricted key (rk_…): it can do less harm when it leaks"
        yield warning("payments", f"{mode} mode, with an unrestricted key", remedy)
    elif mode == "live":
        yield good("payments", "live mode, restricted key")
    else:
        yield warning("payments", f"{mode} mode, restricted key", "no real money moves in test mode")
