"""What follows from what happened: one table, from an event's type to the steps it takes.

Each event is handled once, in one transaction, in the order in which its unit's events were told. What is not in the
table is kept and shown, and changes nothing: a part taken out may be rinsed and go back, a fault is not wear.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
import structlog

from commerce import orders
from commerce.desk import Desk
from commerce.orders import Order, State
from gateway import jobs
from gateway.events import EventType
from gateway.notify import outbox
from gateway.registry import history, models, owners, units
from gateway.registry.history import Recorded
from gateway.replenish import cycles, prompts

SOURCES: dict[str, cycles.Source] = {"owner": "owner", "technician": "technician", "signals": "inferred"}
RESET_MEANS_NEW = 50.0  # percent left: a slot's own counter that starts again below it means a new part
# As it stood when the reset was told: a forecast made since may already believe the new counter.
WORN_BEFORE = """
select f.pct_left from forecast f join cycle c on c.cycle_id = f.cycle_id and upper_inf(c.period)
where c.unit_id = %s and c.slot_id = %s and f.made_at <= %s order by f.made_at desc, f.forecast_id desc limit 1"""
SHOWS_ITSELF = """
select from forecast f join cycle c on c.cycle_id = f.cycle_id and upper_inf(c.period)
where c.unit_id = %s and c.slot_id = %s and f.inputs ->> 'indicator' is not null limit 1"""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with what its steps need: the connection, the desk, the world's time."""

    conn: psycopg.Connection
    event: Recorded
    desk: Desk
    now: datetime

    @property
    def order(self) -> Order:
        """The order this is about."""
        return orders.get(self.conn, int(self.event.payload["order_id"]))


Step = Callable[[Happening], None]


def react(conn: psycopg.Connection, event_id: int, desk: Desk, now: datetime) -> bool:
    """Take the steps that follow from an event, once; False when they were taken already. The caller commits."""
    event = history.take(conn, event_id)
    if event is None:
        return False
    if event.unit_id is not None:
        cycles.hold(conn, event.unit_id)
    for step in REACTIONS.get(EventType(event.type), ()):
        step(Happening(conn, event, desk, now))
    history.done(conn, event_id)
    return True


def fit_part(h: Happening) -> None:
    """Close the running cycle and begin the next; a part that came by order ends its order."""
    slot_id = _slot(h)
    if h.event.unit_id is None or slot_id is None:
        log.warning("a part was fitted, but in which slot?", event_id=h.event.event_id)
        return
    source = SOURCES.get(str(h.event.payload.get("by")), "device")
    sku = str(h.event.payload.get("part_sku") or "")
    evidence = h.event.payload.get("evidence")
    _fit(h, cycles.Fitting(h.event.unit_id, slot_id, h.event.occurred_at, source, sku, evidence))


def fit_if_worn(h: Happening) -> None:
    """Take a slot's own counter that starts again for a new part, when the old one was worn by half or more.

    Where an indicator shows the wear, the reset waits for its word: suspect.py weighs the two.
    """
    unit_id, slot_id = h.event.unit_id, h.event.slot_id
    if unit_id is None or slot_id is None:
        return
    if h.conn.execute(SHOWS_ITSELF, (unit_id, slot_id)).fetchone():
        units.want_score(h.conn, h.event.tenant_id, [unit_id], h.now)
        return
    row = h.conn.execute(WORN_BEFORE, (unit_id, slot_id, h.event.recorded_at)).fetchone()
    if row and row[0] <= RESET_MEANS_NEW:
        _fit(h, cycles.Fitting(unit_id, slot_id, h.event.occurred_at, "inferred"))


def _fit(h: Happening, fitting: cycles.Fitting) -> None:
    done = cycles.fitted(h.conn, fitting, h.now)
    if done.closed_id is not None:
        h.desk.fitted(h.conn, fitting.unit_id, fitting.slot_id, min(fitting.at, h.now))


def _slot(h: Happening) -> int | None:
    """Return the slot an event is about: the one it names, else the only one its unit has."""
    if h.event.slot_id is not None or h.event.unit_id is None:
        return h.event.slot_id
    slots = models.slots(h.conn, units.get(h.conn, h.event.unit_id).model_id)
    return slots[0].slot_id if len(slots) == 1 else None


def note_order(h: Happening) -> None:
    """Let nobody be asked about a part that is ordered."""
    prompts.ordered(h.conn, h.order.cycle_id, h.event.occurred_at)


def release_later(h: Happening) -> None:
    """Capture the money when the owner can no longer undo the order."""
    order = h.order
    if until := h.desk.undo_until(order):
        jobs.defer(h.conn, "release", due=until, tenant_id=order.tenant_id, order_id=order.order_id)


def fulfil_later(h: Happening) -> None:
    """Hand the order to fulfilment; where staff do it at the console, the job finds nothing to do."""
    jobs.defer(h.conn, "fulfil", tenant_id=h.event.tenant_id, order_id=h.order.order_id)


def score_again(h: Happening) -> None:
    """Forecast anew what was answered."""
    if h.event.unit_id is not None:
        units.want_score(h.conn, h.event.tenant_id, [h.event.unit_id], h.now)


def keep_card(h: Happening) -> None:
    """Record the consent under which a card was kept with this payment."""
    order = h.order
    if h.event.payload.get("card_kept") and order.party_id is not None:
        owners.agree(h.conn, order.tenant_id, order.party_id, "save_card", h.event.occurred_at)


def reopen(h: Happening) -> None:
    """Let the owner order again after an order was cancelled."""
    prompts.order_gone(h.conn, h.order.cycle_id)


def ask_if_fitted(h: Happening) -> None:
    """Ask the owner, when the old part's time is over, whether the new one is fitted; also one that a guest ordered."""
    prompts.ask_if_fitted(h.conn, h.order.unit_id, h.order.slot_id, h.now)


def tell_if_lost(h: Happening) -> None:
    """Write to the person whose order was confirmed and has ended without their doing: its money is gone."""
    steps = orders.steps(h.conn, h.order.order_id)
    confirmed = any(step.state is State.PAID for step in steps)
    if confirmed and not steps[-1].cause.startswith("party:"):
        mail("order_lost")(h)


def confirm(h: Happening) -> None:
    """Write to the person who ordered that the order is in, and for how long they may cancel it."""
    _write(h, "order_received", undo_s=h.desk.undo.total_seconds())


def mail(kind: str) -> Step:
    """Return the step that writes to the person who ordered; a guest hears from the payment provider."""
    return lambda h: _write(h, kind)


def _write(h: Happening, kind: str, **more: float) -> None:
    order = h.order
    if order.party_id is not None:
        outbox.put(
            h.conn,
            tenant_id=order.tenant_id,
            key=f"{kind}:{order.order_id}",
            channel="email",
            kind=kind,
            payload={"order_id": order.order_id, **more},
            party_id=order.party_id,
        )


REACTIONS: dict[EventType, tuple[Step, ...]] = {
    EventType.PART_FITTED: (fit_part,),
    EventType.COUNTER_RESET: (fit_if_worn,),
    EventType.DOUBT_ANSWERED: (score_again,),
    EventType.ORDER_PLACED: (note_order,),
    EventType.ORDER_PAID: (note_order, keep_card, release_later, fulfil_later, confirm),
    EventType.ORDER_CANCELLED: (reopen, tell_if_lost),
    EventType.ORDER_SHIPPED: (mail("order_shipped"),),
    EventType.ORDER_DELIVERED: (ask_if_fitted,),
}
