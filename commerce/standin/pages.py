"""The pages a payer sees: the hosted page, 3-D Secure, and the ledger of what was paid."""

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from commerce import money
from commerce.standin import intents, sessions
from commerce.standin.books import Books, Thing
from commerce.standin.cards import BY_TOKEN, CARDS
from commerce.standin.refusal import Refusal

NOBODY = dict.fromkeys(("name", "line1", "postal_code", "city", "country"), "")
_templates = Environment(
    loader=PackageLoader("commerce.standin", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class Elsewhere(Exception):
    """The payer goes on at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(url)


def css() -> str:
    return (resources.files("commerce.standin") / "pages" / "standin.css").read_text("utf-8")


def show_session(books: Books, session_id: str, error: str | None = None, given: dict[str, str] | None = None) -> str:
    """Return the hosted page of a session; raises Unknown."""
    session = books.get("checkout.session", session_id)
    if session["status"] != "open":
        why = "It was paid already." if session["status"] == "complete" else "Its time is over; nothing was charged."
        return _render("closed.html", why=why, back=session["cancel_url"] or session["success_url"])
    given = given or {}
    tried = books.find("payment_intent", session["payment_intent"])
    if error is None and tried is not None and tried["last_payment_error"]:
        error = tried["last_payment_error"]["message"]
    shipping = session["shipping_address_collection"]
    return _render(
        "pay.html",
        total=_amount(session["amount_total"], session["currency"]),
        items=[
            (
                item["price_data"].get("product_data", {}).get("name", "Item"),
                _amount(item["price_data"]["unit_amount"] * item.get("quantity", 1), session["currency"]),
            )
            for item in books.private[session_id]["items"]
        ],
        cards=CARDS,
        chosen=given.get("card", CARDS[0].token),
        countries=shipping["allowed_countries"] if shipping else [],
        address=NOBODY | given,
        offers_to_keep=bool(session["saved_payment_method_options"]) and session["customer"] is not None,
        keep=bool(given.get("keep")),
        cancel_url=session["cancel_url"],
        error=error,
    )


def pay_session(books: Books, session_id: str, given: dict[str, str]) -> str:
    """Pay a session as its form says; returns the page again with the reason when that fails, raises Elsewhere else."""
    session = books.get("checkout.session", session_id)
    card = BY_TOKEN.get(given.get("card", ""))
    address = {name: given.get(name, "").strip() for name in NOBODY} if session["shipping_address_collection"] else None
    if card is None:
        return show_session(books, session_id, "Please choose a card.", given)
    if address is not None and not all(address.values()):
        return show_session(books, session_id, "Please say where to ship to.", given)
    try:
        url = sessions.pay(books, session, card, bool(given.get("keep")), address)
    except Refusal as refusal:
        return show_session(books, session_id, str(refusal), given)
    raise Elsewhere(url)


def show_secure(books: Books, intent_id: str) -> str:
    """Return the 3-D Secure page of an intent; raises Unknown."""
    intent = books.get("payment_intent", intent_id)
    if intent["status"] != "requires_action":
        return _render("closed.html", why="There is nothing to confirm.", back=intent["return_url"])
    return _render("secure.html", total=_amount(intent["amount"], intent["currency"]))


def answer_secure(books: Books, intent_id: str, passed: bool) -> str:
    """Record what the payer answered to 3-D Secure; raises Elsewhere."""
    intent = books.get("payment_intent", intent_id)
    if intent["status"] != "requires_action":
        return show_secure(books, intent_id)
    intents.authenticate(books, intent, passed)
    session = next((s for s in books.every("checkout.session") if s["payment_intent"] == intent_id), None)
    if session is None:
        word = "succeeded" if passed else "failed"
        join = "&" if "?" in intent["return_url"] else "?"
        raise Elsewhere(f"{intent['return_url']}{join}payment_intent={intent_id}&redirect_status={word}")
    if passed:
        raise Elsewhere(sessions.complete(books, session))
    raise Elsewhere(f"{books.page_url}/pay/{session['id']}")


def show_ledger(books: Books) -> str:
    """Return what was paid and given back, newest first."""
    rows = [
        {
            "what": intent["description"] or intent["id"],
            "status": intent["status"].replace("_", " "),
            "amount": _amount(intent["amount"], intent["currency"]),
            "taken": _amount(intent["amount_received"], intent["currency"]),
            "back": _amount(_given_back(books, intent), intent["currency"]),
        }
        for intent in books.every("payment_intent")
    ]
    return _render("ledger.html", rows=rows)


def _given_back(books: Books, intent: Thing) -> int:
    return sum(r["amount"] for r in books.every("refund") if r["payment_intent"] == intent["id"])


def _amount(units: int, currency: str) -> str:
    return money.words(units, currency.upper())


def _render(name: str, **values: Any) -> str:
    return _templates.get_template(name).render(**values)
