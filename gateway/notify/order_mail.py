"""Mail about an order: that it is in, that it is on its way, and whether its part is fitted."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import class_row

from commerce import money, orders, parcels
from commerce.orders import State
from gateway.notify.letter import Fact, Letter, Link, Section
from gateway.notify.outbox import Message
from gateway.notify.phrases import phrase
from gateway.notify.prompt_mail import product
from gateway.notify.recipient import Sending, Unneeded
from gateway.notify.words import Language, window
from gateway.registry import links, owners

LINK_LIFETIME = timedelta(days=60)
ADDRESS = ("name", "line1", "postal_code", "city", "country")
CLOSED = ("cancelled", "refunded")


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order with the names a person knows it by."""

    tenant_id: int
    order_id: int
    number: str
    state: str
    unit_id: int
    slot_id: int
    total_minor: int
    currency: str
    slot_name: str
    unit_name: str
    part_name: str
    address: dict[str, Any] | None
    carrier: str | None
    tracking: str | None


@dataclass(frozen=True, slots=True)
class InPlace:
    """A wear cycle that may have ended without our knowing."""

    tenant_id: int
    unit_id: int
    slot_id: int
    slot_name: str
    unit_name: str
    answer: str | None


IN_PLACE = """
select c.tenant_id, c.unit_id, c.slot_id, s.name as slot_name, coalesce(u.name, m.name) as unit_name, p.answer
from cycle c join slot s on s.slot_id = c.slot_id join unit u on u.unit_id = c.unit_id
join product_model m on m.model_id = u.model_id left join prompt p on p.cycle_id = c.cycle_id
where c.cycle_id = %s and upper_inf(c.period)"""


def write_received(sending: Sending, message: Message) -> Letter:
    """Write that the order is in: number, part, price, address, and how to cancel it."""
    order, lang = _order(sending, message.payload["order_id"]), sending.to.lang
    if order.state in CLOSED:
        raise Unneeded("the order is cancelled")
    address = order.address or {}
    where = ", ".join(str(address[key]) for key in ADDRESS if address.get(key))
    facts = [
        Fact(phrase(lang, "number"), order.number),
        Fact(
            phrase(lang, "price"),
            phrase(lang, "price_value", total=money.words(order.total_minor, order.currency, lang)),
        ),
    ]
    if where:
        facts.append(Fact(phrase(lang, "to"), where))
    sentences = (
        phrase(lang, "order_sentence", part=order.part_name, what=_what(sending, order)),
        *_undo(message, lang),
        phrase(lang, "order_notice"),
    )
    section = Section(phrase(lang, "order_title"), sentences, tuple(facts), button=_see(sending, order))
    subject = phrase(lang, "order_subject", number=order.number, part=order.part_name)
    return Letter(lang=lang, subject=subject, sections=(section,), why=phrase(lang, "why_order"))


def write_lost(sending: Sending, message: Message) -> Letter:
    """Write that an order which was in has ended because its money could not be collected, and where to order again."""
    order, lang = _order(sending, message.payload["order_id"]), sending.to.lang
    sentences = (
        phrase(lang, "order_sentence", part=order.part_name, what=_what(sending, order)),
        phrase(lang, "lost_sentence"),
        phrase(lang, "lost_again"),
    )
    facts = (Fact(phrase(lang, "number"), order.number),)
    see = Link(phrase(lang, "see_only"), _page(sending, order.tenant_id, order.unit_id, order.slot_id))
    section = Section(phrase(lang, "lost_title"), sentences, facts, button=see)
    subject = phrase(lang, "lost_subject", number=order.number)
    return Letter(lang=lang, subject=subject, sections=(section,), why=phrase(lang, "why_order"))


def write_shipped(sending: Sending, message: Message) -> Letter:
    """Write that the order is on its way, with its tracking number where there is one."""
    order, lang = _order(sending, message.payload["order_id"]), sending.to.lang
    facts = [Fact(phrase(lang, "number"), order.number)]
    if order.tracking:
        carrier = f"{order.carrier} " if order.carrier else ""
        facts.append(Fact(phrase(lang, "tracking"), f"{carrier}{order.tracking}"))
    sentences = (phrase(lang, "order_sentence", part=order.part_name, what=_what(sending, order)),)
    section = Section(phrase(lang, "shipped_title"), sentences, tuple(facts), button=_see(sending, order))
    subject = phrase(lang, "shipped_subject", number=order.number)
    return Letter(lang=lang, subject=subject, sections=(section,), why=phrase(lang, "why_order"))


