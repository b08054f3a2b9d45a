"""Sending: what the job `send` does with one outbox row.

Two transactions with the handing over between them. The first counts the attempt and keeps the links that the mail
carries, so no mail ever leaves with a link that was rolled back; the second marks it as sent. Killed in between, the
next attempt sends it again under the same Message-ID.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import structlog

from gateway import clock
from gateway.notify import mail, outbox
from gateway.notify.recipient import Unneeded
from gateway.notify.smtp import Mailer, NotSent, Refused

ATTEMPTS = 20  # with the worker's back-off about ten hours
log = structlog.get_logger()


class Begin(Protocol):
    """Begins one transaction; commits it at the end, or rolls it back on an exception."""

    def __call__(self) -> AbstractContextManager[psycopg.Connection[Any]]: ...


@dataclass(frozen=True, slots=True)
class Post:
    """The post office of a deployment."""

    mailer: Mailer
    sender: str
    public_url: str


def send(begin: Begin, message_id: int, post: Post, *, last: Callable[[int], bool] = lambda n: n >= ATTEMPTS) -> None:
    """Send one message, unless it is sent, given up or no longer needed.

    Raises NotSent when the job should come again; after the last attempt it gives up, visibly, and returns.
    """
    broken, over = "", False
    with begin() as conn:
        message = outbox.begin(conn, message_id)
        if message is None:
            return
        try:
            with conn.transaction():  # an unneeded mail leaves no link behind
                letter = mail.compose(
                    conn,
                    message,
                    sender=post.sender,
                    public_url=post.public_url,
                    now=clock.now(),
                    wall=clock.wall(),
                )
        except Unneeded as reason:
            outbox.failed(conn, message_id, f"not sent: {reason}", give_up=True)
            return
        except Exception as error:  # a mail that cannot be written must be seen to fail, not wait for ever
            broken, over = f"cannot be written: {type(error).__name__}", last(message.attempts)
            outbox.failed(conn, message_id, broken, give_up=over)
            log.exception("mail not written", message_id=message_id, attempts=message.attempts, given_up=over)
    if broken:
        if not over:
            raise NotSent(broken)
        return
    try:
        post.mailer.deliver(letter)
    except (NotSent, Refused) as error:
        over = isinstance(error, Refused) or last(message.attempts)
        said = _without(letter.to, str(error))
        with begin() as conn:
            outbox.failed(conn, message_id, said, give_up=over)
        log.warning("mail not sent", message_id=message_id, attempts=message.attempts, given_up=over, error=said)
        if not over:
            raise NotSent(said) from None
        return
    with begin() as conn:
        outbox.sent(conn, [message_id], letter.as_json() if post.mailer.keeps else None)
    log.info("mail sent", message_id=message_id, kind=message.kind, attempts=message.attempts)


def _without(address: str, said: str) -> str:
    """Return what a mail server said without the address it said it of: people stand in party and site only."""
    return re.sub(re.escape(address), "the recipient", said, flags=re.IGNORECASE)
