"""The test cards, each with what it does; numbers and tokens as at Stripe."""

from dataclasses import dataclass

from commerce.standin.books import Books, Thing


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card of the stand-in; `decline` is why it does not pay, `first_only` that it does pay once, at checkout."""

    __test__ = False

    token: str
    number: str
    label: str
    decline: str | None = None
    secure: bool = False
    first_only: bool = False
    brand: str = "visa"


CARDS = (
    TestCard("pm_card_visa", "4242 4242 4242 4242", "pays"),
    TestCard("pm_card_authenticationRequired", "4000 0027 6000 3184", "asks for 3-D Secure each time", secure=True),
    TestCard("pm_card_chargeDeclined", "4000 0000 0000 0002", "is declined", "generic_decline"),
    TestCard("pm_card_chargeDeclinedInsufficientFunds", "4000 0000 0000 9995", "has no funds", "insufficient_funds"),
    TestCard(
        "pm_card_chargeCustomerFail",
        "4000 0000 0000 0341",
        "pays now, and is declined when it was saved",
        "generic_decline",
        first_only=True,
    ),
)
BY_TOKEN = {card.token: card for card in CARDS}
MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
}


def method_of(books: Books, card: TestCard, customer: str | None = None, redisplay: str = "unspecified") -> Thing:
    """Enter a payment method for a test card."""
    return books.add(
        "pm_",
        type="card",
        customer=customer,
        allow_redisplay=redisplay,
        billing_details={"address": None, "email": None, "name": None, "phone": None},
        card={
            "brand": card.brand,
            "last4": card.number[-4:],
            "exp_month": 12,
            "exp_year": 2034,
            "country": "DE",
            "funding": "credit",
        },
        metadata={},
    )


def card_of(method: Thing) -> TestCard:
    """Return the test card that a payment method is of."""
    return next(c for c in CARDS if c.number.endswith(method["card"]["last4"]))


def method(books: Books, method_id: str) -> Thing:
    """Return a payment method; a card's token makes a new one, as at Stripe."""
    if method_id in BY_TOKEN:
        return method_of(books, BY_TOKEN[method_id])
    return books.get("payment_method", method_id)
