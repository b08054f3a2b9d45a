"""What every request passes and every answer carries: origin, size, headers, one line of log."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.settings import Settings
from gateway.web import pages

SAFE = ("GET", "HEAD", "OPTIONS")
LARGEST_FORM = 64 * 1024
LARGEST_WEBHOOK = 1024 * 1024
CHECKOUTS = ("https://checkout.stripe.com", "https://hooks.stripe.com")
UNKNOWN = ("That went wrong on our side", "If you pressed a button, we do not know whether it was done.")
WRONG = pages.message(
    500,
    *UNKNOWN,
    "Scan the code on your product, or open the link in our mail again, and look there before you press once more.",
)
WRONG_AT_DESK = pages.message(
    500,
    *UNKNOWN,
    "Open the page again and look before you press once more. The log of serve says what went wrong.",
    href="/console",
    label="To the console",
)
log = structlog.get_logger()


def from_elsewhere(path: str) -> bool:
    """Say whether a POST to this path comes from another machine by its nature, and proves itself otherwise.

    Webhooks are signed; a one-click unsubscription (RFC 8058) carries its token in the address.
    """
    return path.startswith(("/webhooks/", "/u/"))


def same_origin(headers: Headers, own: frozenset[str]) -> bool:
    """Say whether a browser sent this from one of our own pages.

    Browsers say so in Sec-Fetch-Site, older ones only in Origin; a request that says neither came from no page. Under
    our Referrer-Policy the origin of our own forms is the word null, which only Sec-Fetch-Site can vouch for.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site == "same-origin":
        return origin in (None, "null") or origin in own
    return site is None and origin in own


def checkout_origins(settings: Settings) -> list[str]:
    """Return where a form may lead besides ourselves: the payment provider's pages, or the stand-in's."""
    if settings.stripe_url:  # which we may reach by another name than browsers do
        url = urlsplit(settings.stripe_pages_url or settings.stripe_url)
        return [f"{url.scheme}://{url.netloc}"]
    return list(CHECKOUTS)


@dataclass(frozen=True, slots=True)
class Guard:
    """ASGI middleware around the whole app."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, begun = time.perf_counter(), 500, False
        method, scope = scope["method"], dict(scope)

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                self._dress(MutableHeaders(scope=message))
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        if method == "HEAD":  # answered as GET without its body, so that a mail scanner's look changes as little
            scope["method"] = "GET"
        try:
            await (self._refusal(scope) or self.app)(scope, receive, answer)
        except Exception as error:
            log.exception("request failed", exc_info=error)
            if begun:  # half an answer is out already: closing the connection is the only honest end
                raise
            page = WRONG_AT_DESK if str(scope["path"]).startswith("/console") else WRONG
            await page(scope, receive, answer)
        finally:
            route = scope.get("route")  # its pattern, never the path: paths carry tokens
            log.info(
                "request",
                method=method,
                route=getattr(route, "path", "-"),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers, path = Headers(scope=scope), scope["path"]
        if scope["method"] in SAFE:
            return None
        if not from_elsewhere(path) and not same_origin(headers, self._own(scope, headers)):
            return pages.message(
                403,
                "This did not come from our page",
                "For your safety we only accept what is pressed on the page itself. Open it again and press there.",
            )
        length = headers.get("content-length", "")
        if not length.isdecimal() and "transfer-encoding" in headers:
            return pages.message(411, "How much is it?", "What is sent here has to say its length first.")
        if int(length if length.isdecimal() else 0) > _largest(path):
            return pages.message(413, "That is too much", "What was sent is larger than anything this page asks for.")
        return None

    def _own(self, scope: Scope, headers: Headers) -> frozenset[str]:
        public = urlsplit(self.settings.public_url)
        return frozenset(
            (f"{public.scheme}://{public.netloc}", f"{scope['scheme']}://{headers.get('host', public.netloc)}")
        )

    def _dress(self, headers: MutableHeaders) -> None:
        forms = " ".join(["'self'", *checkout_origins(self.settings)])
        headers.setdefault(
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            f"form-action {forms}; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'",
        )
        headers.setdefault("x-frame-options", "DENY")
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "no-referrer"
        headers["cross-origin-opener-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        headers["permissions-policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
        if self.settings.secure:
            headers["strict-transport-security"] = "max-age=63072000; includeSubDomains"
        headers.setdefault("cache-control", "no-store")


def _largest(path: str) -> int:
    return LARGEST_WEBHOOK if path.startswith("/webhooks/") else LARGEST_FORM
