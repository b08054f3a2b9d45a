"""Fulfilment where nobody fulfils: in the demo parcels leave and arrive by themselves, in world time.

Elsewhere staff mark orders as shipped and delivered at the console, and the job `fulfil` does nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from commerce import orders
from commerce.desk import Desk
from commerce.orders import Order, State
from gateway import jobs

PACKING = timedelta(days=1)
LOOK_AGAIN = timedelta(hours=6)  # while the owner can still undo
CARRIER = "Demo Parcel"


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """Sends parcels when `enabled`; each call takes the one step that is due and comes back for the next."""

    desk: Desk
    begin: Callable[[], AbstractContextManager[psycopg.Connection[Any]]]
    enabled: bool = False

    def step(self, tenant_id: int, order_id: int, now: datetime) -> None:
        """Ship an order that was released a day ago, deliver one that is on its way for as long as was promised."""
        if not self.enabled:
            return
        with self.begin() as conn:
            order = orders.get(conn, order_id)
            due = self._due(conn, order, now)
        if due is None:
            return
        if due <= now and order.state is State.RELEASED:
            self.desk.shipped(tenant_id, order_id, CARRIER, f"WW{order_id:08d}")
            due = now
        elif due <= now and order.state is State.SHIPPED:
            self.desk.delivered(tenant_id, order_id)
            return
        with self.begin() as conn:
            jobs.defer(conn, "fulfil", due=max(due, now), tenant_id=tenant_id, order_id=order_id)

    def _due(self, conn: psycopg.Connection[Any], order: Order, now: datetime) -> datetime | None:
        """Return when the order's next step is due; None when there is none."""
        if order.state in (State.CREATED, State.PAYING, State.PAID):
            return now + LOOK_AGAIN
        if order.state is State.RELEASED:
            return order.updated_at + PACKING
        if order.state is State.SHIPPED:
            row = conn.execute("select delivery_d from quote where quote_id = %s", (order.quote_id,)).fetchone()
            return order.updated_at + timedelta(days=float(row[0]) if row else 0.0)
        return None
