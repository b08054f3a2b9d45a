"""What an owner's press does, step by step: the checks, the deed, and where the browser goes next."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from commerce import fit, orders, quotes
from commerce.desk import Placed
from commerce.errors import CommerceError
from commerce.quotes import Quote
from gateway import clock
from gateway.db import pool
from gateway.registry import attempts, audit, doubts, links, models, timeline
from gateway.registry.attempts import Limit
from gateway.registry.links import Link
from gateway.registry.owners import Owner
from gateway.replenish import cycles, prompts
from gateway.web import cookies, guard, owner_page, owner_view, pages
from gateway.web.owner_page import link_orders
from gateway.web.services import Services
from gateway.web.visits import Visit

ORDERS = Limit("order", 20, timedelta(minutes=10))
ANSWERS = ("remind", "spare", "elsewhere", "wrong")


class Fields(BaseModel):
    """The fields of the smaller forms."""

    page: str = ""
    slot: int = 0
    cycle: int = 0
    prompt: int = 0
    order: int = 0
    doubt: int = 0
    answer: str = ""


Act = Annotated[Fields, Form()]


@dataclass(frozen=True, slots=True)
class Ready:
    """An order that may be placed: the quote equals what was shown, and the visitor may order it."""

    tenant_id: int
    quote: Quote
    owner: Owner | None
    link: Link | None
    base: str


@dataclass(frozen=True, slots=True)
class Cancelling:
    tenant_id: int
    order_id: int
    who: str
    base: str


def note(visit: Visit, action: str, **detail: Any) -> None:
    """Keep an act in the audit."""
    audit.note(
        visit.conn,
        tenant_id=visit.maker.tenant_id,
        actor=visit.who,
        action=action,
        wall=clock.wall(),
        detail={"by": "link" if visit.link else "page", "unit": visit.unit and visit.unit.unit_id, **detail},
    )


def prepare(visit: Visit, slot_id: int, shown: str, page: str) -> Ready | Response:
    """Check a press of the order button and return what may be ordered, or the page that says why not."""
    if visit.unit is None or visit.owner is None:
        return owner_page.show(visit, ("warn", "Sign in to order to your address."), 403)
    if stopped := _stopped(visit, page, str(visit.owner.party_id)):
        return stopped
    order = orders.open_order(visit.conn, visit.unit.unit_id, slot_id)
    if order and not order.unpaid:
        return RedirectResponse(f"{visit.base}?said=already", 303)
    if order and order.party_id == visit.owner.party_id:  # on the way to its payment: go on there
        quote = quotes.get(visit.conn, order.quote_id)
        return Ready(visit.maker.tenant_id, quote, visit.owner, visit.link, visit.base)
    if not link_orders(visit, slot_id):
        return owner_page.show(visit, owner_page.USED, 409)
    return _quote(visit, slot_id, shown)


def prepare_guest(visit: Visit, code: str, shown: str, page: str) -> Ready | Response:
    """Check a stranger's press and return what may be ordered, or the page that says why not."""
    place = visit.request.client.host if visit.request.client else ""
    if stopped := _stopped(visit, page, place):
        return stopped
    slot = next((s for s in models.slots(visit.conn, visit.model.model_id) if s.code == code), None)
    if visit.unit is None or slot is None:
        sentence = "Nothing can be ordered for this serial. Compare it with the label on the product."
        return owner_page.show(visit, ("warn", sentence), 409)
    return _quote(visit, slot.slot_id, shown)


