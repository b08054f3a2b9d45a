"""The console's door: staff sign in, keep a session on the server, and are held to their role."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import clock
from gateway.db import pool
from gateway.errors import WearwellError
from gateway.registry import attempts, audit, doors, links, sessions, staff, tenants
from gateway.registry.attempts import Limit
from gateway.registry.sessions import Session
from gateway.registry.staff import Role
from gateway.web import cookies, pages
from gateway.web.services import Asked, Services

router = APIRouter(prefix="/console", default_response_class=HTMLResponse)
BY_ACCOUNT = Limit("login:account", 5, timedelta(minutes=15))
BY_PLACE = Limit("login:place", 20, timedelta(minutes=15))
WRONG = "This address and password do not go together."


class SignInFirst(WearwellError):
    """Nobody is signed in here, or their session has ended."""


class NotYourRole(WearwellError):
    """Your role may look at this, but not change it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One signed-in request of a staff member, in one transaction that speaks for their tenant."""

    conn: psycopg.Connection
    session: Session
    token: str
    request: Request

    @property
    def who(self) -> str:
        return f"staff:{self.session.staff_id}"

    def may(self, role: Role) -> bool:
        return staff.may(self.session.role, role)

    def page(self, template: str, here: str, **context: Any) -> HTMLResponse:
        """Answer with a page of the console; `here` marks the place in its menu."""
        return pages.page(
            self.request,
            template,
            here=here,
            maker=tenants.get(self.conn, self.session.tenant_id).name,
            email=self.session.email,
            role=self.session.role,
            csrf=sessions.csrf(self.token),
            editor=self.may("editor"),
            **context,
        )


@contextmanager
def at_desk(services: Services, request: Request, role: Role = "reader", csrf: str | None = None) -> Iterator[Desk]:
    """Yield the desk of whoever is signed in; a change passes the form's `csrf`.

    Raises SignInFirst, or NotYourRole for a role too small or a form that is not of this session.
    """
    token = cookies.read(request, services.settings, cookies.STAFF)
    with services.pool.connection() as conn:
        tenant_id = doors.session(conn, token) if token else None
        if tenant_id is None:
            raise SignInFirst
        pool.speak_for(conn, tenant_id)
        session = sessions.find(conn, token, clock.wall())
        if session is None or session.staff_id is None:
            raise SignInFirst
        if not staff.may(session.role, role):
            raise NotYourRole("Your role may look at this, but not change it. Ask an administrator.")
        if csrf is not None and links.digest(csrf) != session.csrf_hash:
            raise NotYourRole("This form was not made for your session. Open the page again and press there.")
        yield Desk(conn, session, token, request)


def onward(path: str) -> str:
    """Return where a sign-in leads: a page of the console, never anywhere else."""
    ours = path.startswith("/console") and "//" not in path and "\\" not in path and not path.startswith("/console/log")
    return path if ours else "/console"


def sign_in_first(request: Request, _: Exception) -> Response:
    """Send a browser to the sign-in, and back afterwards when it only looked."""
    to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(onward(to))}" if request.method == "GET" else ""
    return RedirectResponse(f"/console/login{back}", 303)


def not_your_role(_: Request, error: Exception) -> Response:
    return pages.message(403, "Not with your role", str(error), href="/console", label="Back to the console")


@router.get("/login")
def login_page(request: Request, next: str = "") -> Response:  # noqa: A002  # the name that everyone's links use
    """Show the sign-in."""
    return pages.page(request, "console/login.html", next=onward(next), error="", email="")


@router.post("/login")
def login(
    request: Request,
    services: Asked,
    email: Annotated[str, Form(max_length=254)],
    password: Annotated[str, Form(max_length=1024)],
    next: Annotated[str, Form(max_length=2048)] = "",  # noqa: A002  # likewise
) -> Response:
    """Sign a staff member in with a new session; the one that this browser had ends."""
    place, wall = request.client.host if request.client else "", clock.wall()
    with services.pool.connection() as conn:
        for limit, who in ((BY_ACCOUNT, email), (BY_PLACE, place)):
            if seconds := attempts.wait(conn, limit, who, wall):
                return pages.wait(seconds)
        person = staff.sign_in(conn, email, password)
        if person is None:
            for limit, who in ((BY_ACCOUNT, email), (BY_PLACE, place)):
                attempts.note(conn, limit, who, wall)
            audit.note(conn, actor="anonymous", action="staff_sign_in_refused", wall=wall)
            context = {"next": onward(next), "error": WRONG, "email": email}
            return pages.page(request, "console/login.html", 401, **context)
        if had := cookies.read(request, services.settings, cookies.STAFF):
            sessions.end(conn, had)
        token = sessions.start(conn, tenant_id=person.tenant_id, staff_id=person.staff_id, wall=wall)
        actor = f"staff:{person.staff_id}"
        audit.note(conn, tenant_id=person.tenant_id, actor=actor, action="staff_signed_in", wall=wall)
    answer = RedirectResponse(onward(next), 303)
    cookies.write(answer, services.settings, cookies.STAFF, token, int(sessions.STAFF.absolute.total_seconds()))
    return answer


@router.post("/logout")
def logout(request: Request, services: Asked, csrf: Annotated[str, Form(max_length=128)] = "") -> Response:
    """End the session; with everywhere=1 in the address, every session of this person."""
    with at_desk(services, request, csrf=csrf) as desk:
        if request.query_params.get("everywhere"):
            sessions.end_all(desk.conn, staff_id=desk.session.staff_id)
        sessions.end(desk.conn, desk.token)
        audit.note(
            desk.conn,
            tenant_id=desk.session.tenant_id,
            actor=desk.who,
            action="staff_signed_out",
            wall=clock.wall(),
        )
    answer = RedirectResponse("/console/login", 303)
    cookies.clear(answer, services.settings, cookies.STAFF)
    return answer
