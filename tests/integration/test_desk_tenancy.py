"""The desk in the web's own role: one tenant in each transaction, and no other is seen."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commerce.errors import NotHere
from gateway.db import pool
from tests.shop import SECRET, Shop


@pytest.fixture
def web(shop: Shop) -> Iterator[ConnectionPool]:
    with pool.open_pool(shop.dsn, pool.Role.APP, size=2) as connections:
        yield connections


def test_the_web_taps_cancels_and_receives_in_its_own_role(shop: Shop, web: ConnectionPool) -> None:
    """Everything an owner and a webhook do works with the rights of the app role alone."""

    @contextmanager
    def begin(tenant_id: int) -> Iterator[psycopg.Connection]:
        with pool.for_tenant(web, tenant_id) as conn:
            yield conn

    desk = shop.desk(begin=begin)
    placed = shop.tap(desk)
    shop.standin.pay(placed.go_to or "", keep="1")
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    for event in shop.standin.events():
        desk.receive(*shop.signed(event), [SECRET])
    assert shop.sql("select from provider_event")
    assert "cancelled" == desk.cancel(shop.tenant_id, placed.order.order_id, "owner").state
    again = shop.tap(desk)
    assert "paid" == again.order.state
    desk.release(shop.tenant_id, again.order.order_id)
    desk.shipped(shop.tenant_id, again.order.order_id)
    assert "delivered" == desk.delivered(shop.tenant_id, again.order.order_id).state
    assert "refunded" == desk.refund(shop.tenant_id, again.order.order_id, "withdrawal").state


def test_another_tenant_finds_neither_quote_nor_order(shop: Shop, web: ConnectionPool) -> None:
    """An id of another tenant is as unknown as one that nobody gave out."""

    @contextmanager
    def begin(tenant_id: int) -> Iterator[psycopg.Connection]:
        with pool.for_tenant(web, tenant_id) as conn:
            yield conn

    placed, stranger = shop.tap(), shop.desk(begin=begin)
    with pytest.raises(NotHere):
        shop.tap(stranger, tenant_id=shop.tenant_id + 1)
    for act in (stranger.release, stranger.delivered, stranger.shipped, stranger.get, stranger.refresh):
        with pytest.raises(NotHere):
            act(shop.tenant_id + 1, placed.order.order_id)


def test_a_quote_of_another_tenant_is_refused_in_the_gateways_role_too(shop: Shop) -> None:
    """Where every tenant is seen, the desk itself looks whose quote it is."""
    quote = shop.quote()
    with pytest.raises(NotHere):
        shop.desk().guest(tenant_id=shop.tenant_id + 1, quote_id=quote.quote_id, return_url="https://shop.example.com")
