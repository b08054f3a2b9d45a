"""Money: whole minor units of ISO 4217, never a float; words for people from CLDR."""

from copy import copy
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from babel.core import Locale, UnknownLocaleError

# ISO 4217 gives these a number of minor digits other than two.
WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
DIGITS = dict.fromkeys(WHOLE.split(), 0) | dict.fromkeys(THOUSANDTHS.split(), 3)


def digits(currency: str) -> int:
    """Return how many digits a currency's minor unit has: 2 for EUR, 0 for JPY, 3 for KWD."""
    return DIGITS.get(currency, 2)


def major(minor: int, currency: str) -> Decimal:
    """Return an amount of minor units in major ones: 2490 EUR cents are 24.90."""
    return Decimal(minor).scaleb(-digits(currency))


def minor(amount: str, currency: str) -> int:
    """Read an amount such as "24.90" and return it in minor units.

    Raises ValueError when it is no number, is negative, or has more digits than the currency.
    """
    try:
        number = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount; write it like 24.90") from None
    scaled = number.scaleb(digits(currency)) if number.is_finite() else Decimal("NaN")
    if not number.is_finite() or number < 0 or scaled != scaled.to_integral_value():
        raise ValueError(f"{amount!r} is not an amount of {currency}, which has {digits(currency)} decimal digits")
    return int(scaled)


def tax_inside(gross_minor: int, tax_bp: int) -> int:
    """Return how much of a gross amount is tax, `tax_bp` being basis points of the net; half a unit rounds up."""
    net = Decimal(gross_minor) * 10_000 / (10_000 + tax_bp)
    return gross_minor - int(net.quantize(Decimal(1), ROUND_HALF_UP))


def words(amount_minor: int, currency: str, locale: str = "en") -> str:
    """Return an amount as a person of that locale writes it, with the digits of ISO 4217: 24,90 €, ￥1,280, KWD5.120.

    An unknown locale gets English.
    """
    try:
        spoken = Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        spoken = Locale("en")
    pattern = copy(spoken.currency_formats["standard"])
    pattern.frac_prec = (digits(currency), digits(currency))  # CLDR drops digits that ISO keeps, such as those of IQD
    return str(pattern.apply(major(amount_minor, currency), spoken, currency=currency, currency_digits=False))
