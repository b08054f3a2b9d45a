"""What commerce asks of a payment provider: one protocol, so that the rest never sees whose it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Standing(StrEnum):
    """How one attempt to charge stands; the words of payment.state."""

    CREATED = "created"  # the key is stored, the provider has not been heard
    INDETERMINATE = "indeterminate"  # asked without a clear answer; only the same key may ask again
    REQUIRES_ACTION = "requires_action"  # the owner goes on at `url`: payment page or 3-D Secure
    AUTHORISED = "authorised"  # held on the card, not taken
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Trouble(StrEnum):
    """What a provider's refusal means for what comes next."""

    DECLINED = "declined"  # this card does not pay; another may
    CARD_GONE = "card_gone"  # the saved card is no longer there; another may pay
    CUSTOMER_GONE = "customer_gone"  # the provider no longer knows who pays; it may be told anew
    INDETERMINATE = "indeterminate"  # nobody knows whether it happened: ask again with the same key, never another
    REFUSED = "refused"  # the request itself is wrong, or not permitted; asking again is pointless


class ProviderError(Exception):
    """The provider did not do what it was asked; the message may be read by an owner."""

    def __init__(self, trouble: Trouble, message: str, charge: "Charge | None" = None) -> None:
        self.trouble = trouble
        self.charge = charge
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Ask:
    """One attempt to charge, complete: what is stored beside its key, so that the same key asks the same again.

    With `payment_method` the saved card is charged with its owner present; without, a hosted page takes the money.
    `return_url` is stored and known to the provider: it must carry no token.
    """

    key: str
    tenant_id: int
    order_id: int
    number: str
    part_name: str
    amount_minor: int
    shipping_minor: int  # of the amount
    currency: str
    return_url: str
    customer: str | None = None
    payment_method: str | None = None
    save_card: bool = False  # the hosted page offers to keep the card
    countries: tuple[str, ...] = ()  # the hosted page asks where to ship to, among these; empty: the address on file
    expires_at: int | None = None  # Unix time at which the hosted page closes


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt as the provider tells it; amounts in ISO minor units."""

    provider_id: str
    key: str | None
    state: Standing
    amount_minor: int
    currency: str
    url: str | None = None
    error: str | None = None
    customer: str | None = None
    payment_method: str | None = None  # only when its owner agreed to keep it
    card: str | None = None  # brand and last four, as shown to its owner


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified message from the provider; says where to look, never what is true."""

    event_id: str
    type: str
    live: bool
    account: str | None
    tenant_id: int | None
    order_id: int | None
    key: str | None
    object_id: str | None


class Payments(Protocol):
    """A payment provider. Every call may raise ProviderError."""

    source: str
    closed: str | None  # why nothing can be ordered here; None: open

    def customer(self, email: str | None, reference: str) -> str:
        """Make a customer and return their id."""

    def ask(self, ask: Ask) -> Charge:
        """Charge the saved card, or open the hosted page; the amount is authorised, not captured."""

    def look(self, provider_id: str) -> Charge:
        """Return the attempt as it stands now."""

    def find(self, ask: Ask, since: datetime) -> Charge | None:
        """Return the attempt that was asked for under this key since then, if the provider knows one."""

    def capture(self, provider_id: str) -> Charge:
        """Take what is authorised; it can be taken once only, so this needs no key."""

    def call_off(self, provider_id: str) -> Charge:
        """Close the page or let go of the money, as far as that can be done, and return how it stands then."""

    def refund(self, provider_id: str, amount_minor: int, currency: str, key: str) -> str:
        """Give back part of what was captured, once for each key, and return the refund's id."""

    def address(self, provider_id: str) -> dict[str, str] | None:
        """Return the address its buyer gave on the hosted page: name, line1, postal_code, city, country."""

    def read(self, raw: bytes, signature: str | None, secrets: Sequence[str], wall: datetime) -> Notice:
        """Verify a message and return what it is about; raises WebhookRefused."""
