"""Which part fits (S41), and what a quote says."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from commerce import fit, quotes
from commerce.errors import NotHere
from commerce.fit import Fit, NoFit, Place
from tests.shop import Shop, add_part


def found(shop: Shop, **place: Any) -> Fit | NoFit:
    asked = {f: getattr(shop.place, f) for f in Place.__slots__} | place
    with shop.begin(shop.tenant_id) as conn:
        return fit.part_for(conn, Place(**asked), shop.now())


def sku(shop: Shop, **place: Any) -> str:
    part = found(shop, **place)
    assert isinstance(part, Fit)
    return part.sku


def why(shop: Shop, **place: Any) -> str:
    part = found(shop, **place)
    assert isinstance(part, NoFit)
    return part.reason


def more(shop: Shop, name: str, **given: Any) -> int:
    with shop.begin(shop.tenant_id) as conn:
        return add_part(conn, shop.tenant_id, shop.place.model_id, shop.slot_id, sku=name, name=name, **given)


def test_a_stated_fit_is_sold_with_its_offer(shop: Shop) -> None:
    """The part, its price and how soon it is there."""
    part = found(shop)
    assert isinstance(part, Fit)
    assert ("HEPA-1", 2490, 390, "EUR", 3.0) == (
        part.sku,
        part.price_minor,
        part.shipping_minor,
        part.currency,
        part.delivery_d,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from fitment", "No part is known for this slot yet."),
        ("update fitment set hw_rev = 'B'", "No part is known to fit hardware revision A."),
        ("update fitment set region = 'US'", "No part is known to fit in DE."),
        ("update fitment set serials = 'B'", "No part is known to fit this serial number."),
        ("update fitment set valid = tstzrange('2020-01-01', '2021-01-01')", "not sold at this time"),
        ("update offer set stock = 0", "HEPA filter fits, but is out of stock."),
        ("update offer set region = 'US'", "HEPA filter fits, but is not sold in DE."),
        ("update offer set valid = tstzrange('2020-01-01', '2021-01-01')", "HEPA filter fits, but is not sold in DE."),
        ("update part set lifecycle = 'announced'", "HEPA filter fits, but is not sold yet."),
        ("update part set lifecycle = 'discontinued'", "HEPA filter is no longer made"),
    ],
)
def test_what_does_not_fit_or_is_not_sold_gets_an_honest_no(shop: Shop, change: str, said: str) -> None:
    """S41: never a guess, always the reason."""
    shop.sql(change)
    assert said in why(shop, hw_rev="A")


def test_made_to_order_is_never_out_of_stock_and_last_buy_is_sold(shop: Shop) -> None:
    """No stock is no limit; a part on last buy is still there."""
    shop.sql("update offer set stock = null")
    shop.sql("update part set lifecycle = 'last_buy'")
    assert "HEPA-1" == sku(shop)


def test_a_successor_is_sold_where_it_is_stated_to_fit(shop: Shop) -> None:
    """S41: superseded by a part that fits: that one; while that is out of stock: the one before, still made."""
    successor = more(shop, "HEPA-2")
    shop.sql("update part set superseded_by = %s where sku = 'HEPA-1'", successor)
    assert "HEPA-2" == sku(shop)
    shop.sql("update offer set stock = 0 where part_id = %s", successor)
    assert "HEPA-1" == sku(shop)


def test_a_successor_that_nobody_stated_to_fit_is_no_fit(shop: Shop) -> None:
    """S41: supersession alone proves nothing."""
    successor = more(shop, "HEPA-2")
    shop.sql("delete from fitment where part_id = %s", successor)
    shop.sql("update part set superseded_by = %s, lifecycle = 'discontinued' where sku = 'HEPA-1'", successor)
    assert "no successor is known to fit" in why(shop)


def test_a_circle_of_successors_ends(shop: Shop) -> None:
    """Two parts that each say to be superseded by the other: one of them is sold."""
    other = more(shop, "HEPA-2")
    shop.sql("update part set superseded_by = %s where sku = 'HEPA-1'", other)
    shop.sql(
        "update part set superseded_by = (select part_id from part where sku = 'HEPA-1') where part_id = %s", other
    )
    assert sku(shop) in ("HEPA-1", "HEPA-2")


def test_the_preferred_part_wins_and_then_the_row_that_knows_more(shop: Shop) -> None:
    """Preference first; among equals the row that names the revision, the region, the longest serial."""
    exact = more(shop, "HEPA-B")
    shop.sql("update fitment set hw_rev = 'B' where part_id = %s", exact)
    assert ("HEPA-1", "HEPA-B") == (sku(shop, hw_rev="A"), sku(shop, hw_rev="B"))
    shop.sql("update fitment set preference = 200 where part_id = %s", exact)
    assert "HEPA-1" == sku(shop, hw_rev="B")


def test_a_percent_sign_in_a_serial_is_a_character(shop: Shop) -> None:
    """A prefix is compared as it is written."""
    shop.sql("update fitment set serials = '%%'")
    assert "this serial number" in why(shop)
    assert "HEPA-1" == sku(shop, serial="%%1")


def test_another_tenants_slot_has_no_fit(shop: Shop) -> None:
    """Nothing of one tenant's catalogue is sold by another."""
    assert isinstance(found(shop, tenant_id=shop.tenant_id + 1), NoFit)


def test_two_statements_about_the_same_at_the_same_time_are_refused(shop: Shop) -> None:
    """The database keeps fitments from overlapping."""
    with pytest.raises(psycopg.errors.ExclusionViolation):
        shop.sql(
            """insert into fitment (tenant_id, part_id, model_id, slot_id)
               select tenant_id, part_id, model_id, slot_id from fitment"""
        )


def test_a_quote_says_price_shipping_and_the_tax_inside(shop: Shop) -> None:
    """19 % inside 28.80 are 4.60."""
    quote = shop.quote()
    assert (2490, 390, 2880, 460) == (quote.price_minor, quote.shipping_minor, quote.total_minor, quote.tax_minor)


def test_the_same_quote_is_shown_again_while_it_lives(shop: Shop) -> None:
    """A page that is opened twenty times makes one; another price makes another, and so does the quote's end."""
    first = shop.quote()
    assert {first.quote_id} == {shop.quote().quote_id for _ in range(20)}
    shop.sql("update offer set price_minor = 2990")
    second = shop.quote()
    assert second.quote_id != first.quote_id
    shop.shift += timedelta(hours=23, minutes=30)
    assert shop.quote().quote_id not in (first.quote_id, second.quote_id)


def test_no_quote_is_not_here(shop: Shop) -> None:
    """An id that nobody gave out."""
    with shop.begin(shop.tenant_id) as conn, pytest.raises(NotHere):
        quotes.get(conn, 999)


def test_a_successor_that_is_out_of_stock_is_the_reason(shop: Shop) -> None:
    """The part is no longer made and its successor fits, but is sold out: no word of a successor that nobody knows."""
    new = more(shop, "HEPA filter 2", stock=0)
    shop.sql("update part set lifecycle = 'discontinued', superseded_by = %s where sku = 'HEPA-1'", new)
    assert "HEPA filter 2 fits, but is out of stock." == why(shop)
