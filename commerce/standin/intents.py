"""Payment intents: confirmed, perhaps after 3-D Secure, then captured or cancelled."""

from typing import Any

from commerce.standin import cards
from commerce.standin.books import Books, Thing
from commerce.standin.cards import BY_TOKEN as TOKENS
from commerce.standin.refusal import Refusal, unexpected_state

THREE_DECIMALS = {"bhd", "jod", "kwd", "omr", "tnd"}
AUTHENTICATION_FAILED = {
    "code": "payment_intent_authentication_failure",
    "type": "invalid_request_error",
    "message": "The bank could not confirm that it is you. Please use another card.",
}


def create(books: Books, asked: dict[str, Any]) -> Thing:
    check_amount(asked["amount"], asked["currency"])
    customer = asked.get("customer")
    if customer is not None:
        books.get("customer", customer, "customer")
    if asked.get("off_session") and not asked.get("confirm"):
        raise Refusal("off_session needs confirm.", param="off_session")
    intent = new(
        books,
        amount=asked["amount"],
        currency=asked["currency"],
        customer=customer,
        capture_method=asked.get("capture_method", "automatic_async"),
        description=asked.get("description"),
        metadata=asked.get("metadata") or {},
    )
    if asked.get("payment_method"):
        intent["payment_method"] = _method_for(books, intent, asked["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    books.tell("payment_intent.created", intent)
    return _confirm(books, intent, asked) if asked.get("confirm") else intent


def new(books: Books, **fields: Any) -> Thing:
    """Enter an intent that nobody has confirmed."""
    return books.add(
        "pi_",
        **fields,
        status="requires_payment_method",
        payment_method=None,
        amount_capturable=0,
        amount_received=0,
        latest_charge=None,
        next_action=None,
        last_payment_error=None,
        cancellation_reason=None,
        canceled_at=None,
        client_secret="not-a-secret",  # noqa: S106  # nothing here is
        shipping=None,
        return_url=None,
    )


def confirm(books: Books, asked: dict[str, Any], intent_id: str) -> Thing:
    intent = books.get("payment_intent", intent_id)
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise unexpected_state(intent, "confirmed")
    if asked.get("payment_method"):
        intent["payment_method"] = _method_for(books, intent, asked["payment_method"])["id"]
    return _confirm(books, intent, asked)


def capture(books: Books, asked: dict[str, Any], intent_id: str) -> Thing:
    intent = books.get("payment_intent", intent_id)
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, "captured")
    amount: int = asked.get("amount_to_capture") or intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        raise Refusal(
            "amount_to_capture is more than what is held.", code="amount_too_large", param="amount_to_capture"
        )
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    charge = books.things[intent["latest_charge"]]
    charge.update(captured=True, amount_captured=amount)
    books.tell("charge.captured", charge)
    books.tell("payment_intent.succeeded", intent)
    return intent


def cancel(books: Books, asked: dict[str, Any], intent_id: str) -> Thing:
    intent = books.get("payment_intent", intent_id)
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise unexpected_state(intent, "canceled")
    open_page = any(s["payment_intent"] == intent_id and s["status"] == "open" for s in books.every("checkout.session"))
    if open_page:
        raise Refusal("You cannot cancel this PaymentIntent because its Checkout Session is open; expire that.")
    intent.update(
        status="canceled",
        amount_capturable=0,
        next_action=None,
        canceled_at=books.now(),
        cancellation_reason=asked.get("cancellation_reason"),
    )
    books.tell("payment_intent.canceled", intent)
    return intent


def authenticate(books: Books, intent: Thing, passed: bool) -> None:
    """Record what came of 3-D Secure."""
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, "authenticated")
    intent["next_action"] = None
    if passed:
        hold(books, intent)
    else:
        intent.update(status="requires_payment_method", last_payment_error=dict(AUTHENTICATION_FAILED))
        books.tell("payment_intent.payment_failed", intent)


def hold(books: Books, intent: Thing) -> None:
    """Let the card hold the amount, and take it where capture is automatic."""
    charge = books.add(
        "ch_",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        metadata=dict(intent["metadata"]),
        paid=True,
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
        refunded=False,
        status="succeeded",
    )
    intent.update(
        status="requires_capture",
        amount_capturable=intent["amount"],
        latest_charge=charge["id"],
        last_payment_error=None,
        next_action=None,
    )
    if intent["capture_method"] == "manual":
        books.tell("payment_intent.amount_capturable_updated", intent)
    else:
        capture(books, {}, intent["id"])


def decline(books: Books, intent: Thing, reason: str) -> Refusal:
    """Record that the card does not pay, and return the error that says so."""
    intent.update(
        status="requires_payment_method",
        next_action=None,
        last_payment_error={
            "type": "card_error",
            "code": "card_declined",
            "decline_code": reason,
            "message": cards.MESSAGES[reason],
        },
    )
    books.tell("payment_intent.payment_failed", intent)
    return Refusal(
        cards.MESSAGES[reason],
        status=402,
        kind="card_error",
        code="card_declined",
        decline_code=reason,
        payment_intent=intent,
    )


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that Stripe would."""
    if amount < 1:
        raise Refusal("Amount must be positive.", code="parameter_invalid_integer", param="amount")
    if currency != currency.lower() or len(currency) != 3:
        raise Refusal(f"Invalid currency: {currency}.", param="currency")
    if currency in THREE_DECIMALS and amount % 10:
        raise Refusal(f"Amounts in {currency} must be multiples of 10.", param="amount")


def _method_for(books: Books, intent: Thing, method_id: str) -> Thing:
    if method_id not in TOKENS and books.find("payment_method", method_id) is None:
        raise Refusal(f"No such PaymentMethod: '{method_id}'", code="resource_missing", param="payment_method")
    chosen = cards.method(books, method_id)
    if method_id in books.private:
        raise Refusal(
            "The provided PaymentMethod was detached from a Customer. It may not be used again.", param="payment_method"
        )
    if chosen["customer"] is not None and chosen["customer"] != intent["customer"]:
        raise Refusal(
            "The PaymentMethod does not belong to this Customer.",
            code="payment_method_customer_mismatch",
            param="payment_method",
        )
    return chosen


def _confirm(books: Books, intent: Thing, asked: dict[str, Any]) -> Thing:
    if not intent["payment_method"]:
        raise Refusal("A payment method is needed to confirm.", code="payment_intent_unexpected_state")
    card = cards.card_of(books.things[intent["payment_method"]])
    if card.decline:
        raise decline(books, intent, card.decline)
    if not card.secure:
        hold(books, intent)
        return intent
    if asked.get("off_session"):
        intent["status"] = "requires_payment_method"
        raise Refusal(
            "Your card was declined. This transaction requires authentication.",
            status=402,
            kind="card_error",
            code="authentication_required",
            decline_code="authentication_required",
            payment_intent=intent,
        )
    if not asked.get("return_url"):
        raise Refusal("A return_url is needed where 3-D Secure may redirect.", param="return_url")
    require_action(books, intent, asked["return_url"])
    return intent


def require_action(books: Books, intent: Thing, return_url: str) -> None:
    """Send the payer to the 3-D Secure page."""
    intent.update(
        status="requires_action",
        return_url=return_url,
        next_action={
            "type": "redirect_to_url",
            "redirect_to_url": {"url": f"{books.page_url}/secure/{intent['id']}", "return_url": return_url},
        },
    )
    books.tell("payment_intent.requires_action", intent)
