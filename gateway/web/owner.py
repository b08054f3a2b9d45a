"""Owner pages: what is due, one button, and the other answers. Looking changes nothing; every change is a press."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import clock
from gateway.registry import owners
from gateway.web import cookies, owner_acts, owner_page, pages, visits
from gateway.web.services import Asked

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/p/{token}")
def by_mail(request: Request, services: Asked, token: str, said: str = "") -> Response:
    """Show the unit that a mail was about, to the person it was written to."""
    with visits.by_link(services, request, token) as visit:
        return owner_page.show(visit, owner_page.SAID.get(said)) if visit else owner_page.ended_link()


@router.get("/01/{gtin}")
@router.get("/01/{gtin}/21/{serial:path}")
def by_code(request: Request, services: Asked, gtin: str, serial: str = "", said: str = "") -> Response:
    """Show whoever scanned the code what they may know: its owner everything, others what fits the product."""
    with visits.by_code(services, request, gtin, serial) as visit:
        return owner_page.show(visit, owner_page.SAID.get(said))


Field = Annotated[str, Form(max_length=128)]
Id = Annotated[int, Form(ge=1)]


@router.post("/p/{token}/order")
def order_by_mail(
    request: Request, services: Asked, token: str, *, slot: Id, shown: Field = "", page: Field = ""
) -> Response:
    """Order what the page showed. A second press, or a second person, finds the same order."""
    with visits.by_link(services, request, token) as visit:
        ready = owner_acts.prepare(visit, slot, shown, page) if visit else owner_page.ended_link()
    return ready if isinstance(ready, Response) else owner_acts.tap(services, ready)


@router.post("/01/{gtin}/21/{serial:path}/order")
def order_by_session(
    request: Request, services: Asked, gtin: str, serial: str, *, slot: Id, shown: Field = "", page: Field = ""
) -> Response:
    """Order what the page showed, as the signed-in owner."""
    with visits.by_code(services, request, gtin, serial) as visit:
        ready = owner_acts.prepare(visit, slot, shown, page)
    return ready if isinstance(ready, Response) else owner_acts.tap(services, ready)


@router.post("/01/{gtin}/21/{serial:path}/checkout")
def checkout(
    request: Request, services: Asked, gtin: str, serial: str, *, slot: Field, shown: Field = "", page: Field = ""
) -> Response:
    """Let a stranger buy what fits: it ships to the address that they give at the payment page."""
    with visits.by_code(services, request, gtin, serial) as visit:
        ready = owner_acts.prepare_guest(visit, slot, shown, page)
    return ready if isinstance(ready, Response) else owner_acts.buy(services, ready)


@router.post("/p/{token}/{act}")
def act_by_mail(request: Request, services: Asked, token: str, act: str, form: owner_acts.Act) -> Response:
    """Answer the prompt, say that the part is fitted, or cancel an order."""
    with visits.by_link(services, request, token) as visit:
        ready = owner_acts.perform(visit, act, form) if visit else owner_page.ended_link()
    return ready if isinstance(ready, Response) else owner_acts.cancel(services, ready)


@router.post("/01/{gtin}/21/{serial:path}/{act}")
def act_by_session(
    request: Request, services: Asked, gtin: str, serial: str, *, act: str, form: owner_acts.Act
) -> Response:
    """Do the same as the signed-in owner."""
    with visits.by_code(services, request, gtin, serial) as visit:
        ready = owner_acts.perform(visit, act, form)
    return ready if isinstance(ready, Response) else owner_acts.cancel(services, ready)


@router.get("/return")
def back_from_payment(request: Request, services: Asked) -> Response:
    """Take someone back from the payment page to where they pressed the button; what was paid we hear separately."""
    back = cookies.read(request, services.settings, cookies.BACK)
    if not back.startswith(("/p/", "/01/")) or "//" in back or "\\" in back:
        return pages.message(
            200, "Thank you", "If you have paid, your order is on its way to us. You can close this page."
        )
    answer = RedirectResponse(f"{back}?said=payment", 303)
    cookies.clear(answer, services.settings, cookies.BACK)
    return answer


@router.get("/u/{token}")
def unsubscribe_page(request: Request, services: Asked, token: str) -> Response:
    """Ask whether the mails are to stop; looking stops nothing."""
    with visits.by_link(services, request, token) as visit:
        return pages.page(request, "owner/unsubscribe.html", base=f"/u/{token}") if visit else owner_page.ended_link()


@router.post("/u/{token}")
def unsubscribe(request: Request, services: Asked, token: str) -> Response:
    """Stop the mails: from the page, or by a mail program's one-click POST (RFC 8058)."""
    with visits.by_link(services, request, token) as visit:
        if visit is None or visit.owner is None:
            return owner_page.ended_link()
        owners.withdraw(visit.conn, visit.owner.party_id, "replacement_prompts", clock.now())
        owner_acts.note(visit, "prompts_stopped")
    return pages.message(200, "Done", "We no longer write to you when a part is due. The code on the product shows it.")
