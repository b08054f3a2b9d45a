"""The API: a table of routes, and what every request goes through on its way."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commerce.standin import customers, form, intents, params, refunds, sessions
from commerce.standin.books import Books, Thing, Unknown
from commerce.standin.knobs import Knobs
from commerce.standin.refusal import Refusal

Handler = Callable[..., Thing]
DOWN: Thing = {"error": {"type": "api_error", "message": "An unexpected error occurred."}}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its type in stripe.params, which of that type's keys the stand-in honours, and who does it."""

    method: str
    path: str
    asked: str
    honours: str
    handler: Handler


def _retrieve(kind: str) -> Handler:
    return lambda books, _asked, thing_id: books.get(kind, thing_id)


def _list(kind: str, path: str) -> Handler:
    def page(books: Books, asked: dict[str, Any]) -> Thing:
        found = [t for t in books.every(kind) if _matches(t, asked)]
        if asked.get("starting_after"):
            ids = [t["id"] for t in found]
            found = found[ids.index(books.get(kind, asked["starting_after"])["id"]) + 1 :]
        limit = asked.get("limit", 10)
        return {"object": "list", "url": path, "has_more": len(found) > limit, "data": found[:limit]}

    return page


def _matches(thing: Thing, asked: dict[str, Any]) -> bool:
    created = asked.get("created") or {}
    return (
        asked.get("customer") in (None, thing.get("customer"))
        and asked.get("payment_intent") in (None, thing.get("payment_intent"))
        and asked.get("type") in (None, thing.get("type"))
        and created.get("gte", 0) <= thing["created"]
        and asked.get("delivery_success") in (None, not thing.get("pending_webhooks"))
    )


PAGING = "limit starting_after created"
INTENT = "amount currency customer payment_method confirm capture_method return_url description metadata off_session"
SESSION = (
    "mode line_items client_reference_id metadata payment_intent_data success_url cancel_url expires_at customer "
    "saved_payment_method_options shipping_address_collection"
)
ROUTES = (
    Route("POST", "/v1/customers", "CustomerCreateParams", "email name metadata", customers.create),
    Route("GET", "/v1/customers/{id}", "CustomerRetrieveParams", "", _retrieve("customer")),
    Route(
        "GET",
        "/v1/payment_methods",
        "PaymentMethodListParams",
        f"{PAGING} customer type",
        _list("payment_method", "/v1/payment_methods"),
    ),
    Route("GET", "/v1/payment_methods/{id}", "PaymentMethodRetrieveParams", "", _retrieve("payment_method")),
    Route("POST", "/v1/payment_methods/{id}/attach", "PaymentMethodAttachParams", "customer", customers.attach),
    Route("POST", "/v1/payment_methods/{id}/detach", "PaymentMethodDetachParams", "", customers.detach),
    Route("POST", "/v1/payment_intents", "PaymentIntentCreateParams", INTENT, intents.create),
    Route(
        "GET",
        "/v1/payment_intents",
        "PaymentIntentListParams",
        f"{PAGING} customer",
        _list("payment_intent", "/v1/payment_intents"),
    ),
    Route("GET", "/v1/payment_intents/{id}", "PaymentIntentRetrieveParams", "", _retrieve("payment_intent")),
    Route(
        "POST",
        "/v1/payment_intents/{id}/confirm",
        "PaymentIntentConfirmParams",
        "payment_method return_url off_session",
        intents.confirm,
    ),
    Route(
        "POST", "/v1/payment_intents/{id}/capture", "PaymentIntentCaptureParams", "amount_to_capture", intents.capture
    ),
    Route(
        "POST", "/v1/payment_intents/{id}/cancel", "PaymentIntentCancelParams", "cancellation_reason", intents.cancel
    ),
    Route("POST", "/v1/refunds", "RefundCreateParams", "payment_intent amount metadata reason", refunds.create),
    Route("GET", "/v1/refunds", "RefundListParams", f"{PAGING} payment_intent", _list("refund", "/v1/refunds")),
    Route("GET", "/v1/refunds/{id}", "RefundRetrieveParams", "", _retrieve("refund")),
    Route("POST", "/v1/checkout/sessions", "checkout.SessionCreateParams", SESSION, sessions.create),
    Route(
        "GET",
        "/v1/checkout/sessions",
        "checkout.SessionListParams",
        f"{PAGING} customer payment_intent",
        _list("checkout.session", "/v1/checkout/sessions"),
    ),
    Route("GET", "/v1/checkout/sessions/{id}", "checkout.SessionRetrieveParams", "", _retrieve("checkout.session")),
    Route("POST", "/v1/checkout/sessions/{id}/expire", "checkout.SessionExpireParams", "", sessions.expire),
    Route("GET", "/v1/events", "EventListParams", f"{PAGING} type delivery_success", _list("event", "/v1/events")),
    Route("GET", "/v1/events/{id}", "EventRetrieveParams", "", _retrieve("event")),
)
PATTERNS = tuple((re.compile(re.sub(r"{\w+}", r"(\\w+)", r.path) + r"\Z"), r) for r in ROUTES)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; `hold_s` is how long it is withheld."""

    status: int
    body: Thing
    replayed: bool = False
    hold_s: float = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What came in; `text` is the body of a POST and the query of a GET, header names are in lower case."""

    method: str
    path: str
    text: str
    headers: dict[str, str]


