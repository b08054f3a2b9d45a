"""Checkout Sessions: a hosted page that takes the card, the address, and the consent to keep the card."""

from typing import Any

from commerce.standin import cards, intents
from commerce.standin.books import Books, Thing
from commerce.standin.cards import TestCard
from commerce.standin.refusal import Refusal

SHORTEST_S, LONGEST_S = 30 * 60, 24 * 3_600


def create(books: Books, asked: dict[str, Any]) -> Thing:
    if asked.get("mode") != "payment":
        raise Refusal("The stand-in opens sessions in payment mode only.", param="mode")
    if not asked.get("success_url"):
        raise Refusal("A hosted page needs a success_url.", code="parameter_missing", param="success_url")
    items = asked.get("line_items") or []
    if not items or any("price_data" not in item for item in items):
        raise Refusal("line_items with price_data are needed.", code="parameter_missing", param="line_items")
    currencies = {item["price_data"]["currency"] for item in items}
    if len(currencies) != 1:
        raise Refusal("All line items need the same currency.", param="line_items")
    if asked.get("customer"):
        books.get("customer", asked["customer"], "customer")
    expires_at = asked.get("expires_at", books.now() + LONGEST_S)
    if not SHORTEST_S <= expires_at - books.now() <= LONGEST_S:
        raise Refusal(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    total = sum(item["price_data"]["unit_amount"] * item.get("quantity", 1) for item in items)
    intents.check_amount(total, *currencies)
    session = books.add(
        "cs_test_",
        mode="payment",
        status="open",
        payment_status="unpaid",
        amount_total=total,
        amount_subtotal=total,
        currency=next(iter(currencies)),
        customer=asked.get("customer"),
        client_reference_id=asked.get("client_reference_id"),
        metadata=asked.get("metadata") or {},
        payment_intent=None,
        success_url=asked["success_url"],
        cancel_url=asked.get("cancel_url"),
        expires_at=expires_at,
        collected_information=None,
        customer_details=None,
        shipping_address_collection=asked.get("shipping_address_collection"),
        saved_payment_method_options=asked.get("saved_payment_method_options"),
        url=None,
    )
    session["url"] = f"{books.page_url}/pay/{session['id']}"
    books.private[session["id"]] = {"items": items, "intent": asked.get("payment_intent_data") or {}}
    return session


def expire(books: Books, _asked: dict[str, Any], session_id: str) -> Thing:
    session = books.get("checkout.session", session_id)
    if session["status"] != "open":
        raise Refusal(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    session.update(status="expired", url=None)
    begun = books.find("payment_intent", session["payment_intent"])
    if begun is not None:
        intents.cancel(books, {}, begun["id"])
    books.tell("checkout.session.expired", session)
    return session


def expire_old(books: Books) -> None:
    """Expire the sessions whose time is over."""
    for session in list(books.every("checkout.session")):
        if session["status"] == "open" and session["expires_at"] <= books.clock():
            expire(books, {}, session["id"])


def pay(books: Books, session: Thing, card: TestCard, keep: bool, address: dict[str, str] | None) -> str:
    """Pay a session with a card and return where the payer goes next: 3-D Secure or back.

    Raises Refusal when the card does not pay; the session stays open then.
    """
    if session["status"] != "open":
        raise Refusal("This page is closed.")
    wants = books.private[session["id"]]["intent"]
    keep = keep and session["customer"] is not None and bool(session["saved_payment_method_options"])
    if address is not None:
        place = {"line2": None, "state": None} | {key: value for key, value in address.items() if key != "name"}
        session["collected_information"] = {"shipping_details": {"name": address["name"], "address": place}}
    intent = books.find("payment_intent", session["payment_intent"]) or intents.new(
        books,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        capture_method=wants.get("capture_method", "automatic_async"),
        description=wants.get("description"),
        metadata=wants.get("metadata") or {},
    )
    method = cards.method_of(books, card, session["customer"] if keep else None, "always" if keep else "limited")
    intent["payment_method"] = method["id"]
    session["payment_intent"] = intent["id"]
    if card.decline and not card.first_only:
        raise intents.decline(books, intent, card.decline)
    if card.secure:
        intents.require_action(books, intent, session["success_url"])
        return str(intent["next_action"]["redirect_to_url"]["url"])
    intents.hold(books, intent)
    return complete(books, session)


def complete(books: Books, session: Thing) -> str:
    """Close a session whose card holds the money, and return where its payer goes back to."""
    paid = books.things[session["payment_intent"]]["status"] == "succeeded"
    session.update(status="complete", payment_status="paid" if paid else "unpaid", url=None)
    books.tell("checkout.session.completed", session)
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
