"""What happens in a unit's life, as rows: told once, handled once.

An event's key is deterministic, so telling it again finds the first. Whoever tells it does so in the transaction
of its cause and defers the job `react`, which replenish/reactions.py answers.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    PART_FITTED = "part_fitted"  # payload: part_sku, tag, by (button, app, tag, owner, technician, itself, signals)
    PART_REMOVED = "part_removed"  # payload: by
    COUNTER_RESET = "counter_reset"  # payload: channel, value
    FAULT_SET = "fault_set"  # payload: code, text
    FAULT_CLEARED = "fault_cleared"  # payload: code
    BUTTON_PRESSED = "button_pressed"  # payload: button
    FIRMWARE_UPDATED = "firmware_updated"  # payload: version
    FACTORY_RESET = "factory_reset"
    ORDER_PLACED = "order_placed"  # payload: order_id; the tap, or the paid guest checkout
    ORDER_PAID = "order_paid"  # payload: order_id
    ORDER_CANCELLED = "order_cancelled"  # payload: order_id
    ORDER_SHIPPED = "order_shipped"  # payload: order_id
    ORDER_DELIVERED = "order_delivered"  # payload: order_id
    DOUBT_ANSWERED = "doubt_answered"  # payload: doubt_id, answer
    PROMPT_ANSWERED = "prompt_answered"  # payload: prompt_id, answer


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one unit; `key` is unique in its tenant."""

    tenant_id: int
    unit_id: int | None
    slot_id: int | None
    type: EventType
    key: str
    occurred_at: datetime
    payload: dict[str, Any] = field(default_factory=dict)
