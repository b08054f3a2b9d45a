"""What commerce refuses, in sentences that an owner may read."""


class CommerceError(Exception):
    """Something about a part, an order or a payment cannot be done; the message says why."""


class NotHere(CommerceError):
    """What was asked for does not exist, or belongs to someone else."""


class Closed(CommerceError):
    """Nothing can be ordered here; the message says why."""


class QuoteExpired(CommerceError):
    """The price shown is no longer held; nothing was charged. Ask for a new quote."""


class OutOfStock(CommerceError):
    """The last one was sold a moment ago; nothing was charged."""


class AlreadyOrdered(CommerceError):
    """Somebody is ordering, or has ordered, a part for this slot; nothing was charged."""


class NotAllowed(CommerceError):
    """The order is not in a state from which this can be done."""


class CannotPay(CommerceError):
    """The payment provider refused; nothing was charged."""


class RefundRefused(CommerceError):
    """More would go back than was charged."""


class Unsettled(CommerceError):
    """The payment provider did not answer; the same question will be asked again under the same key."""


class WebhookRefused(CommerceError):
    """A message did not come from the payment provider, or not just now; it had no effect."""
