"""Refunds, with a ledger: never more goes back than was captured."""

from typing import Any

from commerce.standin.books import Books, Thing
from commerce.standin.refusal import Refusal, unexpected_state


def create(books: Books, asked: dict[str, Any]) -> Thing:
    intent = books.get("payment_intent", asked.get("payment_intent"))
    if intent["status"] != "succeeded":
        raise unexpected_state(intent, "refunded")
    charge = books.things[intent["latest_charge"]]
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not left:
        raise Refusal(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = asked.get("amount", left)
    if not 0 < amount <= left:
        raise Refusal(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).",
            code="amount_too_large",
            param="amount",
        )
    refund = books.add(
        "re_",
        amount=amount,
        charge=charge["id"],
        currency=intent["currency"],
        metadata=asked.get("metadata") or {},
        payment_intent=intent["id"],
        reason=asked.get("reason"),
        status="succeeded",
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    books.tell("refund.created", refund)
    books.tell("charge.refunded", charge)
    return refund
