"""The stand-in as an ASGI app: the API, the pages, and the knobs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from commerce.standin import api, pages, sessions
from commerce.standin.books import Books, Unknown
from commerce.standin.hooks import Hooks
from commerce.standin.knobs import Knobs

SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def real_time() -> float:
    """Return Unix time: to the house this is somebody else's server, with a clock of its own."""
    return time.time()  # noqa: TID251  # see above


class StandIn:
    """The endpoints, over one set of books and knobs."""

    def __init__(self, books: Books, knobs: Knobs, page_url: str | None) -> None:
        self.books = books
        self.knobs = knobs
        self.page_url = page_url

    async def call(self, request: Request) -> Response:
        """Answer the API."""
        raw = await request.body()
        text = raw.decode() if request.method == "POST" else request.url.query
        self.books.page_url = self.page_url or str(request.base_url).rstrip("/")
        asked = api.Request(request.method, request.url.path, text, dict(request.headers))
        said = await run_in_threadpool(api.answer, self.books, self.knobs, asked)
        if said.hold_s:
            await asyncio.sleep(said.hold_s)
        headers = {"Request-Id": f"req_{id(request):x}"} | ({"Idempotent-Replayed": "true"} if said.replayed else {})
        return JSONResponse(said.body, said.status, headers)

    async def pay(self, request: Request) -> Response:
        """Show the hosted page, or pay."""
        thing_id = request.path_params["thing_id"]
        if request.method == "POST":
            return await self._show(pages.pay_session, thing_id, await _form(request))
        return await self._show(pages.show_session, thing_id)

    async def secure(self, request: Request) -> Response:
        """Show the 3-D Secure page, or answer it."""
        thing_id = request.path_params["thing_id"]
        if request.method == "POST":
            return await self._show(pages.answer_secure, thing_id, (await _form(request)).get("answer") == "yes")
        return await self._show(pages.show_secure, thing_id)

    async def ledger(self, _request: Request) -> Response:
        """Show what was paid."""
        return await self._show(pages.show_ledger)

    async def turn(self, request: Request) -> Response:
        """Turn knobs and say how they stand."""
        if request.method == "POST":
            try:
                self.knobs.set(json.loads(await request.body()))
            except (ValueError, TypeError, AttributeError) as error:
                return PlainTextResponse(str(error), 400)
        return JSONResponse(self.knobs.said())

    async def style(self, _request: Request) -> Response:
        """Return the pages' style."""
        return Response(pages.css(), media_type="text/css")

    async def _show(self, page: Callable[..., str], *given: object) -> Response:
        def work() -> str:
            with self.books.lock:
                sessions.expire_old(self.books)
                return page(self.books, *given)

        try:
            return HTMLResponse(await run_in_threadpool(work), headers=SAFE)
        except pages.Elsewhere as elsewhere:
            return RedirectResponse(elsewhere.url, 303, SAFE)
        except Unknown as unknown:
            return PlainTextResponse(str(unknown), 404)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def build(
    *,
    webhook: str | None = None,
    secret: str = "",
    books: Books | None = None,
    knobs: Knobs | None = None,
    clock: Callable[[], float] = real_time,
    page_url: str | None = None,
) -> Starlette:
    """Return the app; it posts its events to `webhook`, signed with `secret`.

    `page_url` is where a buyer's browser finds the pages, if not where the API is asked.
    `books` and `knobs` may be shared with a test that looks inside; they are the app's state.books and state.knobs.
    """
    stand_in = StandIn(books or Books(clock), knobs or Knobs(), page_url)
    if secret:
        stand_in.knobs.secrets = [secret]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        hooks = Hooks(stand_in.books, stand_in.knobs, webhook) if webhook else None
        if hooks:
            hooks.start()
        yield
        if hooks:
            await run_in_threadpool(hooks.stop)

    app = Starlette(
        routes=[
            Route("/", stand_in.ledger),
            Route("/standin.css", stand_in.style),
            Route("/knobs", stand_in.turn, methods=["GET", "POST"]),
            Route("/pay/{thing_id}", stand_in.pay, methods=["GET", "POST"]),
            Route("/secure/{thing_id}", stand_in.secure, methods=["GET", "POST"]),
            Route("/v1/{rest:path}", stand_in.call, methods=["GET", "POST", "DELETE"]),
        ],
        lifespan=lifespan,
    )
    app.state.books, app.state.knobs = stand_in.books, stand_in.knobs
    return app
