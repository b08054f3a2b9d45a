"""Mail: an outbox row and its recipient become a letter, the letter an addressed mail, at the moment of sending."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

import psycopg

from gateway.notify import doubt_mail, order_mail, prompt_mail, recipient, sign_in_mail
from gateway.notify.letter import Letter, as_html, as_text
from gateway.notify.outbox import Message
from gateway.notify.recipient import Sending, Unneeded

WRITERS: dict[str, Callable[[Sending, Message], Letter]] = {
    "prompt": prompt_mail.write,
    "order_received": order_mail.write_received,
    "order_lost": order_mail.write_lost,
    "order_shipped": order_mail.write_shipped,
    "ask_if_fitted": order_mail.write_ask_if_fitted,
    "ask_if_changed": doubt_mail.write,
    "sign_in": sign_in_mail.write,
}


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready to be handed over."""

    message_id: str
    sender: str
    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    date: datetime

    def as_email(self) -> EmailMessage:
        """Return it as MIME: the text, and the same as HTML."""
        email = EmailMessage(policy=SMTP.clone(max_line_length=200))
        email["Message-ID"] = self.message_id
        email["Date"] = format_datetime(self.date)
        email["From"] = self.sender
        email["To"] = self.to
        email["Subject"] = self.subject
        email["Auto-Submitted"] = "auto-generated"
        for name, value in self.headers.items():
            email[name] = value
        email.set_content(self.text)
        email.add_alternative(self.html, subtype="html")
        return email

    def as_json(self) -> dict[str, Any]:
        """Return what the outbox page shows."""
        return {
            "message_id": self.message_id,
            "to": self.to,
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "headers": self.headers,
        }


def compose(
    conn: psycopg.Connection, message: Message, *, sender: str, public_url: str, now: datetime, wall: datetime
) -> Mail:
    """Write the mail of an outbox row: links are minted here and addresses read here, not before.

    Raises Unneeded when it is no longer to be said.
    """
    if message.kind not in WRITERS:
        raise Unneeded(f"there is no mail of kind {message.kind!r}")
    to = recipient.find(conn, message.party_id)
    letter = WRITERS[message.kind](Sending(conn, to, public_url, now, wall), message)
    return Mail(
        message_id=message_id(message, sender),
        sender=sender,
        to=to.email,
        subject=" ".join(letter.subject.split()),
        text=as_text(letter),
        html=as_html(letter),
        headers=letter.headers,
        date=wall,
    )


def message_id(message: Message, sender: str) -> str:
    """Return the Message-ID of an outbox row: the same at each attempt, so that a mail sent twice is known as one."""
    digest = hashlib.sha256(f"{message.tenant_id}:{message.key}".encode()).hexdigest()[:32]
    domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
    return f"<{digest}@{domain}>"
