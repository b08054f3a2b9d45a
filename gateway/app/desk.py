"""The desk that orders are placed at, as the web and the worker work with it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
from psycopg_pool import ConnectionPool

from commerce.desk import EVERY_TENANT, Desk, OrderEvent
from commerce.no_payments import NoPayments
from commerce.payments import Payments
from commerce.stripe_payments import StripePayments
from commerce.till import Begin
from gateway import clock
from gateway.db.pool import for_tenant
from gateway.events import Event, EventType
from gateway.registry import history
from gateway.settings import Settings


def payments(settings: Settings) -> Payments:
    """Return Stripe, or the stand-in that `stripe_url` names, or the adapter that says that nothing can be ordered."""
    if settings.stripe_key is None:
        return NoPayments()
    return StripePayments(settings.stripe_key.get_secret_value(), url=settings.stripe_url)


def tell(conn: psycopg.Connection, told: OrderEvent) -> None:
    """Record what commerce tells about an order as an event of its unit, in commerce's own transaction."""
    payload = {"order_id": told.order_id} | ({"card_kept": True} if told.card_kept else {})
    kind = EventType(told.type)
    history.record(conn, Event(told.tenant_id, told.unit_id, told.slot_id, kind, told.key, told.at, payload))


def transactions(pool: ConnectionPool) -> Begin:
    """Return what opens one transaction for a tenant; for EVERY_TENANT none is set: the role decides what is seen."""

    @contextmanager
    def whole() -> Iterator[psycopg.Connection]:
        with pool.connection() as conn:
            yield conn

    def begin(tenant_id: int) -> AbstractContextManager[psycopg.Connection]:
        return whole() if tenant_id == EVERY_TENANT else for_tenant(pool, tenant_id)

    return begin


def desk(settings: Settings, pool: ConnectionPool) -> Desk:
    """Return the desk that orders are placed at, over this pool."""
    return Desk(payments(settings), transactions(pool), tell, clock.now, clock.wall)
