"""Customers and the cards they keep."""

from typing import Any

from commerce.standin import cards
from commerce.standin.books import Books, Thing
from commerce.standin.refusal import Refusal


def create(books: Books, asked: dict[str, Any]) -> Thing:
    customer = books.add(
        "cus_",
        email=asked.get("email"),
        name=asked.get("name"),
        metadata=asked.get("metadata") or {},
        invoice_settings={"default_payment_method": None},
    )
    books.tell("customer.created", customer)
    return customer


def attach(books: Books, asked: dict[str, Any], method_id: str) -> Thing:
    customer = books.get("customer", asked.get("customer"))
    kept = cards.method(books, method_id)
    if kept["customer"] not in (None, customer["id"]):
        raise Refusal("The payment method is attached to another customer.", param="payment_method")
    kept["customer"] = customer["id"]
    books.tell("payment_method.attached", kept)
    return kept


def detach(books: Books, _asked: dict[str, Any], method_id: str) -> Thing:
    kept = cards.method(books, method_id)
    kept.update(customer=None, allow_redisplay="unspecified")
    books.private[method_id] = {"detached": True}
    books.tell("payment_method.detached", kept)
    return kept