def answer(books: Books, knobs: Knobs, request: Request) -> Answer:
    """Answer one request to the API."""
    with books.lock:
        sessions.expire_old(books)
        try:
            route, ids, asked = _understood(request)
        except Refusal as refusal:  # refused before it began: nothing is stored under the key
            return Answer(refusal.status, refusal.body)
        expand = asked.pop("expand", [])
        if request.method == "GET":
            status, body = _perform(books, route, asked, ids)
            return Answer(status, _expanded(books, body, expand))
        key = request.headers.get("idempotency-key", "")
        said = json.dumps([request.path, sorted(asked.items())], default=str)
        fingerprint = hashlib.sha256(said.encode()).hexdigest()
        if key in books.answers:
            return _replay(books, key, fingerprint)
        faulty = request.path.startswith(knobs.path)
        if faulty and knobs.take("error_before"):
            status, body = 500, DOWN
        else:
            status, body = _perform(books, route, asked, ids)
            body = json.loads(json.dumps(_expanded(books, body, expand)))  # as it is now, not as it will be
            if faulty and knobs.take("error_after"):
                status, body = 500, DOWN
        if key:
            books.answers[key] = (fingerprint, status, body)
        return Answer(status, body, hold_s=knobs.hold_s if faulty and knobs.take("timeout_after") else 0)


def _understood(request: Request) -> tuple[Route, tuple[str, ...], dict[str, Any]]:
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not key.startswith(("sk_test_", "rk_test_")):
        raise Refusal("This is a stand-in: use a key that begins with sk_test_ or rk_test_.", status=401)
    route, ids = _route(request.method, request.path)
    asked = params.check(route.asked, form.decode(request.text))
    if unknown := sorted(asked.keys() - {"expand", *route.honours.split()}):
        raise Refusal(f"The stand-in does not know what to do with {unknown[0]}.", param=unknown[0])
    return route, ids, asked


def _replay(books: Books, key: str, fingerprint: str) -> Answer:
    stored, status, body = books.answers[key]
    if stored != fingerprint:
        refusal = Refusal(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request.",
            kind="idempotency_error",
        )
        return Answer(refusal.status, refusal.body)
    return Answer(status, body, replayed=True)


def _perform(books: Books, route: Route, asked: dict[str, Any], ids: tuple[str, ...]) -> tuple[int, Thing]:
    try:
        return 200, route.handler(books, asked, *ids)
    except Refusal as refusal:
        return refusal.status, refusal.body
    except Unknown as unknown:
        return 404, Refusal(str(unknown), code="resource_missing", param=unknown.param).body


def _route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    for pattern, route in PATTERNS:
        if route.method == method and (found := pattern.match(path)):
            return route, found.groups()
    raise Refusal(f"Unrecognized request URL ({method}: {path}).", status=404)


def _expanded(books: Books, body: Thing, paths: list[str]) -> Thing:
    """Return an answer with the things it names in place of their ids, where that was asked for."""
    for path in paths:
        body = _expand(books, body, path.split("."))
    return body


def _expand(books: Books, thing: Thing, path: list[str]) -> Thing:
    inner = thing.get(path[0])
    if path[0] == "data" and isinstance(inner, list):
        return {**thing, "data": [_expand(books, item, path[1:]) for item in inner]}
    if isinstance(inner, str):
        inner = books.things.get(inner, inner)
    if isinstance(inner, dict) and len(path) > 1:
        inner = _expand(books, inner, path[1:])
    return {**thing, path[0]: inner} if path[0] in thing else thing
