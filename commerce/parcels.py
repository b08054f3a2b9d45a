"""Parcels on their way, and the spare parts that wait in an owner's cupboard."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from commerce.orders import Order, State


@dataclass(frozen=True, slots=True)
class Parcel:
    """A row of table shipment; times are the world's."""

    shipment_id: int
    tenant_id: int
    order_id: int
    carrier: str | None
    tracking: str | None
    shipped_at: datetime | None
    delivered_at: datetime | None


def send(conn: psycopg.Connection[Any], order: Order, carrier: str | None, tracking: str | None, at: datetime) -> None:
    """Record that an order's parcel left."""
    conn.execute(
        """insert into shipment (tenant_id, order_id, carrier, tracking, shipped_at) values (%s, %s, %s, %s, %s)
           on conflict (order_id) do update set carrier = excluded.carrier, tracking = excluded.tracking""",
        (order.tenant_id, order.order_id, carrier, tracking, at),
    )


def arrive(conn: psycopg.Connection[Any], order: Order, at: datetime) -> None:
    """Record that an order's parcel is there, and count its parts as spares; a guest's went to the guest."""
    conn.execute("update shipment set delivered_at = %s where order_id = %s", (at, order.order_id))
    if order.party_id is not None:
        add_spares(conn, order.tenant_id, order.unit_id, order.slot_id, _parts(order))


def go_back(conn: psycopg.Connection[Any], order: Order) -> None:
    """Count no longer what of an order is at home and not fitted: its whole price went back."""
    if order.party_id is not None and order.state in (State.DELIVERED, State.FITTED):
        conn.execute(
            "update spare set count = greatest(count - %s, 0) where unit_id = %s and slot_id = %s",
            (_parts(order) - (order.state is State.FITTED), order.unit_id, order.slot_id),
        )


def of_order(conn: psycopg.Connection[Any], order_id: int) -> Parcel | None:
    """Return an order's parcel, if it left."""
    with conn.cursor(row_factory=class_row(Parcel)) as cursor:
        return cursor.execute("select * from shipment where order_id = %s", (order_id,)).fetchone()


def add_spares(conn: psycopg.Connection[Any], tenant_id: int, unit_id: int, slot_id: int, count: int) -> None:
    """Count more spares for a slot."""
    conn.execute(
        """insert into spare (tenant_id, unit_id, slot_id, count) values (%s, %s, %s, %s)
           on conflict (unit_id, slot_id) do update set count = spare.count + excluded.count""",
        (tenant_id, unit_id, slot_id, count),
    )


def use_spare(conn: psycopg.Connection[Any], unit_id: int, slot_id: int, besides: Order | None = None) -> bool:
    """Take one spare for a slot, none of those that came with `besides`; False when no other was known of."""
    others = _parts(besides) if besides and besides.state is State.DELIVERED and besides.party_id is not None else 0
    used = conn.execute(
        "update spare set count = count - 1 where unit_id = %s and slot_id = %s and count > %s",
        (unit_id, slot_id, others),
    )
    return bool(used.rowcount)


def spares(conn: psycopg.Connection[Any], unit_id: int, slot_id: int) -> int:
    """Return how many spares for a slot are known of."""
    row = conn.execute("select count from spare where unit_id = %s and slot_id = %s", (unit_id, slot_id)).fetchone()
    return int(row[0]) if row else 0


def _parts(order: Order) -> int:
    return order.quantity * order.pack_size
