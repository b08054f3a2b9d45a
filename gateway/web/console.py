"""The console's first page: what needs attention, then the fleet in numbers."""

from dataclasses import dataclass
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from gateway import clock
from gateway.registry import alarms, fleet
from gateway.registry.fleet import Wants
from gateway.web.console_door import at_desk
from gateway.web.services import Asked

router = APIRouter(default_response_class=HTMLResponse)


class Kind(NamedTuple):
    """One thing that may need attention: how it is said, how bad it is, where one goes on."""

    field: str
    said: str
    look: str
    href: str
    go: str


KINDS = (
    Kind(
        "overdue",
        "Past the end of their life, with nothing ordered",
        "overdue",
        "/console/units?stage=overdue",
        "See them",
    ),
    Kind(
        "unpaid", "Payments without a clear answer; they are asked about again", "overdue", "/console/orders", "Orders"
    ),
    Kind("stuck", "Events that nothing followed from; the worker's log says why", "overdue", "/console/units", "Fleet"),
    Kind("to_ship", "Paid orders that wait to be shipped", "due", "/console/orders", "Ship them"),
    Kind("silent", "Units silent for three days or more", "due", "/console/units?link=silent", "See them"),
    Kind("failed_mail", "Mails that could not be delivered", "due", "/console/outbox?only=failed", "See them"),
    Kind("gaps", "Units with readings missing; replay was asked for", "soon", "/console/units", "Fleet"),
    Kind(
        "drift",
        "Drift alarms: a wear model may no longer fit the field",
        "soon",
        "/console/drift",
        "Read them",
    ),
    Kind(
        "quarantined",
        "Messages refused, and kept with their reason",
        "soon",
        "/console/quarantine",
        "Read them",
    ),
)


@dataclass(frozen=True, slots=True)
class Want:
    count: int
    said: str
    look: str
    href: str
    go: str


def wanted(found: Wants) -> list[Want]:
    """Return what needs attention, the worst first; nothing at all is good news."""
    numbers = ((kind, int(getattr(found, kind.field))) for kind in KINDS)
    return [Want(n, kind.said, kind.look, kind.href, kind.go) for kind, n in numbers if n]


@router.get("/console")
def home(request: Request, services: Asked) -> Response:
    """Show what needs attention and the fleet in numbers."""
    now = clock.now()
    with at_desk(services, request) as desk:
        return desk.page(
            "console/home.html",
            "home",
            wants=wanted(fleet.wants(desk.conn, now)),
            counts=fleet.counts(desk.conn, now),
            models=fleet.models(desk.conn),
        )


@router.get("/console/drift")
def drift(request: Request, services: Asked) -> Response:
    """Show where each drift alarm stands."""
    with at_desk(services, request) as desk:
        return desk.page("console/drift.html", "home", rows=alarms.standing(desk.conn))


@router.get("/console/quarantine")
def quarantine(request: Request, services: Asked) -> Response:
    """Show what was refused, with its reason."""
    with at_desk(services, request) as desk:
        return desk.page("console/quarantine.html", "home", rows=fleet.quarantined(desk.conn))
