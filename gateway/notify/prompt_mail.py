"""The prompt: the fact as its subject, one reason, one button that opens a page, the other answers as links to it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from commerce import fit, money, quotes
from gateway.notify import reasons
from gateway.notify.letter import Fact, Letter, Link, Section
from gateway.notify.outbox import Message
from gateway.notify.phrases import phrase
from gateway.notify.recipient import Sending, Unneeded
from gateway.notify.words import between, days_between, span
from gateway.registry import links, owners

LINK_LIFETIME = timedelta(days=60)
ANSWERS = ("remind", "spare", "changed", "elsewhere", "wrong")


@dataclass(frozen=True, slots=True)
class Due:
    """A prompt that is still open, with its slot as it stands at the moment of sending."""

    prompt_id: int
    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    party_id: int | None
    slot_name: str
    unit_name: str
    serial: str
    hw_rev: str
    region: str
    model_id: int
    stage: str
    eol_q10: datetime
    eol_q50: datetime
    eol_q90: datetime
    reasons: dict[str, Any]


def write(sending: Sending, message: Message) -> Letter:
    """Write the mail of one prompt or of several; raises Unneeded when none of them is open any more."""
    sending.agreed()
    due = [d for d in still_open(sending.conn, message.payload["prompts"]) if _still_theirs(sending, d)]
    if not due:
        raise Unneeded("every prompt of this mail is answered or closed, or the unit is someone else's")
    unsure = set(message.payload.get("ask", []))
    lang = sending.to.lang
    tokens = [_token(sending, d) for d in due]
    return Letter(
        lang=lang,
        subject=_subject(sending, due, unsure),
        lead=phrase(lang, "digest_lead") if len(due) > 1 else "",
        sections=tuple(
            _section(sending, d, token, d.prompt_id in unsure) for d, token in zip(due, tokens, strict=True)
        ),
        why=phrase(lang, "why_prompt"),
        unsubscribe=Link(phrase(lang, "unsubscribe"), sending.url(f"/u/{tokens[0]}")),
    )


def still_open(conn: psycopg.Connection, prompt_ids: list[int]) -> list[Due]:
    """Return those prompts that still wait for an answer, most urgent first."""
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        cursor.execute(
            """select p.prompt_id, p.tenant_id, p.unit_id, p.slot_id, p.cycle_id, p.party_id, s.name as slot_name,
                 coalesce(u.name, m.name) as unit_name, u.serial, u.hw_rev, u.region, u.model_id,
                 st.stage, st.eol_q10, st.eol_q50, st.eol_q90, f.reasons
               from prompt p join slot s on s.slot_id = p.slot_id join unit u on u.unit_id = p.unit_id
                 join product_model m on m.model_id = u.model_id
                 join slot_state st on st.unit_id = p.unit_id and st.slot_id = p.slot_id and st.cycle_id = p.cycle_id
                 join forecast f on f.forecast_id = st.forecast_id
               where p.prompt_id = any(%s) and p.state = 'open' order by st.eol_q50, p.prompt_id""",
            (prompt_ids,),
        )
        return cursor.fetchall()


def _still_theirs(sending: Sending, due: Due) -> bool:
    owner = owners.owner_of(sending.conn, due.unit_id, sending.now)
    return owner is not None and owner.party_id == due.party_id == sending.to.party_id


def _token(sending: Sending, due: Due) -> str:
    return links.mint(
        sending.conn,
        tenant_id=due.tenant_id,
        party_id=sending.to.party_id,
        purpose="prompt",
        unit_id=due.unit_id,
        slot_id=due.slot_id,
        prompt_id=due.prompt_id,
        lifetime=LINK_LIFETIME,
    )


def _subject(sending: Sending, due: list[Due], unsure: set[int]) -> str:
    lang, first = sending.to.lang, due[0]
    what = product(sending, first.slot_name, first.unit_name)
    if len(due) > 1:
        return phrase(lang, "digest_subject", count=len(due), what=what)
    if first.prompt_id in unsure:
        return phrase(lang, "ask_subject", what=what)
    if first.stage == "overdue":
        return phrase(lang, "due_subject", what=what)
    return phrase(lang, "left_subject", what=what, left=span(days_between(first.eol_q50, sending.now), lang))


def product(sending: Sending, slot_name: str, unit_name: str) -> str:
    """Name a slot of a unit: "Filter in Kitchen purifier"."""
    return phrase(sending.to.lang, "product", slot=slot_name, unit=unit_name)


def _section(sending: Sending, due: Due, token: str, unsure: bool) -> Section:
    lang, page = sending.to.lang, sending.url(f"/p/{token}")
    facts, nothing = offered(sending, due)
    why = [reasons.say(reasons.from_json(part), lang) for part in due.reasons.get("parts", [])[:1]]
    return Section(
        title=product(sending, due.slot_name, due.unit_name),
        sentences=(_left(sending, due, unsure), *why, *([nothing] if nothing else [])),
        facts=facts,
        button=Link(phrase(lang, "see" if facts else "see_only"), page),
        note=phrase(lang, "nothing_ordered"),
        others=tuple(Link(phrase(lang, answer), f"{page}#{answer}") for answer in ANSWERS),
    )


def _left(sending: Sending, due: Due, unsure: bool) -> str:
    lang = sending.to.lang
    days = days_between(due.eol_q50, sending.now)
    over = due.stage == "overdue" or days <= 0
    if unsure:
        return phrase(lang, "ask_due") if over else phrase(lang, "ask", left=span(days, lang))
    if over:
        return phrase(lang, "due")
    ends = between(days_between(due.eol_q10, sending.now), days_between(due.eol_q90, sending.now), days, lang)
    sure = ends == span(days, lang).split(" ", 1)[0]
    return phrase(lang, "left_sure" if sure else "left", left=span(days, lang), between=ends)


def offered(sending: Sending, due: Due) -> tuple[tuple[Fact, ...], str]:
    """Return the part that fits with the price of its live quote, or no facts and the reason."""
    lang = sending.to.lang
    place = fit.Place(due.tenant_id, due.model_id, due.slot_id, due.serial, due.hw_rev, due.region)
    mine = {"unit_id": due.unit_id, "party_id": sending.to.party_id}  # no unpaid order of a stranger takes their part
    found = fit.part_for(sending.conn, place, sending.now, **mine)
    if isinstance(found, fit.NoFit):
        return (), phrase(lang, "no_part", reason=found.reason)
    quote = quotes.make(
        sending.conn, unit_id=due.unit_id, cycle_id=due.cycle_id, place=place, fit=found, wall=sending.wall
    )
    return (
        Fact(phrase(lang, "part"), found.name),
        Fact(
            phrase(lang, "price"),
            phrase(lang, "price_value", total=money.words(quote.total_minor, quote.currency, lang)),
        ),
        Fact(phrase(lang, "arrives"), phrase(lang, "arrives_value", span=span(found.delivery_d, lang))),
    ), ""
