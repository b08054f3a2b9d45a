"""The page of a visit: what is due for its owner, what fits for everyone else, and what a press has just done."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from commerce import customers, fit, orders
from commerce.orders import State
from gateway import clock
from gateway.registry import models, timeline
from gateway.web import cookies, owner_view, pages
from gateway.web.visits import Visit

Notice = tuple[str, str]
SAID: dict[str, Notice] = {
    "ordered": ("good", "Thank you, your order is in. A mail confirms it."),
    "already": ("", "This has been ordered already; here is how it stands."),
    "cancelled": ("", "Your order is cancelled, and nothing is charged."),
    "fitted": ("good", "Thank you. The new one counts from now; the estimate on this page follows in a moment."),
    "same": ("good", "Thank you. We go on with the one that is in place."),
    "remind": ("good", "We will remind you."),
    "spare": ("good", "Good to know. We will not ask again for this one; tell us when it is in place."),
    "elsewhere": ("good", "Understood. We will not ask again for this one; tell us when it is in place."),
    "wrong": ("good", "Thank you for telling us. We stop asking, and the estimate is looked into."),
    "payment": ("", "If you have paid, the confirmation arrives here in a moment. If not, you can go on below."),
}
PRESS_AGAIN: Notice = ("warn", "This page had been open for long, so nothing was done. Please press once more.")
USED: Notice = ("", "The link in that mail has ordered already. Sign in to order another.")


def ended_link() -> HTMLResponse:
    """Answer a link that allows nothing: forged, expired, revoked, or of a unit that was sold on; all look alike."""
    return pages.message(
        404,
        "This link has ended",
        "Links in our mails end after a while, and when a product changes hands. Nothing was ordered or changed.",
        "Scan the code on your product, or sign in to see what is due.",
        href="/sign-in",
        label="Sign in",
    )


def show(visit: Visit, notice: Notice | None = None, status: int = 200) -> Response:
    """Answer with the page of a visit; its forms are bound to this browser and this page."""
    request, services = visit.request, visit.services
    nonce = cookies.nonce(request, services.settings)
    context: dict[str, Any] = {
        "base": visit.base,
        "field": cookies.field(nonce, visit.base),
        "maker": visit.maker.name,
        "model": visit.model.name,
        "serial": visit.serial,
        "notice": notice,
    }
    if visit.unit and visit.owner:
        first = visit.link.slot_id if visit.link else None
        slots = owner_view.slots(visit.conn, visit.unit, visit.owner.party_id, first=first, now=clock.now())
        context |= {
            "name": visit.unit.name or visit.model.name,
            "slots": slots,
            "orderable": [s.slot_id for s in slots if link_orders(visit, s.slot_id)],
            "closed": services.desk.closed,
            "signed_in": visit.link is None,
            "paying": owner_view.paying(visit.owner, customers.get(visit.conn, visit.owner.party_id)),
            "undo": owner_view.undo_words(services.desk.undo),
        }
        answer: Response = pages.page(request, "owner/unit.html", status, **context)
    else:
        answer = pages.page(
            request, "owner/public.html", status, slots=_public(visit), closed=services.desk.closed, **context
        )
    cookies.write(answer, services.settings, cookies.NONCE, nonce)
    _look_again(answer, notice, request)
    return answer


def link_orders(visit: Visit, slot_id: int) -> bool:
    """Say whether the visitor's link may still order for that slot; a session always may.

    A link orders once, for the slot and the cycle that its mail was about.
    """
    link = visit.link
    if link is None or visit.unit is None:
        return visit.owner is not None
    if link.used_at or link.slot_id not in (None, slot_id):
        return False
    running = timeline.running_cycle(visit.conn, visit.unit.unit_id, slot_id)
    asked = timeline.cycle_of_prompt(visit.conn, link.prompt_id) if link.prompt_id else running
    past = [o for o in orders.of_unit(visit.conn, visit.unit.unit_id) if o.cycle_id == running]
    return asked == running and all(o.unpaid or o.state == State.CANCELLED for o in past)


def _look_again(answer: Response, notice: Notice | None, request: Request) -> None:
    """After a payment, look a few times whether the provider has told us; then stop."""
    tries = request.query_params.get("look", "0")
    if notice == SAID["payment"] and tries.isdigit() and int(tries) < 5:
        answer.headers["refresh"] = f"3;url={request.url.path}?said=payment&look={int(tries) + 1}"


def _public(visit: Visit) -> list[dict[str, Any]]:
    """Return what anyone may know: the model's slots and what fits them; a serial that is nobody's looks the same."""
    found = []
    for slot in models.slots(visit.conn, visit.model.model_id):
        place = (
            owner_view.place(visit.unit, slot.slot_id)
            if visit.unit
            else fit.Place(visit.maker.tenant_id, visit.model.model_id, slot.slot_id, visit.serial, "", "DE")
        )
        part, no_part = owner_view.offered(fit.part_for(visit.conn, place, clock.now()), clock.now())
        rated = owner_view.rated(slot.life_h, slot.life_d)
        found.append({"code": slot.code, "name": slot.name, "rated": rated, "part": part, "no_part": no_part})
    return found