def write_ask_if_fitted(sending: Sending, message: Message) -> Letter:
    """Ask whether the new part is fitted, and say why it should be there.

    Raises Unneeded when its cycle has ended, the unit changed hands, nobody wants to be asked, or there is none.
    """
    sending.agreed()
    with sending.conn.cursor(row_factory=class_row(InPlace)) as cursor:
        place = cursor.execute(IN_PLACE, (message.payload["cycle_id"],)).fetchone()
    if place is None:
        raise Unneeded("the part was changed already")
    owner = owners.owner_of(sending.conn, place.unit_id, sending.now)
    if owner is None or owner.party_id != sending.to.party_id:
        raise Unneeded("the unit is someone else's now")
    lang = sending.to.lang
    what = product(sending, place.slot_name, place.unit_name)
    token = _token(sending, place.tenant_id, place.unit_id, place.slot_id)
    section = Section(
        title=phrase(lang, "fitted_title"),
        sentences=(f"{what}.", phrase(lang, _whence(sending, place)), phrase(lang, "fitted_tell")),
        button=Link(phrase(lang, "fitted_see"), sending.url(f"/p/{token}#changed")),
    )
    return Letter(
        lang=lang,
        subject=phrase(lang, "fitted_subject", what=what),
        sections=(section,),
        why=phrase(lang, "why_prompt"),
        unsubscribe=Link(phrase(lang, "unsubscribe"), sending.url(f"/u/{token}")),
    )


def _whence(sending: Sending, place: InPlace) -> str:
    """Return the phrase that says where the new part comes from, as it stands now."""
    order = orders.open_order(sending.conn, place.unit_id, place.slot_id)
    if order is not None and order.state is State.DELIVERED:
        return "fitted_delivered" if order.party_id is not None else "fitted_guest"
    if parcels.spares(sending.conn, place.unit_id, place.slot_id):
        return "fitted_spare"
    if place.answer == "elsewhere":
        return "fitted_elsewhere"
    raise Unneeded("there is no new part at home any more")


def _undo(message: Message, lang: Language) -> tuple[str, ...]:
    """Say for how long the order can be cancelled; a mail that an earlier build wrote down does not know."""
    undo_s = message.payload.get("undo_s")
    return (phrase(lang, "order_undo", undo=window(timedelta(seconds=undo_s), lang)),) if undo_s else ()


def _see(sending: Sending, order: Ordered) -> Link:
    page = _page(sending, order.tenant_id, order.unit_id, order.slot_id)
    return Link(phrase(sending.to.lang, "order_see"), page)


def _page(sending: Sending, tenant_id: int, unit_id: int, slot_id: int) -> str:
    return sending.url(f"/p/{_token(sending, tenant_id, unit_id, slot_id)}")


def _token(sending: Sending, tenant_id: int, unit_id: int, slot_id: int) -> str:
    return links.mint(
        sending.conn,
        tenant_id=tenant_id,
        party_id=sending.to.party_id,
        purpose="prompt",
        unit_id=unit_id,
        slot_id=slot_id,
        lifetime=LINK_LIFETIME,
    )


def _what(sending: Sending, order: Ordered) -> str:
    return product(sending, order.slot_name, order.unit_name)


def _order(sending: Sending, order_id: int) -> Ordered:
    with sending.conn.cursor(row_factory=class_row(Ordered)) as cursor:
        order = cursor.execute(
            """select o.tenant_id, o.order_id, o.number, o.state, o.unit_id, o.slot_id, o.total_minor, o.currency,
                 s.name as slot_name, coalesce(u.name, m.name) as unit_name,
                 coalesce(q.part_name, part.name) as part_name, site.address, shipment.carrier, shipment.tracking
               from purchase o join quote q on q.quote_id = o.quote_id join part on part.part_id = q.part_id
                 join slot s on s.slot_id = o.slot_id join unit u on u.unit_id = o.unit_id
                 join product_model m on m.model_id = u.model_id
                 left join site on site.site_id = o.ship_to left join shipment on shipment.order_id = o.order_id
               where o.order_id = %s and o.party_id = %s""",
            (order_id, sending.to.party_id),
        ).fetchone()
    if order is None:
        raise Unneeded("the order is not this person's")
    return order
