"""What the payment provider tells us: verified, stored once, and worked on later."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from commerce.errors import WebhookRefused
from gateway import clock, jobs
from gateway.db import pool
from gateway.registry import attempts, audit
from gateway.registry.attempts import Limit
from gateway.web.services import Asked, Services

router = APIRouter()
REFUSALS = Limit("webhook", 60, timedelta(minutes=1))


async def raw_body(request: Request) -> bytes:
    """Return the body as it was signed: byte for byte."""
    return await request.body()


@router.post("/webhooks/stripe")
def stripe(request: Request, services: Asked, body: Annotated[bytes, Depends(raw_body)]) -> Response:
    """Store a signed message once and defer its work; refuse any other, with no effect."""
    secrets = [s.get_secret_value() for s in services.settings.stripe_webhook_secrets]
    try:
        received = services.desk.receive(body, request.headers.get("stripe-signature"), secrets)
    except WebhookRefused as refused:
        return _refuse(request, services, str(refused))
    if received is not None:  # stored and not worked on yet; a crash right here is mended by the provider's next try
        tenant_id, event_id = received
        with pool.for_tenant(services.pool, tenant_id) as conn:
            jobs.defer(conn, "hear", lock=f"hear:{event_id}", source=services.desk.source, event_id=event_id)
    return JSONResponse({"received": True})


def _refuse(request: Request, services: Services, reason: str) -> Response:
    """Refuse a message, and keep that in the audit until one place sends too many; what is signed is never held off."""
    place, wall = request.client.host if request.client else "", clock.wall()
    with services.pool.connection() as conn:
        if seconds := attempts.wait(conn, REFUSALS, place, wall):
            return PlainTextResponse("too many refused messages", 429, {"retry-after": str(seconds)})
        attempts.note(conn, REFUSALS, place, wall)
        audit.note(conn, actor="anonymous", action="webhook_refused", wall=wall, detail={"reason": reason})
    return JSONResponse({"error": "refused"}, 400)
