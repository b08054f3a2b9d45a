"""Payments by Stripe: the only file that calls its SDK.

Cards never reach us: first orders go through the hosted Checkout page, later ones charge the card kept there with
its owner's consent. Everything is authorised first and captured when the order is released.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import stripe
from stripe import StripeClient

from commerce.errors import WebhookRefused
from commerce.payments import Ask, Charge, Notice, ProviderError, Standing, Trouble
from commerce.stripe_amounts import from_stripe, to_stripe

if TYPE_CHECKING:
    from stripe.params import CustomerCreateParams, PaymentIntentCreateParams
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

TOLERANCE_S = 300
NO_ANSWER = "The payment provider has not answered yet. Nothing will be charged twice."
EXPAND_INTENT = ["latest_charge", "payment_method"]
EXPAND_SESSION = ["payment_intent", "payment_intent.payment_method", "payment_intent.latest_charge"]
INTENT_STATES = {
    "requires_capture": Standing.AUTHORISED,
    "succeeded": Standing.CAPTURED,
    "requires_action": Standing.REQUIRES_ACTION,
    "requires_confirmation": Standing.INDETERMINATE,
    "processing": Standing.INDETERMINATE,
    "requires_payment_method": Standing.FAILED,
    "canceled": Standing.CANCELLED,
}

T = TypeVar("T")


class Wire(stripe.HTTPClient):
    """Carries the SDK's requests over one connection pool that threads share and that can be closed.

    The SDK's own httpx client sends bodies in a way that httpx has deprecated, and its requests client keeps a
    session in each thread, which nobody can close.
    """

    name = "httpx"

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._client = httpx.Client(timeout=timeout_s)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: str | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        try:
            answer = self._client.request(method, url, headers=headers, content=post_data)
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(why, should_retry=True) from error  # type: ignore[no-untyped-call]  # theirs
        return answer.text, answer.status_code, answer.headers

    def close(self) -> None:
        self._client.close()


class StripePayments:
    """Payments over Stripe's API, or over the stand-in at `url`.

    `retries` are the SDK's own, under the same idempotency key; `timeout_s` is for one request.
    """

    source = "stripe"
    closed: str | None = None

    def __init__(self, api_key: str, *, url: str | None = None, retries: int = 2, timeout_s: float = 20) -> None:
        self._live = api_key.startswith(("sk_live_", "rk_live_"))
        self._http = Wire(timeout_s)
        self._client = StripeClient(
            api_key,
            base_addresses={"api": url} if url else {},
            max_network_retries=retries,
            http_client=self._http,
        )

    def close(self) -> None:
        """Close the connections to Stripe."""
        self._http.close()

    def customer(self, email: str | None, reference: str) -> str:
        asked: CustomerCreateParams = {"metadata": {"reference": reference}}
        if email:
            asked["email"] = email
        return _said(lambda: self._client.v1.customers.create(asked)).id

    def ask(self, ask: Ask) -> Charge:
        return self._charge_saved_card(ask) if ask.payment_method else self._open_page(ask)

    def look(self, provider_id: str) -> Charge:
        if provider_id.startswith("cs_"):
            return _from_session(
                _said(lambda: self._client.v1.checkout.sessions.retrieve(provider_id, {"expand": EXPAND_SESSION}))
            )
        return _from_intent(
            _said(lambda: self._client.v1.payment_intents.retrieve(provider_id, {"expand": EXPAND_INTENT}))
        )

    def find(self, ask: Ask, since: datetime) -> Charge | None:
        created = int(since.timestamp()) - TOLERANCE_S

        def search() -> str | None:
            if ask.payment_method:
                intents = self._client.v1.payment_intents.list(
                    {"customer": ask.customer or "", "created": {"gte": created}, "limit": 100}
                )
                return next((i.id for i in intents.auto_paging_iter() if _meta(i).get("key") == ask.key), None)
            sessions = self._client.v1.checkout.sessions.list({"created": {"gte": created}, "limit": 100})
            return next((s.id for s in sessions.auto_paging_iter() if _meta(s).get("key") == ask.key), None)

        found = _said(search)
        return self.look(found) if found else None

    def capture(self, provider_id: str) -> Charge:
        intent_id = self._intent_of(provider_id)
        return _from_intent(
            _said(lambda: self._client.v1.payment_intents.capture(intent_id, {"expand": EXPAND_INTENT}))
        )

    def call_off(self, provider_id: str) -> Charge:
        stands = self.look(provider_id)
        try:
            if stands.state == Standing.REQUIRES_ACTION and provider_id.startswith("cs_"):
                _said(lambda: self._client.v1.checkout.sessions.expire(provider_id))
            elif stands.state in (Standing.AUTHORISED, Standing.REQUIRES_ACTION, Standing.FAILED):
                intent_id = self._intent_of(provider_id)
                _said(lambda: self._client.v1.payment_intents.cancel(intent_id))
        except ProviderError as error:
            if error.trouble is not Trouble.REFUSED:
                raise
            # it moved on while we asked: what it is now decides
        return self.look(provider_id)

    def refund(self, provider_id: str, amount_minor: int, currency: str, key: str) -> str:
        intent_id = self._intent_of(provider_id)
        known = _said(lambda: self._client.v1.refunds.list({"payment_intent": intent_id, "limit": 100}))
        for refund in known.auto_paging_iter():  # a 500 that is stored under the key would hide it for ever
            if _meta(refund).get("key") == key:
                return refund.id
        made = _said(
            lambda: self._client.v1.refunds.create(
                {"payment_intent": intent_id, "amount": to_stripe(amount_minor, currency), "metadata": {"key": key}},
                {"idempotency_key": key},
            )
        )
        return made.id

    def address(self, provider_id: str) -> dict[str, str] | None:
        if not provider_id.startswith("cs_"):
            return None
        session = _said(lambda: self._client.v1.checkout.sessions.retrieve(provider_id))
        shipping = session.collected_information and session.collected_information.shipping_details
        if not shipping:
            return None
        at = shipping.address
        fields = {
            "name": shipping.name,
            "line1": at.line1,
            "line2": at.line2,
            "postal_code": at.postal_code,
            "city": at.city,
            "country": at.country,
        }
        return {name: value for name, value in fields.items() if value}

    def read(self, raw: bytes, signature: str | None, secrets: Sequence[str], wall: datetime) -> Notice:
        self._verify(raw, signature, secrets)
        stamps = [part[2:] for part in (signature or "").split(",") if part.startswith("t=")]  # the first one is signed
        if int(stamps[0]) > wall.timestamp() + TOLERANCE_S:  # the SDK refuses the past only
            raise WebhookRefused("The message is signed for the future.")
        event = json.loads(raw)
        about = _object(_object(event, "data"), "object")
        meta = _object(about, "metadata")
        event_id, kind = _object(event).get("id"), _object(event).get("type")
        if not isinstance(event_id, str) or not isinstance(kind, str):
            raise WebhookRefused("The message is no event.")
        if event.get("livemode") is not self._live:
            raise WebhookRefused("The message is of another mode than our key, live or test.")
        return Notice(
            event_id=event_id,
            type=kind,
            live=self._live,
            account=event.get("account"),
            tenant_id=_number(meta.get("tenant_id")),
            order_id=_number(meta.get("order_id")),
            key=meta.get("key"),
            object_id=about.get("id"),
        )

    def _verify(self, raw: bytes, signature: str | None, secrets: Sequence[str]) -> None:
        why = "no signing secret is set"
        for secret in secrets:
            try:
                self._client.construct_event(raw, signature, secret, TOLERANCE_S)
            except stripe.SignatureVerificationError as error:
                why = str(error.user_message)
            except (ValueError, TypeError, AttributeError, KeyError):
                why = "it cannot be read"
            else:
                return
        raise WebhookRefused(f"The message is not Stripe's: {why}.")

    def _charge_saved_card(self, ask: Ask) -> Charge:
        asked: PaymentIntentCreateParams = {
            "amount": to_stripe(ask.amount_minor, ask.currency),
            "currency": ask.currency.lower(),
            "customer": ask.customer or "",
            "payment_method": ask.payment_method or "",
            "confirm": True,  # its owner is here: 3-D Secure answers with a redirect, not with an error
            "capture_method": "manual",
            "return_url": ask.return_url,
            "description": f"{ask.part_name}, order {ask.number}",
            "metadata": _metadata(ask),
            "expand": EXPAND_INTENT,
        }
        return _from_intent(_said(lambda: self._client.v1.payment_intents.create(asked, {"idempotency_key": ask.key})))

    def _open_page(self, ask: Ask) -> Charge:
        items = [_line(ask.part_name, ask.amount_minor - ask.shipping_minor, ask.currency)]
        if ask.shipping_minor:
            items.append(_line("Shipping", ask.shipping_minor, ask.currency))
        asked: SessionCreateParams = {
            "mode": "payment",
            "line_items": items,
            "client_reference_id": ask.number,
            "metadata": _metadata(ask),
            "payment_intent_data": {
                "capture_method": "manual",
                "description": f"{ask.part_name}, order {ask.number}",
                "metadata": _metadata(ask),
            },
            "success_url": ask.return_url,
            "cancel_url": ask.return_url,
            "expand": EXPAND_SESSION,
        }
        if ask.expires_at:
            asked["expires_at"] = ask.expires_at
        if ask.customer:
            asked["customer"] = ask.customer
        if ask.save_card:
            asked["saved_payment_method_options"] = {"payment_method_save": "enabled"}
        if ask.countries:
            asked["shipping_address_collection"] = {"allowed_countries": list(ask.countries)}
        return _from_session(
            _said(lambda: self._client.v1.checkout.sessions.create(asked, {"idempotency_key": ask.key}))
        )

    def _intent_of(self, provider_id: str) -> str:
        if not provider_id.startswith("cs_"):
            return provider_id
        session = _said(lambda: self._client.v1.checkout.sessions.retrieve(provider_id))
        intent = session.payment_intent
        if intent is None:
            raise ProviderError(Trouble.REFUSED, "Nobody has paid on that page.")
        return intent if isinstance(intent, str) else intent.id


def _said(call: Callable[[], T]) -> T:
    """Make a call and turn what the SDK raises into what it means for us."""
    try:
        return call()
    except stripe.CardError as error:
        intent = getattr(error.error, "payment_intent", None)
        raise ProviderError(
            Trouble.DECLINED,
            error.user_message or "The card was declined.",
            _from_intent(intent) if intent else None,
        ) from error
    except stripe.IdempotencyError as error:
        raise ProviderError(
            Trouble.REFUSED, "This payment was asked for with another amount before. Nothing was charged."
        ) from error
    except stripe.InvalidRequestError as error:
        if error.param == "payment_method":
            raise ProviderError(Trouble.CARD_GONE, "The card you kept is no longer there.") from error
        if error.param == "customer" and error.code == "resource_missing":
            raise ProviderError(Trouble.CUSTOMER_GONE, "The payment provider no longer knows your card.") from error
        raise ProviderError(Trouble.REFUSED, f"The payment provider refused: {error.user_message}") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise ProviderError(Trouble.REFUSED, f"The payment provider refused: {error.user_message}") from error
    except stripe.StripeError as error:  # no connection, too many requests, 409 while the same key is at work, 5xx
        raise ProviderError(Trouble.INDETERMINATE, NO_ANSWER) from error


def _metadata(ask: Ask) -> dict[str, str]:
    return {
        "tenant_id": str(ask.tenant_id),
        "order_id": str(ask.order_id),
        "order": ask.number,
        "key": ask.key,
    }


def _line(name: str, amount_minor: int, currency: str) -> "SessionCreateParamsLineItem":
    return {
        "quantity": 1,
        "price_data": {
            "currency": currency.lower(),
            "unit_amount": to_stripe(amount_minor, currency),
            "product_data": {"name": name},
        },
    }


def _meta(thing: stripe.PaymentIntent | stripe.Refund | stripe.checkout.Session) -> dict[str, str]:
    return thing.metadata.to_dict() if thing.metadata else {}


def _object(value: Any, name: str | None = None) -> dict[str, Any]:
    """Return a JSON object, or the one that it holds under this name; an empty one where there is none."""
    inner = value.get(name) if name and isinstance(value, dict) else value
    return inner if isinstance(inner, dict) else {}


def _number(text: object) -> int | None:
    """Return a row's id as our metadata carries it."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 else None


