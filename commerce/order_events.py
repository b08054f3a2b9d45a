"""What the rest of the house is told about an order, in the transaction in which it happens."""

from dataclasses import dataclass
from datetime import datetime

from commerce.orders import Order


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One thing that happened to an order; `key` is deterministic, so telling it again finds the first."""

    type: str  # order_placed, order_paid, order_cancelled, order_shipped, order_delivered
    tenant_id: int
    order_id: int
    unit_id: int
    slot_id: int
    at: datetime
    key: str
    card_kept: str | None = None  # brand and last four of the card its owner agreed, with this payment, to keep


def about(order: Order, kind: str, at: datetime, card_kept: str | None = None) -> OrderEvent:
    """Return the event of this kind in an order's life."""
    return OrderEvent(
        type=kind,
        tenant_id=order.tenant_id,
        order_id=order.order_id,
        unit_id=order.unit_id,
        slot_id=order.slot_id,
        at=at,
        key=f"{kind}:{order.order_id}",
        card_kept=card_kept,
    )
