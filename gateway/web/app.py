"""The web: every route, behind one guard, with errors that speak to people."""

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from commerce.errors import CommerceError, NotHere
from gateway.errors import Conflict, NotFound
from gateway.registry.gtin import BadCode
from gateway.web import (
    console,
    console_door,
    console_models,
    console_orders,
    console_units,
    health,
    hooks,
    outbox,
    owner,
    pages,
    sign_in,
)
from gateway.web.guard import Guard
from gateway.web.services import Services

log = structlog.get_logger()


def build(services: Services) -> FastAPI:
    """Return the app; it opens and closes nothing, its services are the caller's."""
    app = FastAPI(title="Wearwell", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services
    routers = [health, hooks, sign_in, console_door, console, console_units, console_models, console_orders]
    routers += [outbox, owner]
    for module in routers:
        app.include_router(module.router)
    if services.demo:
        app.include_router(outbox.demo)
    app.add_middleware(Guard, settings=services.settings)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(BadCode, _bad_code)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(Conflict, _conflict)
    app.add_exception_handler(CommerceError, _commerce)
    app.add_exception_handler(console_door.SignInFirst, console_door.sign_in_first)
    app.add_exception_handler(console_door.NotYourRole, console_door.not_your_role)
    app.add_exception_handler(psycopg.DataError, _no_text)
    for away in (psycopg.OperationalError, PoolTimeout):
        app.add_exception_handler(away, _away)
    return app


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405) and request.url.path.startswith("/console"):
        sentence = "Check the address, or begin at the console's first page."
        return pages.message(404, "There is no such page", sentence, href="/console", label="To the console")
    if status in (404, 405):
        return pages.message(404, "There is no such page", "Check the address, or scan the code on your product again.")
    return pages.message(status, "This did not work", "What was asked for cannot be done here.")


def _malformed(_: Request, __: Exception) -> Response:
    return pages.message(
        400, "Something is missing", "The form was not complete. Go back, look at it and send it again."
    )


def _no_text(_: Request, error: Exception) -> Response:
    """Refuse a NUL in what was sent, wherever it stands: no text in the database has one."""
    if "NUL" not in str(error):
        raise error
    return pages.message(400, "This cannot be read", "What was sent holds a character that no text has. Type it anew.")


def _bad_code(_: Request, error: Exception) -> Response:
    return pages.message(400, "This is not a product code", f"{error}. Scan the code on your product again.")


def _not_found(_: Request, __: Exception) -> Response:
    return pages.message(404, "There is nothing here", "Check the address, or scan the code on your product again.")


def _conflict(_: Request, error: Exception) -> Response:
    return pages.message(409, "This did not work", f"{str(error)[:1].upper()}{str(error)[1:]}.")


def _commerce(_: Request, error: Exception) -> Response:
    if isinstance(error, NotHere):
        return _not_found(_, error)
    return pages.message(409, "This did not work", str(error))


def _away(_: Request, error: Exception) -> Response:
    log.warning("database away", kind=type(error).__name__)
    answer = pages.message(
        503, "A short pause", "We cannot look this up right now. Nothing is lost; try again in a minute."
    )
    answer.headers["retry-after"] = "30"
    return answer
