"""The mail that carries a link to sign in; the link is made when it is sent, so its minutes count from there."""

from datetime import timedelta

from gateway.notify.letter import Letter, Link, Section
from gateway.notify.outbox import Message
from gateway.notify.phrases import phrase
from gateway.notify.recipient import Sending
from gateway.registry import links

LIFETIME = timedelta(minutes=15)


def write(sending: Sending, message: Message) -> Letter:
    """Write the link to sign in."""
    lang = sending.to.lang
    token = links.mint(
        sending.conn,
        tenant_id=message.tenant_id,
        party_id=sending.to.party_id,
        purpose="sign_in",
        lifetime=LIFETIME,
    )
    section = Section(
        title=phrase(lang, "sign_in_title"),
        sentences=(phrase(lang, "sign_in_sentence", minutes=int(LIFETIME.total_seconds() // 60)),),
        button=Link(phrase(lang, "sign_in_see"), sending.url(f"/sign-in/{token}")),
    )
    return Letter(
        lang=lang, subject=phrase(lang, "sign_in_subject"), sections=(section,), why=phrase(lang, "why_sign_in")
    )
