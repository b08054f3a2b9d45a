"""Amounts as Stripe counts them: for most currencies in ISO's minor units, for some in others."""

from commerce import money
from commerce.payments import ProviderError, Trouble

# Where Stripe's minor unit is not ISO's: https://docs.stripe.com/currencies#special-cases
STRIPE_DIGITS = {"ISK": 2, "UGX": 2, "MGA": 0}


def to_stripe(amount_minor: int, currency: str) -> int:
    """Return an ISO amount in the unit that Stripe counts; raises ProviderError when Stripe has none so small."""
    finer = STRIPE_DIGITS.get(currency, money.digits(currency)) - money.digits(currency)
    units, rest = divmod(amount_minor * _ten_to(finer), _ten_to(-finer))
    if rest or (money.digits(currency) == 3 and units % 10):  # three-decimal currencies end in 0
        raise ProviderError(
            Trouble.REFUSED, f"{money.words(amount_minor, currency)} is finer than cards can be charged."
        )
    return units


def from_stripe(units: int, currency: str) -> int:
    """Return an amount that Stripe tells in ISO minor units."""
    finer = STRIPE_DIGITS.get(currency, money.digits(currency)) - money.digits(currency)
    return units * _ten_to(-finer) // _ten_to(finer)


def _ten_to(power: int) -> int:
    return int("1" + "0" * power)  # at least 1: a negative power adds no zeros
