"""The question whether a part was changed: its signals look like it, and nobody told."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from gateway.notify.letter import Letter, Link, Section
from gateway.notify.outbox import Message
from gateway.notify.phrases import phrase
from gateway.notify.prompt_mail import LINK_LIFETIME, product
from gateway.notify.recipient import Sending, Unneeded
from gateway.notify.words import day
from gateway.registry import links, owners


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A slot of which nobody knows yet whether a new part is in."""

    tenant_id: int
    unit_id: int
    slot_id: int
    slot_name: str
    unit_name: str
    happened_at: datetime


def write(sending: Sending, message: Message) -> Letter:
    """Ask whether the part was changed; raises Unneeded when that is settled, unwanted, or the unit changed hands."""
    sending.agreed()
    doubt = _open(sending.conn, message.payload["doubt_id"])
    if doubt is None:
        raise Unneeded("whether the part was changed is known by now")
    owner = owners.owner_of(sending.conn, doubt.unit_id, sending.now)
    if owner is None or owner.party_id != sending.to.party_id:
        raise Unneeded("the unit is someone else's now")
    lang = sending.to.lang
    what = product(sending, doubt.slot_name, doubt.unit_name)
    token = links.mint(
        sending.conn,
        tenant_id=doubt.tenant_id,
        party_id=sending.to.party_id,
        purpose="prompt",
        unit_id=doubt.unit_id,
        slot_id=doubt.slot_id,
        lifetime=LINK_LIFETIME,
    )
    section = Section(
        title=phrase(lang, "changed_title", day=day(doubt.happened_at, lang)),
        sentences=(phrase(lang, "changed_sentence", what=what),),
        button=Link(phrase(lang, "changed_see"), sending.url(f"/p/{token}#changed-{doubt.slot_id}")),
    )
    subject = phrase(lang, "changed_subject", what=what)
    stop = Link(phrase(lang, "unsubscribe"), sending.url(f"/u/{token}"))
    return Letter(lang=lang, subject=subject, sections=(section,), why=phrase(lang, "why_prompt"), unsubscribe=stop)


def _open(conn: psycopg.Connection, doubt_id: int) -> InDoubt | None:
    with conn.cursor(row_factory=class_row(InDoubt)) as cursor:
        return cursor.execute(
            """select d.tenant_id, d.unit_id, d.slot_id, s.name as slot_name, coalesce(u.name, m.name) as unit_name,
                 d.happened_at
               from doubt d join slot s on s.slot_id = d.slot_id join unit u on u.unit_id = d.unit_id
                 join product_model m on m.model_id = u.model_id
               where d.doubt_id = %s and d.state = 'open'""",
            (doubt_id,),
        ).fetchone()
