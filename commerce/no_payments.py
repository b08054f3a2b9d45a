"""No payment provider: says honestly that nothing can be ordered here."""

from typing import NoReturn

from commerce.errors import WebhookRefused
from commerce.payments import ProviderError, Trouble

WHY = "Nothing can be ordered here yet: no payment provider is set up."


def _refuse(_self: "NoPayments", *_asked: object, **_named: object) -> NoReturn:
    raise ProviderError(Trouble.REFUSED, WHY)


def _refuse_webhook(_self: "NoPayments", *_asked: object, **_named: object) -> NoReturn:
    raise WebhookRefused(WHY)


class NoPayments:
    """The null adapter of Payments; `closed` holds the sentence that pages show in place of the button."""

    source = "none"
    closed: str | None = WHY

    customer = ask = look = find = capture = call_off = refund = address = _refuse
    read = _refuse_webhook