def _from_intent(intent: stripe.PaymentIntent) -> Charge:
    currency = intent.currency.upper()
    action = intent.next_action and intent.next_action.redirect_to_url
    error = intent.last_payment_error
    method = intent.payment_method
    kept = isinstance(method, stripe.PaymentMethod) and method.customer and method.allow_redisplay == "always"
    card = method.card if isinstance(method, stripe.PaymentMethod) else None
    customer = intent.customer
    return Charge(
        provider_id=intent.id,
        key=_meta(intent).get("key"),
        state=INTENT_STATES.get(intent.status, Standing.INDETERMINATE),
        amount_minor=from_stripe(intent.amount, currency),
        currency=currency,
        url=action.url if action else None,
        error=(error.message if error else None),
        customer=customer.id if isinstance(customer, stripe.Customer) else customer,
        payment_method=method.id if isinstance(method, stripe.PaymentMethod) and kept else None,
        card=f"{card.brand.title()} ••{card.last4}" if card and kept else None,
    )


def _from_session(session: stripe.checkout.Session) -> Charge:
    currency = (session.currency or "").upper()
    amount = from_stripe(session.amount_total or 0, currency)
    key = _meta(session).get("key")
    if session.status == "complete" and isinstance(session.payment_intent, stripe.PaymentIntent):
        paid = _from_intent(session.payment_intent)
        return Charge(
            provider_id=session.id,
            key=key,
            state=paid.state,
            amount_minor=amount,
            currency=currency,
            error=paid.error,
            customer=paid.customer,
            payment_method=paid.payment_method,
            card=paid.card,
        )
    state = {"open": Standing.REQUIRES_ACTION, "expired": Standing.EXPIRED}.get(
        session.status or "", Standing.INDETERMINATE
    )
    return Charge(provider_id=session.id, key=key, state=state, amount_minor=amount, currency=currency, url=session.url)
