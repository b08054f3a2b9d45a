"""S21: what is charged has the minor units of its currency."""

import pytest

from commerce import money
from commerce.errors import CannotPay
from tests.shop import Shop


@pytest.mark.parametrize(
    ("asked", "charged", "shown"),
    [
        (("JPY", 1280, 400), 1680, "¥1,680"),
        (("KWD", 5120, 500), 5620, "KWD5.620"),
        (("ISK", 4500, 0), 450_000, "ISK4,500"),
    ],
)
@pytest.mark.parametrize("card", [True, False], ids=["saved card", "payment page"])
def test_s21_the_amount_charged_is_the_amount_shown(
    shop: Shop, asked: tuple[str, int, int], charged: int, shown: str, card: bool
) -> None:
    """S21: yen have no minor unit, dinars have three digits, krónur are counted in hundredths by Stripe."""
    if card:
        shop.save_card()
    shop.sql("update offer set currency = %s, price_minor = %s, shipping_minor = %s", *asked)
    quote = shop.quote()
    assert shown == money.words(quote.total_minor, quote.currency)
    desk = shop.desk()
    placed = shop.tap(desk, quote)
    if placed.go_to:
        shop.standin.pay(placed.go_to)
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    assert [(charged, asked[0].lower())] == [(i["amount"], i["currency"]) for i in shop.standin.intents()]


def test_s21_an_amount_no_card_can_be_charged_is_refused_and_nothing_stays_open(shop: Shop) -> None:
    """S21: a price of 5.125 dinars is told before any charge, and the order does not block the slot."""
    shop.save_card()
    shop.sql("update offer set currency = 'KWD', price_minor = 5125, shipping_minor = 0")
    with pytest.raises(CannotPay, match="finer"):
        shop.tap()
    assert ["cancelled"] == [str(o.state) for o in shop.orders()]
    assert [] == shop.standin.intents()
