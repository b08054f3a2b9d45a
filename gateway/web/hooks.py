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
from gateway.web.services import Asked

router = APIRouter()
REFUSALS = Limit("webhook", 60, timedelta(minutes=1))


async def raw_body(request: Request) -> bytes:
    """Return the body as it was signed: byte for byte."""
    return await request.body()


@router.post("/webhooks/stripe")
def stripe(request: Request, services: Asked, body: Annotated[bytes, Depends(raw_body)]) -> Response:
    """Store a signed message once and defer its work; refuse any other, with no effect."""
    place = request.client.host if request.client else ""
    with services.pool.connection() as conn:
        seconds = attempts.wait(conn, REFUSALS, place, clock.wall())
    if seconds:
        return PlainTextResponse("too many refused messages", 429, {"retry-after": str(seconds)})
    secrets = [s.get_secret_value() for s in services.settings.stripe_webhook_secrets]
    try:
        received = services.desk.receive(body, request.headers.get("stripe-signature"), secrets)
    except WebhookRefused as refused:
        with services.pool.connection() as conn:
            attempts.note(conn, REFUSALS, place, clock.wall())
            audit.note(
                conn, actor="anonymous", action="webhook_refused", wall=clock.wall(), detail={"reason": str(refused)}
            )
        return JSONResponse({"error": "refused"}, 400)
    if received is not None:  # stored and not worked on yet; a crash right here is mended by the provider's next try
        tenant_id, event_id = received
        with pool.for_tenant(services.pool, tenant_id) as conn:
            jobs.defer(conn, "hear", lock=f"hear:{event_id}", source=services.desk.source, event_id=event_id)
    return JSONResponse({"received": True})
