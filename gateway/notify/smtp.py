"""Mail over SMTP: handed to the operator's mail server, which answers for the rest."""

import smtplib
import ssl
from email.utils import parseaddr
from types import TracebackType
from typing import Protocol
from urllib.parse import unquote, urlsplit

from gateway.errors import WearwellError
from gateway.notify.mail import Mail

TIMEOUT_S = 20.0


class NotSent(WearwellError):
    """The mail server did not take the mail now; a later attempt may succeed."""


class Refused(WearwellError):
    """The mail server will never take this mail."""


class Mailer(Protocol):
    """Takes mails; says by `keeps` whether the outbox row keeps them for a reader."""

    keeps: bool

    def deliver(self, mail: Mail) -> None:
        """Hand a mail over; raises NotSent or Refused."""


class Smtp:
    """One mail, one connection: SMTP with STARTTLS where offered, or TLS from the start for smtps."""

    keeps = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise WearwellError("smtp_url must look like smtp://user:password@host:587 or smtps://host:465")
        self.tls = parts.scheme == "smtps"
        self.host = parts.hostname
        self.port = parts.port or (465 if self.tls else 587)
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")

    def deliver(self, mail: Mail) -> None:
        """Hand a mail over; raises NotSent when it may be tried again, Refused when not."""
        try:
            with _Session(self._connect()) as server:
                if not self.tls and server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                    server.ehlo()
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(mail.as_email(), from_addr=parseaddr(mail.sender)[1], to_addrs=[mail.to])
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _verdict(code, said) from error
        except smtplib.SMTPResponseException as error:
            raise _verdict(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(f"the mail server at {self.host}:{self.port} does not answer: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        if self.tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        server.ehlo()
        return server


class _Session:
    """Closes politely, and never lets a failing QUIT turn a mail that was taken into one that was not."""

    def __init__(self, server: smtplib.SMTP) -> None:
        self.server = server

    def __enter__(self) -> smtplib.SMTP:
        return self.server

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self.server.quit()
        except (OSError, smtplib.SMTPException):
            pass  # the mail is taken; how the connection ends is of no account
        finally:
            self.server.close()


def _verdict(code: int, said: bytes | str) -> WearwellError:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    words = f"the mail server answered {code} {text}"
    # 5yz is permanent (RFC 5321 4.2.1), but for 530/535: those are our credentials, which the operator can put right
    return Refused(words) if 500 <= code < 600 and code not in (530, 534, 535) else NotSent(words)


class KeptMail:
    """The null adapter: nothing leaves; the outbox row keeps the mail, for the outbox page."""

    keeps = True

    def deliver(self, mail: Mail) -> None:
        """Do nothing: the caller keeps the mail in its row."""


def mailer(smtp_url: str | None) -> Mailer:
    """Return the mailer of a deployment: its mail server, or the outbox one can read."""
    return Smtp(smtp_url) if smtp_url else KeptMail()
