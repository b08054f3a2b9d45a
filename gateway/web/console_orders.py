"""Orders in the console: what to ship, what is on its way, what arrived."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from commerce import money, orders
from commerce.errors import CommerceError
from commerce.orders import State
from gateway import clock
from gateway.registry import audit, owners
from gateway.web import pages
from gateway.web.console_door import at_desk
from gateway.web.services import Asked

router = APIRouter(prefix="/console/orders", default_response_class=HTMLResponse)
LISTS = {
    "": ("Under way", [s for s in State if s in orders.OPEN]),
    "ship": ("To ship", [State.RELEASED]),
    "done": ("Done", [State.FITTED, State.CANCELLED, State.REFUNDED]),
}
LINES = (("name",), ("line1",), ("line2",), ("postal_code", "city"), ("country",))  # of an address, as on a parcel
Text = Annotated[str, Form(max_length=80)]


@router.get("")
def table(request: Request, services: Asked, show: str = "", before: int | None = None) -> Response:
    """List orders, newest first."""
    show = show if show in LISTS else ""
    with at_desk(services, request) as desk:
        rows = orders.in_states(desk.conn, desk.session.tenant_id, LISTS[show][1], limit=51, before=before)
        return desk.page(
            "console/orders.html",
            "orders",
            rows=[(o, money.words(o.total_minor, o.currency)) for o in rows[:50]],
            lists={key: words for key, (words, _) in LISTS.items()},
            show=show,
            after=rows[49].order_id if len(rows) > 50 else None,
        )


@router.get("/{order_id}")
def one(request: Request, services: Asked, order_id: int) -> Response:
    """Show an order to who ships it, with where it goes while it waits to be shipped."""
    with at_desk(services, request, "editor") as desk:
        tenant_id, order = desk.session.tenant_id, orders.get(desk.conn, order_id)
        to = owners.address(desk.conn, order.ship_to) if order.ship_to else {}
    waits, trouble = order.state is State.RELEASED, ""
    if waits and order.ship_to is None:  # the provider is asked outside of any transaction
        try:
            to = services.desk.address(tenant_id, order_id) or {}
        except CommerceError as error:
            trouble = str(error)
    with at_desk(services, request, "editor") as desk:
        return desk.page(
            "console/order.html",
            "orders",
            order=order,
            total=money.words(order.total_minor, order.currency),
            waits=waits,
            address=_written(to) if waits else [],
            trouble=trouble,
        )


@router.post("/{order_id}/shipped")
def shipped(
    request: Request, services: Asked, order_id: int, *, csrf: Text = "", carrier: Text = "", tracking: Text = ""
) -> Response:
    """Mark an order as handed to the carrier."""
    tenant_id = _allowed(request, services, order_id, csrf, "order_shipped")
    try:
        services.desk.shipped(tenant_id, order_id, carrier.strip() or None, tracking.strip() or None)
    except CommerceError as error:
        return _refused(error)
    return RedirectResponse("/console/orders", 303)


@router.post("/{order_id}/delivered")
def delivered(request: Request, services: Asked, order_id: int, csrf: Text = "") -> Response:
    """Mark an order as delivered."""
    tenant_id = _allowed(request, services, order_id, csrf, "order_delivered")
    try:
        services.desk.delivered(tenant_id, order_id)
    except CommerceError as error:
        return _refused(error)
    return RedirectResponse("/console/orders", 303)


def _written(to: Mapping[str, object]) -> list[str]:
    lines = (" ".join(str(to[part]) for part in parts if to.get(part)) for parts in LINES)
    return [line for line in lines if line]


def _allowed(request: Request, services: Asked, order_id: int, csrf: str, action: str) -> int:
    with at_desk(services, request, "editor", csrf) as desk:
        orders.get(desk.conn, order_id)  # of this tenant, or not there
        audit.note(
            desk.conn,
            tenant_id=desk.session.tenant_id,
            actor=desk.who,
            action=action,
            wall=clock.wall(),
            detail={"order": order_id},
        )
        return desk.session.tenant_id


def _refused(error: CommerceError) -> Response:
    return pages.message(409, "This did not work", str(error), href="/console/orders", label="Back to the orders")
