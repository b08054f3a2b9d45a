"""Who a mail goes to, read at the moment of sending."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from gateway.errors import WearwellError
from gateway.notify.words import Language, language
from gateway.registry import owners


class Unneeded(WearwellError):
    """The message is no longer to be said; the text says why."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person who can be written to."""

    party_id: int
    tenant_id: int
    email: str
    lang: Language


@dataclass(frozen=True, slots=True)
class Sending:
    """The moment of sending: to whom, from where, when (world time, wall time)."""

    conn: psycopg.Connection
    to: Recipient
    public_url: str
    now: datetime
    wall: datetime

    def agreed(self) -> None:
        """Raise Unneeded where the person agreed to no prompts, or took it back."""
        if not owners.agreed(self.conn, self.to.party_id, "replacement_prompts"):
            raise Unneeded("the person agreed to no prompts, or took it back")

    def url(self, path: str) -> str:
        """Return an address on our pages."""
        return f"{self.public_url.rstrip('/')}{path}"


@dataclass(frozen=True, slots=True)
class _Person:
    party_id: int
    tenant_id: int
    email: str | None
    locale: str
    channel: str


def find(conn: psycopg.Connection, party_id: int | None) -> Recipient:
    """Return the person as they are now; raises Unneeded when they cannot or do not want to be written to."""
    with conn.cursor(row_factory=class_row(_Person)) as cursor:
        person = cursor.execute(
            "select party_id, tenant_id, email, locale, channel from party where party_id = %s and erased_at is null",
            (party_id,),
        ).fetchone()
    if person is None:
        raise Unneeded("the person is gone")
    if person.email is None or person.channel != "email":
        raise Unneeded("the person wants no mail")
    return Recipient(person.party_id, person.tenant_id, person.email, language(person.locale))
