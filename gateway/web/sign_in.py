"""Owners' sign-in: an address, a mail, a press; and the list of what is theirs."""

from datetime import timedelta
from typing import Annotated

import psycopg
from fastapi import APIRouter, BackgroundTasks, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from commerce import orders
from commerce.errors import NotHere
from gateway import clock
from gateway.db import pool
from gateway.notify import outbox
from gateway.registry import attempts, audit, doors, links, owners, sessions, tenants, units
from gateway.registry.attempts import Limit
from gateway.web import cookies, owner_page, owner_view, pages, visits
from gateway.web.services import Asked, Services

router = APIRouter(default_response_class=HTMLResponse)
BY_ADDRESS = Limit("sign_in:address", 3, timedelta(minutes=15))
BY_PLACE = Limit("sign_in:place", 20, timedelta(minutes=15))


@router.get("/sign-in")
def ask(request: Request) -> Response:
    """Ask for the address."""
    return pages.page(request, "owner/sign_in.html")


@router.post("/sign-in")
def send(
    request: Request, services: Asked, later: BackgroundTasks, email: Annotated[str, Form(max_length=254)]
) -> Response:
    """Say that a link is on its way; whether the address is known shows neither in the answer nor in its time."""
    place = request.client.host if request.client else ""
    with services.pool.connection() as conn:
        for limit, who in ((BY_ADDRESS, email), (BY_PLACE, place)):
            if seconds := attempts.wait(conn, limit, who, clock.wall()):
                return pages.wait(seconds)
            attempts.note(conn, limit, who, clock.wall())
    later.add_task(_mail, services, email.strip())
    answer = pages.message(
        200, "Look into your mail", "If we know this address, a link is on its way to it. It works for 15 minutes."
    )
    answer.background = later
    return answer


def _mail(services: Services, email: str) -> None:
    with services.pool.connection() as conn:
        for tenant_id, party_id in doors.owners(conn, email):
            pool.speak_for(conn, tenant_id)
            outbox.put(
                conn,
                tenant_id=tenant_id,
                key=f"sign_in:{party_id}:{clock.wall().isoformat()}",
                channel="email",
                kind="sign_in",
                payload={},
                party_id=party_id,
            )


@router.get("/sign-in/{token}")
def enter_page(request: Request, services: Asked, token: str) -> Response:
    """Show the button that signs in; a mail scanner that looks here spends nothing."""
    with services.pool.connection() as conn:
        if _link(conn, token) is None:
            return owner_page.ended_link()
    nonce, base = cookies.nonce(request, services.settings), f"/sign-in/{token}"
    answer = pages.page(request, "owner/enter.html", base=base, field=cookies.field(nonce, base))
    cookies.write(answer, services.settings, cookies.NONCE, nonce)
    return answer


@router.post("/sign-in/{token}")
def enter(request: Request, services: Asked, token: str, page: Annotated[str, Form(max_length=128)] = "") -> Response:
    """Spend the link and start a session beside those this browser holds with other makers."""
    with services.pool.connection() as conn:
        link = _link(conn, token)
        pressed = cookies.pressed_here(request, services.settings, f"/sign-in/{token}", page)
        if link is None or not pressed or not links.spend(conn, link):
            return owner_page.ended_link()
        fresh = sessions.start(conn, tenant_id=link.tenant_id, party_id=link.party_id, wall=clock.wall())
        actor = f"party:{link.party_id}"
        audit.note(conn, tenant_id=link.tenant_id, actor=actor, action="owner_signed_in", wall=clock.wall())
    held = [t for t in visits.owner_tokens(request, services) if not _same_maker(services, t, link.tenant_id)]
    answer = RedirectResponse("/me", 303)
    seconds = int(sessions.OWNER.absolute.total_seconds())
    cookies.write(answer, services.settings, cookies.OWNER, ".".join([fresh, *held]), seconds)
    return answer


@router.get("/me")
def mine(request: Request, services: Asked) -> Response:
    """List the products of whoever is signed in, across their makers."""
    found, email = [], ""
    for token in visits.owner_tokens(request, services):
        with services.pool.connection() as conn:
            session = _session(conn, token)
            if session is None or session.party_id is None:
                continue
            email = session.email or ""
            for unit_id in owners.units_of(conn, session.party_id, clock.now()):
                unit = units.get(conn, unit_id)
                slots = owner_view.slots(conn, unit, session.party_id, first=None, now=clock.now())
                found.append(
                    {
                        "name": unit.name or unit.model_name,
                        "href": visits.code_path(unit.gtin, unit.serial),
                        "first": slots[0] if slots else None,
                    }
                )
    if not email:
        return RedirectResponse("/sign-in", 303)
    nonce = cookies.nonce(request, services.settings)
    answer = pages.page(request, "owner/me.html", units=found, email=email, field=cookies.field(nonce, "/sign-out"))
    cookies.write(answer, services.settings, cookies.NONCE, nonce)
    return answer


@router.post("/sign-out")
def leave(request: Request, services: Asked, page: Annotated[str, Form(max_length=128)] = "") -> Response:
    """End every session that this browser holds."""
    if cookies.pressed_here(request, services.settings, "/sign-out", page):
        for token in visits.owner_tokens(request, services):
            with services.pool.connection() as conn:
                if _session(conn, token):
                    sessions.end(conn, token)
    answer = RedirectResponse("/sign-in", 303)
    cookies.clear(answer, services.settings, cookies.OWNER)
    return answer


@router.get("/orders/{number}")
def order(request: Request, services: Asked, number: str) -> Response:
    """Show an order to the signed-in person who placed it; anyone else is told nothing about it."""
    for token in visits.owner_tokens(request, services):
        with services.pool.connection() as conn:
            session = _session(conn, token)
            if session is None:
                continue
            try:
                found = orders.by_number(conn, session.tenant_id, number)
            except NotHere:
                continue
            if found.party_id == session.party_id:
                unit = units.get(conn, found.unit_id)
                return pages.page(
                    request,
                    "owner/order.html",
                    maker=tenants.get(conn, session.tenant_id).name,
                    order=owner_view.view_of(conn, found, session.party_id),
                    unit_href=visits.code_path(unit.gtin, unit.serial),
                )
    sentence = "Sign in with the address that ordered to see it."
    return pages.message(404, "No order to show", sentence, href="/sign-in", label="Sign in")


def _link(conn: psycopg.Connection, token: str) -> links.Link | None:
    tenant_id = doors.link(conn, token)
    if tenant_id is None:
        return None
    pool.speak_for(conn, tenant_id)
    link = links.find(conn, token)
    return link if link and link.purpose == "sign_in" and link.used_at is None else None


def _session(conn: psycopg.Connection, token: str) -> sessions.Session | None:
    tenant_id = doors.session(conn, token)
    if tenant_id is None:
        return None
    pool.speak_for(conn, tenant_id)
    session = sessions.find(conn, token, clock.wall())
    return session if session and session.party_id else None


def _same_maker(services: Services, token: str, tenant_id: int) -> bool:
    with services.pool.connection() as conn:
        return doors.session(conn, token) in (tenant_id, None)