def _quote(visit: Visit, slot_id: int, shown: str) -> Ready | Response:
    assert visit.unit  # noqa: S101  # both callers have looked
    standing = next((s for s in timeline.standings(visit.conn, visit.unit.unit_id) if s.slot_id == slot_id), None)
    place = owner_view.place(visit.unit, slot_id)
    mine = {"unit_id": visit.unit.unit_id, "party_id": visit.owner.party_id} if visit.owner else {}
    found = fit.part_for(visit.conn, place, clock.now(), **mine)
    if standing is None or standing.cycle_id is None or isinstance(found, fit.NoFit):
        reason = found.reason if isinstance(found, fit.NoFit) else "This slot is not in use yet."
        return owner_page.show(visit, ("warn", f"{reason} Nothing was ordered."), 409)
    if shown != owner_view.shown(found):
        moved = (
            "warn",
            "The price or the part has changed since you opened the page. Nothing was ordered; look again.",
        )
        return owner_page.show(visit, moved, 409)
    quote = quotes.make(
        visit.conn,
        unit_id=visit.unit.unit_id,
        cycle_id=standing.cycle_id,
        place=place,
        fit=found,
        wall=clock.wall(),
    )
    return Ready(visit.maker.tenant_id, quote, visit.owner, visit.link, visit.base)


def _stopped(visit: Visit, page: str, who: str) -> Response | None:
    """Stop a press that no person made on our page, or that comes too often."""
    if not cookies.pressed_here(visit.request, visit.services.settings, visit.base, page):
        return owner_page.show(visit, owner_page.PRESS_AGAIN, 409)
    if seconds := attempts.wait(visit.conn, ORDERS, who, clock.wall()):
        return pages.wait(seconds)
    attempts.note(visit.conn, ORDERS, who, clock.wall())
    return None


def tap(services: Services, ready: Ready) -> Response:
    """Place an owner's order and spend the link that ordered it."""
    assert ready.owner  # noqa: S101  # prepare() lets nobody else through
    try:
        placed = services.desk.tap(
            tenant_id=ready.tenant_id,
            quote_id=ready.quote.quote_id,
            party_id=ready.owner.party_id,
            site_id=ready.owner.site_id,
            email=ready.owner.email,
            return_url=_return_url(services),
        )
    except CommerceError as error:
        return _refused(ready, error)
    with pool.for_tenant(services.pool, ready.tenant_id) as conn:
        if ready.link and placed.order.paid:
            links.spend(conn, ready.link)
        audit.note(
            conn,
            tenant_id=ready.tenant_id,
            actor=f"party:{ready.owner.party_id}",
            action="order_tapped",
            wall=clock.wall(),
            detail={"order": placed.order.order_id, "by": "link" if ready.link else "session", "again": placed.again},
        )
    return _told(services, ready, placed)


def buy(services: Services, ready: Ready) -> Response:
    """Take a stranger to the payment page."""
    try:
        placed = services.desk.guest(
            tenant_id=ready.tenant_id, quote_id=ready.quote.quote_id, return_url=_return_url(services)
        )
    except CommerceError as error:
        return _refused(ready, error)
    return _told(services, ready, placed)


def _told(services: Services, ready: Ready, placed: Placed) -> Response:
    """Say what a press led to: the payment page, an order, or one that ended while it was being paid."""
    if placed.go_to:
        return _off_to(services, ready, placed.go_to)
    if placed.order.unpaid:
        sentence = placed.note or "The payment provider has not answered yet."
        again = "Your order is kept, and charged once at most. Look again in a minute."
        return pages.message(202, "One moment more", sentence, again, href=ready.base, label="Back to the product")
    said = "cancelled" if not placed.order.paid else "already" if placed.again else "ordered"
    return RedirectResponse(f"{ready.base}?said={said}", 303)


def _refused(ready: Ready, error: CommerceError) -> Response:
    return pages.message(409, "This did not work", str(error), href=ready.base, label="Back to the product")


def _return_url(services: Services) -> str:
    return f"{services.settings.public_url.rstrip('/')}/return"


def _off_to(services: Services, ready: Ready, url: str) -> Response:
    """Send the browser to the payment page, and remember here, not there, where it comes back to."""
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" not in guard.checkout_origins(services.settings):
        return pages.message(
            502,
            "The payment page is not where it should be",
            "Nothing was charged.",
            href=ready.base,
            label="Back to the product",
        )
    answer = RedirectResponse(url, 303)
    cookies.write(answer, services.settings, cookies.BACK, ready.base, 3_600)
    return answer


