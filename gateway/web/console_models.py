"""Wear models in the console: versions of each slot, how a challenger compares, release with a note, roll back."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import clock
from gateway.bench import comparisons, listing, measured, read, release, shadow
from gateway.errors import NotFound
from gateway.registry import models
from gateway.registry.models import Slot
from gateway.web.console_door import Desk, at_desk
from gateway.web.services import Asked
from predictors.registry import MODELS

router = APIRouter(prefix="/console/models", default_response_class=HTMLResponse)
Text = Annotated[str, Form(max_length=128)]
Note = Annotated[str, Form(max_length=500)]
Version = Annotated[int, Form(ge=1, lt=2**31)]
Last = Annotated[int, Form(ge=1)]  # the release that was the last one when the page was made


@router.get("")
def table(request: Request, services: Asked) -> Response:
    """Show what forecasts each slot of each product model."""
    with at_desk(services, request) as desk:
        return desk.page("console/models.html", "models", rows=listing.standings(desk.conn, desk.session.tenant_id))


@router.get("/{slot_id}")
def slot(request: Request, services: Asked, slot_id: int) -> Response:
    """Show a slot's versions, the last comparison, and who released what."""
    with at_desk(services, request) as desk:
        of = own(desk, slot_id)
        rows = listing.listed(desk.conn, of)
        champion = next((row["version"] for row in rows if row["stands"] == "champion"), None)
        return desk.page(
            "console/model.html",
            "models",
            slot=of,
            product=read.product(desk.conn, of),
            rows=rows,
            others=[row for row in rows if row["stands"] != "champion"],
            released=champion is not None,
            unasked=release.unasked(desk.conn, of.slot_id, champion),
            unmeasured={
                each.model_version_id: measured.command(desk.conn, of, each)
                for each in measured.never(desk.conn, of)
                if each.model_version_id != champion
            },
            shadowed=next((row["version"] for row in rows if row["stands"] == "shadow"), None),
            log=listing.audit(desk.conn, of),
            last=release.last(desk.conn, of.slot_id),
            asked=comparisons.latest(desk.conn, of),
            predictors=sorted(MODELS),
        )


@router.post("/{slot_id}/release")
def release_version(
    request: Request, services: Asked, slot_id: int, *, version: Version, note: Note = "", csrf: Text = ""
) -> Response:
    """Let a version forecast its slot from now on."""
    with at_desk(services, request, "editor", csrf) as desk:
        chosen = shadow.own(desk.conn, own(desk, slot_id), version)
        release.release(desk.conn, chosen, actor=desk.who, note=note, now=clock.now())
    return _back(slot_id)


@router.post("/{slot_id}/rollback")
def roll_back(
    request: Request, services: Asked, slot_id: int, *, last: Last, note: Note = "", csrf: Text = ""
) -> Response:
    """Take the last release back, in one step: the one that was looked at."""
    with at_desk(services, request, "editor", csrf) as desk:
        of = own(desk, slot_id)
        release.rollback(desk.conn, of.slot_id, actor=desk.who, note=note, now=clock.now(), last=last)
    return _back(slot_id)


@router.post("/{slot_id}/shadow")
def start_shadow(request: Request, services: Asked, slot_id: int, version: Version, csrf: Text = "") -> Response:
    """Let a version forecast beside the champion, telling nobody."""
    with at_desk(services, request, "editor", csrf) as desk:
        shadow.start(desk.conn, shadow.own(desk.conn, own(desk, slot_id), version), actor=desk.who, now=clock.now())
    return _back(slot_id)


@router.post("/{slot_id}/shadow/end")
def end_shadow(request: Request, services: Asked, slot_id: int, csrf: Text = "") -> Response:
    """End the shadow; what it said stays."""
    with at_desk(services, request, "editor", csrf) as desk:
        shadow.end(desk.conn, own(desk, slot_id), actor=desk.who, now=clock.now())
    return _back(slot_id)


@router.post("/{slot_id}/compare")
def compare(request: Request, services: Asked, slot_id: int, challenger: Text, csrf: Text = "") -> Response:
    """Ask the worker to compare the champion with a challenger."""
    with at_desk(services, request, "editor", csrf) as desk:
        comparisons.ask(desk.conn, own(desk, slot_id), challenger.strip(), actor=desk.who, now=clock.now())
    return _back(slot_id)


def own(desk: Desk, slot_id: int) -> Slot:
    """Return a slot of the desk's own tenant. Raises NotFound."""
    of = models.get_slot(desk.conn, slot_id)
    if of.tenant_id != desk.session.tenant_id:
        raise NotFound(f"there is no slot {slot_id}")
    return of


def _back(slot_id: int) -> Response:
    return RedirectResponse(f"/console/models/{slot_id}", 303)
