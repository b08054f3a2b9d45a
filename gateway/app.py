"""Composition root: the only file that builds services from settings.

Each function runs one process until it is told to stop.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

import psycopg
import uvicorn
from psycopg_pool import ConnectionPool

from commerce.desk import EVERY_TENANT, Desk, OrderEvent
from commerce.no_payments import NoPayments
from commerce.payments import Payments
from commerce.stripe_payments import StripePayments
from commerce.till import Begin
from gateway import clock, metrics
from gateway.db import readiness as store
from gateway.db.pool import Role, dsn_for, for_tenant, open_pool
from gateway.errors import Exit
from gateway.events import Event, EventType
from gateway.ingest import readiness
from gateway.ingest import service as ingest_service
from gateway.operate import data_folder, database, exporter
from gateway.operate.fleet_metrics import FleetFigures
from gateway.operate.house import join
from gateway.registry import history
from gateway.settings import Settings
from gateway.web.app import build
from gateway.web.services import Services
from gateway.worker.worker import Worker


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


def serve(settings: Settings, fd: int | None = None) -> None:
    """Serve the pages until SIGINT or SIGTERM, on the listening socket `fd` if given; open requests are finished."""
    with (
        open_pool(database.dsn(settings), Role.APP) as pool,
        exporter.exported(settings.metrics_port, host=settings.metrics_host),
    ):
        app = build(Services(pool, desk(settings, pool), settings, demo=settings.pace is not None))
        config = uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
        if not server.started:
            sys.exit(Exit.CONFIGURATION)


def ingest(settings: Settings, *, drain: bool = False) -> None:
    """Carry messages from the broker into the store until SIGINT or SIGTERM; what was received is stored first.

    With `drain`, only what the broker still holds for this client id, whose session ends then.
    """
    settings = join(settings)
    dsn = database.dsn(settings)
    stored = partial(readiness.database, dsn_for(dsn, Role.GATEWAY))
    checks: exporter.Checks = {"broker": readiness.broker, "database": stored}
    with exporter.exported(settings.metrics_port, checks=checks, host=settings.metrics_host):
        ingest_service.run(settings, dsn, drain=drain)


def work(settings: Settings) -> None:
    """Forecast, prompt and react until SIGINT or SIGTERM; jobs under way are finished."""
    settings = join(settings)
    dsn = database.dsn(settings)
    answers = partial(store.database, dsn_for(dsn, Role.GATEWAY))
    metrics.follow("data_free_bytes", lambda: data_folder.room(settings.data_dir)[1])
    checks: exporter.Checks = {"broker": readiness.broker, "database": answers}
    with (
        open_pool(dsn, Role.GATEWAY) as pool,
        exporter.exported(
            settings.metrics_port, FleetFigures(pool.connection, clock.now), checks=checks, host=settings.metrics_host
        ),
    ):
        Worker(settings, dsn, pool, desk(settings, pool)).run()
