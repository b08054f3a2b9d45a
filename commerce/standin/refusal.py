"""Errors as Stripe words them."""

from typing import Any

from commerce.standin.books import Thing


class Refusal(Exception):
    """An answer that is not 200; `extra` joins the error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **extra: Any,
    ) -> None:
        self.status = status
        given = {"code": code, "param": param, **extra}
        self.body: Thing = {
            "error": {"type": kind, "message": message, **{k: v for k, v in given.items() if v is not None}}
        }
        super().__init__(message)


def unexpected_state(intent: Thing, verb: str) -> Refusal:
    """Say that an intent's status does not permit this."""
    return Refusal(
        f"This PaymentIntent could not be {verb} because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )
