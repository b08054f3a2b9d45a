"""The fleet in the console: a table to search, one unit drawn over time, its code as a label."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

import segno
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from commerce import money, orders
from gateway import clock
from gateway.db import pool
from gateway.registry import doubts, fleet, history, models, owners, timeline, units
from gateway.registry.fleet import Filter
from gateway.registry.units import Unit
from gateway.web import charts, visits
from gateway.web.console_door import at_desk
from gateway.web.services import Asked, Services

router = APIRouter(prefix="/console/units", default_response_class=HTMLResponse)
STAGES = {"overdue": "Overdue", "due": "Due", "soon": "Due soon", "ok": "All good"}
LINKS = {"online": "Online", "sleeping": "Sleeping", "lost": "Lost", "silent": "Silent", "never": "Never heard"}
COLUMNS = ("serial", "device", "model", "unit_name", "slot", "connection", "last_seen_at", "firmware", "stage",
           "pct_left", "eol_q10", "eol_q50", "eol_q90", "basis", "order_state")  # fmt: skip
WINDOWS = (30, 90, 365)
PIECE = 64 * 1024
EVENTS = {
    "part_fitted": "New part fitted",
    "part_removed": "Part taken out",
    "counter_reset": "Counter went back",
    "fault_set": "Fault reported",
    "fault_cleared": "Fault gone",
    "button_pressed": "Button pressed",
    "firmware_updated": "Firmware updated",
    "factory_reset": "Reset to factory state",
    "order_placed": "Order placed",
    "order_paid": "Order paid",
    "order_cancelled": "Order cancelled",
    "order_shipped": "Order shipped",
    "order_delivered": "Order delivered",
    "prompt_answered": "Owner answered",
    "doubt_answered": "Owner said whether it was changed",
}
NOTICED = {
    "replaced": "It looks as if the part was changed",
    "unreset": "A new part is in, but its counter was not reset",
    "reset": "Its counter was reset without a new part: the same part counts on",
    "cleaned": "The part seems to have been cleaned",
    "unknown": "Something happened to the part that its signals do not explain",
    "sensor": "The sensor jumped: its indicator is not used in this cycle",
}
SETTLED = {
    "open": "the owner is asked",
    "acted": "taken for a new part, by the unit's own signals",
    "noted": "noted",
    "confirmed": "the owner said yes",
    "denied": "the owner said no",
    "closed": "settled",
}
Search = Annotated[str, Query(max_length=80)]


def _filter(q: str, stage: str, link: str, model: str) -> Filter:
    return Filter(
        search=q.strip(),
        stage=stage if stage in STAGES else "",
        link=link if link in LINKS else "",
        model_id=int(model) if model.isdecimal() and len(model) < 10 else None,
    )


@router.get("")
def table(
    request: Request,
    services: Asked,
    *,
    q: Search = "",
    stage: Search = "",
    link: Search = "",
    model: Search = "",
    after: Search = "",
) -> Response:
    """Show the fleet, the soonest due first; every filter stands in the address."""
    wanted = _filter(q, stage, link, model)
    asked = {"q": wanted.search, "stage": wanted.stage, "link": wanted.link, "model": model if wanted.model_id else ""}
    kept = urlencode({key: value for key, value in asked.items() if value})
    with at_desk(services, request) as desk:
        found = fleet.page(desk.conn, wanted, after=after, now=clock.now())
        return desk.page(
            "console/units.html",
            "units",
            rows=found.rows,
            asked=asked,
            kept=kept,
            next=f"/console/units?{urlencode({**asked, 'after': found.after})}" if found.after else "",
            paged=bool(after),
            stages=STAGES,
            links=LINKS,
            models=fleet.models(desk.conn),
        )


@router.get(".csv")
def as_csv(
    request: Request, services: Asked, *, q: Search = "", stage: Search = "", link: Search = "", model: Search = ""
) -> Response:
    """Return the whole narrowed fleet as CSV."""
    with at_desk(services, request) as desk:
        tenant_id = desk.session.tenant_id
    lines = _lines(services, tenant_id, _filter(q, stage, link, model))
    name = {"content-disposition": 'attachment; filename="fleet.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=name)


def _lines(services: Services, tenant_id: int, wanted: Filter) -> Iterator[str]:
    """Yield the table in pieces of many rows: each piece costs a change of threads."""
    piece = io.StringIO()
    write = csv.writer(piece).writerow
    write(COLUMNS)
    with pool.for_tenant(services.pool, tenant_id) as conn:
        for row in fleet.every(conn, wanted, clock.now()):
            write([harmless(getattr(row, column)) for column in COLUMNS])
            if piece.tell() > PIECE:
                yield piece.getvalue()
                piece.seek(0)
                piece.truncate()
    yield piece.getvalue()


def harmless(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


@router.get("/{unit_id}")
def unit(request: Request, services: Asked, unit_id: int, days: int = 90) -> Response:
    """Show one unit over time: where each slot stands, its readings, forecasts, cycles and what happened."""
    now, window = clock.now(), days if days in WINDOWS else 90
    with at_desk(services, request) as desk:
        found = units.get(desk.conn, unit_id)
        standings = timeline.standings(desk.conn, unit_id)
        slots = {s.slot_id: s.name for s in models.slots(desk.conn, found.model_id)}
        bought = orders.of_unit(desk.conn, unit_id)
        prompts = timeline.prompts(desk.conn, unit_id)
        cycles = timeline.cycles(desk.conn, unit_id)
        bands = []
        for standing in standings:
            marks = [(p.created_at, "asked") for p in prompts if p.slot_id == standing.slot_id]
            marks += [(o.created_at, "ordered") for o in bought if o.slot_id == standing.slot_id]
            marks += [(c.start, "fitted") for c in cycles if c.slot_id == standing.slot_id]
            forecasts = timeline.forecasts(desk.conn, unit_id, standing.slot_id)
            bands.append(charts.forecast_band(standing.name, forecasts, marks))
        return desk.page(
            "console/unit.html",
            "units",
            unit=found,
            owned=owners.owner_of(desk.conn, unit_id, now) is not None,
            standings=standings,
            bands=[band for band in bands if band],
            readings=charts.readings(timeline.days(desk.conn, unit_id, now - timedelta(days=window)), slots),
            cycles=cycles,
            bars=charts.cycle_bars(cycles, now),
            prompts=prompts,
            orders=[(o, money.words(o.total_minor, o.currency)) for o in bought],
            doubts=doubts.of_unit(desk.conn, unit_id),
            noticed=NOTICED,
            settled=SETTLED,
            events=history.of_unit(desk.conn, unit_id, 50),
            said=EVENTS,
            slots=slots,
            windows=WINDOWS,
            window=window,
            code=_code(services, found),
        )


@router.get("/{unit_id}/qr.svg")
def qr(request: Request, services: Asked, unit_id: int) -> Response:
    """Return the unit's code as SVG: a GS1 Digital Link, error correction M."""
    with at_desk(services, request) as desk:
        address = _code(services, units.get(desk.conn, unit_id))
    drawn = io.BytesIO()
    segno.make(address, error="m", micro=False).save(drawn, kind="svg", scale=4, border=4, light="#fff", xmldecl=False)
    return Response(drawn.getvalue(), media_type="image/svg+xml")


@router.get("/{unit_id}/label")
def label(request: Request, services: Asked, unit_id: int) -> Response:
    """Show the unit's label, to be printed."""
    with at_desk(services, request) as desk:
        found = units.get(desk.conn, unit_id)
        return desk.page("console/label.html", "units", unit=found, code=_code(services, found))


def _code(services: Services, found: Unit) -> str:
    return services.settings.public_url.rstrip("/") + visits.code_path(found.gtin, found.serial)