def perform(visit: Visit, act: str, form: Fields) -> Response | Cancelling:
    """Do what one of the smaller buttons says; cancelling an order is left to `cancel`, after this transaction."""
    if visit.unit is None or visit.owner is None:
        return owner_page.show(visit, ("warn", "Only its owner can do that. Sign in first."), 403)
    if not cookies.pressed_here(visit.request, visit.services.settings, visit.base, form.page):
        return owner_page.show(visit, owner_page.PRESS_AGAIN, 409)
    answers = {"fitted": (form.answer,), "answer": ANSWERS, "changed": tuple(doubts.ANSWERS)}
    if form.answer in answers.get(act, ()):
        return {"fitted": _fitted, "answer": _answered, "changed": _settled}[act](visit, form)
    if act == "cancel":
        order = next((o for o in orders.of_unit(visit.conn, visit.unit.unit_id) if o.order_id == form.order), None)
        if order and order.party_id == visit.owner.party_id:
            note(visit, "order_cancelled", order=order.order_id)
            return Cancelling(visit.maker.tenant_id, order.order_id, visit.who, visit.base)
    return pages.message(404, "There is no such button", "Nothing was done.", href=visit.base, label="Back")


def _fitted(visit: Visit, form: Fields) -> Response:
    """Tell that a new part is in, once for each cycle, however often it is pressed; who was asked has answered so."""
    assert visit.unit  # noqa: S101  # perform() has looked
    standing = next((s for s in timeline.standings(visit.conn, visit.unit.unit_id) if s.slot_id == form.slot), None)
    if standing and standing.cycle_id == form.cycle and standing.prompt_id:
        prompts.answer(visit.conn, standing.prompt_id, "changed", clock.now())
        note(visit, "part_fitted", cycle=standing.cycle_id, prompt=standing.prompt_id)
    elif standing and standing.cycle_id == form.cycle:
        cycles.tell_fitted(visit.conn, standing.cycle_id, clock.now())
        note(visit, "part_fitted", cycle=standing.cycle_id)
    return RedirectResponse(f"{visit.base}?said=fitted", 303)


def _settled(visit: Visit, form: Fields) -> Response:
    """Take the answer whether the part was changed when its signals looked like it: once, however often pressed."""
    assert visit.unit  # noqa: S101  # perform() has looked
    standing = next((s for s in timeline.standings(visit.conn, visit.unit.unit_id) if s.doubt_id == form.doubt), None)
    if standing is None or form.doubt == 0:
        return RedirectResponse(visit.base, 303)
    doubts.answer(visit.conn, form.doubt, form.answer, clock.now())
    note(visit, "doubt_answered", doubt=form.doubt, answer=form.answer)
    return RedirectResponse(f"{visit.base}?said={'fitted' if form.answer == 'yes' else 'same'}", 303)


def _answered(visit: Visit, form: Fields) -> Response:
    assert visit.unit  # noqa: S101  # perform() has looked
    standing = next((s for s in timeline.standings(visit.conn, visit.unit.unit_id) if s.prompt_id == form.prompt), None)
    if standing is None or form.prompt == 0:
        return RedirectResponse(visit.base, 303)
    prompts.answer(visit.conn, form.prompt, form.answer, clock.now())
    note(visit, "prompt_answered", prompt=form.prompt, answer=form.answer)
    return RedirectResponse(f"{visit.base}?said={form.answer}", 303)


def cancel(services: Services, asked: Cancelling) -> Response:
    """Cancel an order that has not been handed to shipping."""
    try:
        services.desk.cancel(asked.tenant_id, asked.order_id, asked.who)
    except CommerceError as error:
        return pages.message(409, "This did not work", str(error), href=asked.base, label="Back to the product")
    return RedirectResponse(f"{asked.base}?said=cancelled", 303)
