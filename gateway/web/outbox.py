"""Mails as they were rendered: in the console for staff, and in the demo for everyone on this machine."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from gateway.db import pool
from gateway.notify import outbox
from gateway.registry import doors
from gateway.web import pages
from gateway.web.console_door import at_desk
from gateway.web.services import Asked, Services

router = APIRouter(prefix="/console/outbox", default_response_class=HTMLResponse)
demo = APIRouter(prefix="/outbox", default_response_class=HTMLResponse)
LOOPBACK = ("127.0.0.1", "::1", "localhost", "testclient")
# A mail brings its own style and nothing else; its links open in the whole window.
MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


@router.get("")
def table(request: Request, services: Asked, only: str = "") -> Response:
    """List the latest mails, or those that could not be delivered."""
    with at_desk(services, request) as desk:
        mails = outbox.letters(desk.conn, failed=only == "failed")
        return desk.page("console/outbox.html", "outbox", mails=mails, only=only)


@router.get("/{message_id}")
def one(request: Request, services: Asked, message_id: int) -> Response:
    """Show one mail as its reader saw it; it carries their link, so only an administrator may."""
    with at_desk(services, request, "admin") as desk:
        mail = outbox.get(desk.conn, message_id)
        if mail is None or mail.channel != "email":
            return pages.message(404, "No such mail", "It may have been removed.")
        return desk.page("console/mail.html", "outbox", mail=mail, src=f"/console/outbox/{message_id}/mail")


@router.get("/{message_id}/mail")
def body(request: Request, services: Asked, message_id: int) -> Response:
    """Return a mail's HTML for the frame it is shown in."""
    with at_desk(services, request, "admin") as desk:
        return _framed(outbox.get(desk.conn, message_id))


@demo.get("")
def demo_table(request: Request, services: Asked) -> Response:
    """List the demo's mails; nobody signs in, and nobody beyond this machine sees them."""
    mails = []
    for tenant_id in _demo_tenants(request, services):
        with pool.for_tenant(services.pool, tenant_id) as conn:
            mails += outbox.letters(conn)
    mails.sort(key=lambda m: m.message_id, reverse=True)
    return pages.page(request, "demo_outbox.html", mails=mails)


@demo.get("/{message_id}")
@demo.get("/{message_id}/mail")
def demo_one(request: Request, services: Asked, message_id: int) -> Response:
    """Show one of the demo's mails, or its HTML for the frame that it is shown in."""
    for tenant_id in _demo_tenants(request, services):
        with pool.for_tenant(services.pool, tenant_id) as conn:
            mail = outbox.get(conn, message_id)
        if mail and mail.channel == "email":
            if request.url.path.endswith("/mail"):
                return _framed(mail)
            return pages.page(request, "demo_mail.html", mail=mail, src=f"/outbox/{message_id}/mail")
    return pages.message(404, "No such mail", "It may have been removed.")


def _demo_tenants(request: Request, services: Services) -> list[int]:
    """Return the demo's tenants, to a browser on this machine only."""
    if request.client is None or request.client.host not in LOOPBACK:
        return []
    with services.pool.connection() as conn:
        return [found for slug in services.demo_tenants if (found := doors.tenant(conn, slug)) is not None]


def _framed(mail: outbox.Message | None) -> Response:
    html = (mail.rendered or {}).get("html", "") if mail else ""
    page = html.replace("<head>", '<head><base target="_top">', 1)
    return HTMLResponse(page, headers={"content-security-policy": MAIL_CSP, "x-frame-options": "SAMEORIGIN"})
