"""Who looks at which unit, and with what authority: a stranger with its code, or its owner by link or session."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from fastapi import Request

from gateway import clock
from gateway.db import pool
from gateway.errors import NotFound
from gateway.registry import doors, gtin, links, models, owners, sessions, tenants, units
from gateway.registry.links import Link
from gateway.registry.models import ProductModel
from gateway.registry.owners import Owner
from gateway.registry.tenants import Tenant
from gateway.registry.units import Unit
from gateway.web import cookies
from gateway.web.services import Services


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a unit. `owner` is set only when the visitor is that owner; `unit` is None when none has the code."""

    request: Request
    services: Services
    conn: psycopg.Connection
    maker: Tenant
    model: ProductModel
    serial: str
    unit: Unit | None
    owner: Owner | None
    link: Link | None
    base: str  # where this page lives: its forms post below it

    @property
    def who(self) -> str:
        """The visitor as the audit names them."""
        return f"party:{self.owner.party_id}" if self.owner else "anonymous"


def code_path(gtin14: str, serial: str = "") -> str:
    """Return the path of a GS1 Digital Link."""
    return f"/01/{gtin14}" + (f"/21/{quote(serial, safe='')}" if serial else "")


@contextmanager
def by_link(services: Services, request: Request, token: str) -> Iterator[Visit | None]:
    """Yield the visit that a mail's link allows, in one transaction; None, never saying why, when it allows nothing."""
    with services.pool.connection() as conn:
        tenant_id = doors.link(conn, token)
        if tenant_id is None:
            yield None
            return
        pool.speak_for(conn, tenant_id)
        link = links.find(conn, token)
        if link is None or link.purpose != "prompt" or link.unit_id is None:
            yield None
            return
        owner = owners.owner_of(conn, link.unit_id, clock.now())
        if owner is None or owner.party_id != link.party_id:  # the unit was sold on
            yield None
            return
        unit = units.get(conn, link.unit_id)
        model = models.by_gtin(conn, unit.gtin)
        yield Visit(
            request, services, conn, tenants.get(conn, tenant_id), model, unit.serial, unit, owner, link,
            f"/p/{quote(token, safe='')}",
        )  # fmt: skip


@contextmanager
def by_code(services: Services, request: Request, gtin_text: str, serial_text: str = "") -> Iterator[Visit]:
    """Yield the visit of whoever scanned a code, in one transaction; its owner is known by their session.

    Raises BadCode for what is no GTIN or serial, NotFound for a product that nobody here makes.
    """
    gtin14 = gtin.gtin14(gtin_text)
    serial = gtin.serial(serial_text) if serial_text else ""
    with services.pool.connection() as conn:
        found = doors.model(conn, gtin14)
        if found is None:
            raise NotFound("We do not know this product. Check the code on its label.")
        tenant_id = found[0]
        pool.speak_for(conn, tenant_id)
        unit = _unit(conn, gtin14, serial)
        session = session_of(conn, services, request, tenant_id)
        owner = owners.owner_of(conn, unit.unit_id, clock.now()) if unit and session else None
        if owner and session and owner.party_id != session.party_id:
            owner = None
        model = models.by_gtin(conn, gtin14)
        yield Visit(
            request, services, conn, tenants.get(conn, tenant_id), model, serial, unit, owner, None,
            code_path(gtin14, serial),
        )  # fmt: skip


def session_of(
    conn: psycopg.Connection, services: Services, request: Request, tenant_id: int
) -> sessions.Session | None:
    """Return the owner's session that this browser holds with that tenant, or None."""
    for token in owner_tokens(request, services):
        session = sessions.find(conn, token, clock.wall())
        if session and session.party_id and session.tenant_id == tenant_id:
            return session
    return None


def owner_tokens(request: Request, services: Services) -> list[str]:
    """Return the owner's sessions of this browser: one for each maker whose products they own."""
    return [t for t in cookies.read(request, services.settings, cookies.OWNER).split(".") if t][:8]


def _unit(conn: psycopg.Connection, gtin14: str, serial: str) -> Unit | None:
    try:
        return units.by_code(conn, gtin14, serial) if serial else None
    except NotFound:
        return None
