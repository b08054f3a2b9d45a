"""Money: ISO 4217 minor units, tax inside, words for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce import money
from commerce.payments import ProviderError
from commerce.stripe_amounts import from_stripe, to_stripe

CURRENCIES = ("EUR", "USD", "JPY", "KWD", "ISK", "UGX", "MGA", "CLP")


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "said"),
    [
        (2490, "EUR", "de", "24,90\xa0€"),
        (2000, "EUR", "de-DE", "20,00\xa0€"),
        (1280, "JPY", "ja", "￥1,280"),
        (5120, "KWD", "en", "KWD5.120"),
        (1000, "IQD", "en", "IQD1.000"),
        (123456, "EUR", "xx-YY", "€1,234.56"),
        (0, "EUR", "en", "€0.00"),
    ],
)
def test_an_amount_is_written_as_its_reader_writes_it(amount: int, currency: str, locale: str, said: str) -> None:
    """No digit that ISO 4217 keeps is dropped, and none is invented."""
    assert said == money.words(amount, currency, locale)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("24.90", "EUR", 2490), ("24.9", "EUR", 2490), ("1280", "JPY", 1280), ("5.12", "KWD", 5120)],
)
def test_an_amount_is_read_in_minor_units(text: str, currency: str, minor: int) -> None:
    """As a catalogue writes it."""
    assert minor == money.minor(text, currency)


@pytest.mark.parametrize("text", ["24,90", "", "-1", "NaN", "Infinity", "24.905", "1e"])
def test_what_is_no_amount_is_refused_with_a_reason(text: str) -> None:
    """A comma, a sign, too many digits."""
    with pytest.raises(ValueError, match="is not an amount"):
        money.minor(text, "EUR")


def test_yen_have_no_digits_after_the_point() -> None:
    """S21: half a yen is refused, not rounded."""
    with pytest.raises(ValueError, match="0 decimal digits"):
        money.minor("1280.50", "JPY")


@pytest.mark.parametrize(
    ("gross", "bp", "tax"), [(2880, 1900, 460), (119, 1900, 19), (100, 0, 0), (1, 5000, 0), (1070, 700, 70)]
)
def test_tax_is_inside_the_price(gross: int, bp: int, tax: int) -> None:
    """Basis points are of the net; half a unit of net rounds up."""
    assert tax == money.tax_inside(gross, bp)


@given(st.integers(1, 10**9), st.integers(0, 5000))
def test_tax_is_never_more_than_the_price(gross: int, bp: int) -> None:
    """Nor negative; and without a rate there is none."""
    assert 0 <= money.tax_inside(gross, bp) < gross or gross == 1
    assert 0 == money.tax_inside(gross, 0)


@given(st.integers(1, 10**8), st.sampled_from(CURRENCIES))
def test_what_stripe_is_asked_for_is_what_was_shown(amount: int, currency: str) -> None:
    """S21: to Stripe's unit and back is the same, or it is refused before anything is asked."""
    try:
        units = to_stripe(amount, currency)
    except ProviderError:
        assert currency in ("KWD", "MGA")
        return
    assert amount == from_stripe(units, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "units"), [(1280, "JPY", 1280), (5120, "KWD", 5120), (500, "ISK", 50_000), (200, "MGA", 2)]
)
def test_stripes_special_units(amount: int, currency: str, units: int) -> None:
    """S21: where Stripe counts otherwise than ISO."""
    assert units == to_stripe(amount, currency)


def test_a_fils_too_fine_for_cards_is_refused() -> None:
    """Cards charge Kuwaiti dinars in steps of ten fils."""
    with pytest.raises(ProviderError, match="finer"):
        to_stripe(5125, "KWD")
