"""Whether we live, and whether we can serve: for those who start, route to and watch us."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from gateway.db import readiness
from gateway.web import pages
from gateway.web.services import Asked

router = APIRouter()


@router.get("/healthz")
def healthz() -> Response:
    """Answer: the process lives. It asks nobody else, so that a database away does not get us killed."""
    return PlainTextResponse("ok")


@router.get("/readyz")
@router.get("/startupz")
def readyz(services: Asked) -> Response:
    """Answer 200 when a request would be served, else 503; each check by name, with a sentence where it fails."""
    found = {"database": readiness.database(str(services.pool.conninfo))}
    found |= {name: check() for name, check in services.checks.items()}
    ready = not any(found.values())
    checks = {name: reason or "ok" for name, reason in found.items()}
    return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return a static file; its address carries its digest, so it is kept for ever."""
    if name not in pages.STATIC:
        return PlainTextResponse("no such file", 404)
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(pages.static(name), media_type=pages.STATIC[name], headers=kept)


@router.get("/robots.txt")
def robots() -> Response:
    """Ask crawlers to stay away: codes are for people who hold the product."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")
