"""Orders: a state machine as a table, and every step of each order kept."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import class_row

from commerce.errors import NotAllowed, NotHere, OutOfStock
from commerce.quotes import Quote

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: read aloud without mistakes


class State(StrEnum):
    """Where an order stands."""

    CREATED = "created"  # placed; nobody has been asked for money yet
    PAYING = "paying"  # the owner is at the payment page, or the provider has not answered
    PAID = "paid"  # authorised; undone for nothing until it is released
    RELEASED = "released"  # captured, and handed to fulfilment
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    FITTED = "fitted"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.CREATED: frozenset({State.PAYING, State.PAID, State.CANCELLED}),
    State.PAYING: frozenset({State.PAID, State.CANCELLED}),
    State.PAID: frozenset({State.RELEASED, State.CANCELLED}),
    # back to cancelled only when the capture turns out to be impossible: nothing was charged
    State.RELEASED: frozenset({State.SHIPPED, State.REFUNDED, State.CANCELLED}),
    State.SHIPPED: frozenset({State.DELIVERED, State.REFUNDED}),
    State.DELIVERED: frozenset({State.FITTED, State.REFUNDED}),
    State.FITTED: frozenset({State.REFUNDED}),
    State.CANCELLED: frozenset(),
    State.REFUNDED: frozenset(),
}
REFUNDABLE = frozenset(s for s, to in TRANSITIONS.items() if State.REFUNDED in to)
UNPAID = frozenset({State.CREATED, State.PAYING})
PAID_FOR = frozenset({State.PAID, State.RELEASED, State.SHIPPED, State.DELIVERED, State.FITTED})
OPEN = frozenset({State.CREATED, State.PAYING, State.PAID, State.RELEASED, State.SHIPPED, State.DELIVERED})


@dataclass(frozen=True, slots=True)
class Order:
    """A row of table purchase with its part and quantity; times are the world's."""

    order_id: int
    tenant_id: int
    number: str
    unit_id: int
    slot_id: int
    cycle_id: int
    quote_id: int
    party_id: int | None
    total_minor: int
    currency: str
    state: State
    ship_to: int | None
    created_at: datetime
    updated_at: datetime
    sku: str
    part_name: str
    quantity: int
    pack_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))  # a row has the word

    @property
    def unpaid(self) -> bool:
        return self.state in UNPAID

    @property
    def paid(self) -> bool:
        """Whether it was paid and still stands, however far it has come."""
        return self.state in PAID_FOR


@dataclass(frozen=True, slots=True)
class Step:
    """One transition of an order; `cause` says what brought it about."""

    step: int
    state: State
    at: datetime
    cause: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))


SELECT = """
select o.*, coalesce(q.sku, p.sku) as sku, coalesce(q.part_name, p.name) as part_name, q.quantity,
       coalesce(q.pack_size, p.pack_size) as pack_size
from purchase o
join quote q on q.tenant_id = o.tenant_id and q.quote_id = o.quote_id
join part p on p.tenant_id = q.tenant_id and p.part_id = q.part_id
"""


def place(
    conn: psycopg.Connection[Any], quote: Quote, *, party_id: int | None, ship_to: int | None, at: datetime, cause: str
) -> Order | None:
    """Place an order for what the quote says and take it from stock; None when the slot has an open order already.

    Two taps at the same moment: the second waits here for the first one's commit, and gets None.
    Raises OutOfStock when another order took the last one.
    """
    while True:
        row = conn.execute(
            """insert into purchase (tenant_id, number, unit_id, slot_id, cycle_id, quote_id, party_id, total_minor,
                                     currency, state, ship_to, created_at, updated_at)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'created', %s, %s, %s)
               on conflict do nothing returning order_id""",
            (
                quote.tenant_id,
                _number(),
                quote.unit_id,
                quote.slot_id,
                quote.cycle_id,
                quote.quote_id,
                party_id,
                quote.total_minor,
                quote.currency,
                ship_to,
                at,
                at,
            ),
        ).fetchone()
        if row is not None:
            break
        if open_order(conn, quote.unit_id, quote.slot_id) is not None:
            return None
    _step(conn, row[0], State.CREATED, at, cause)
    _take_stock(conn, quote)
    return get(conn, row[0])


def advance(conn: psycopg.Connection[Any], order_id: int, state: State, at: datetime, cause: str) -> Order:
    """Move an order to `state` and keep the step; return it as it stands then.

    Raises NotAllowed when the table of transitions has no such step, and NotHere for an unknown order.
    """
    order = lock(conn, order_id)
    if state not in TRANSITIONS[order.state]:
        raise NotAllowed(f"Order {order.number} is {order.state}; it cannot become {state}.")
    conn.execute("update purchase set state = %s, updated_at = %s where order_id = %s", (state, at, order_id))
    _step(conn, order_id, state, at, cause)
    if state == State.CANCELLED:
        conn.execute(
            """update offer o set stock = o.stock + q.quantity from quote q
               where q.quote_id = %s and o.offer_id = q.offer_id and o.stock is not null""",
            (order.quote_id,),
        )
    return get(conn, order_id)


def get(conn: psycopg.Connection[Any], order_id: int) -> Order:
    """Return an order; raises NotHere."""
    return _one(conn, "where o.order_id = %s", order_id)


def lock(conn: psycopg.Connection[Any], order_id: int) -> Order:
    """Return an order and hold it until the transaction ends; raises NotHere."""
    return _one(conn, "where o.order_id = %s for update of o", order_id)


def by_number(conn: psycopg.Connection[Any], tenant_id: int, number: str) -> Order:
    """Return the order that people know by this number; raises NotHere."""
    return _one(conn, "where o.tenant_id = %s and o.number = %s", tenant_id, number.strip().upper())


def open_order(conn: psycopg.Connection[Any], unit_id: int, slot_id: int) -> Order | None:
    """Return the order under way for a slot, if any."""
    try:
        return _one(conn, "where o.unit_id = %s and o.slot_id = %s and o.state = any(%s)", unit_id, slot_id, list(OPEN))
    except NotHere:
        return None


def of_quote(conn: psycopg.Connection[Any], quote_id: int) -> Order | None:
    """Return the order that was placed on a quote and still stands, neither cancelled nor refunded, if any."""
    standing = "where o.quote_id = %s and o.state <> all('{cancelled,refunded}') order by o.order_id desc limit 1"
    try:
        return _one(conn, standing, quote_id)
    except NotHere:
        return None


def of_unit(conn: psycopg.Connection[Any], unit_id: int, limit: int = 50) -> list[Order]:
    """Return a unit's orders, newest first."""
    with conn.cursor(row_factory=class_row(Order)) as cursor:
        cursor.execute(SELECT + "where o.unit_id = %s order by o.order_id desc limit %s", (unit_id, limit))
        return cursor.fetchall()


def in_states(
    conn: psycopg.Connection[Any], tenant_id: int, states: list[State], limit: int = 200, before: int | None = None
) -> list[Order]:
    """Return a tenant's orders in these states, newest first; `before` is the last order_id of the page before."""
    with conn.cursor(row_factory=class_row(Order)) as cursor:
        cursor.execute(
            SELECT
            + """where o.tenant_id = %s and o.state = any(%s) and (%s::bigint is null or o.order_id < %s)
                 order by o.order_id desc limit %s""",
            (tenant_id, [str(s) for s in states], before, before, limit),
        )
        return cursor.fetchall()


def abandoned(conn: psycopg.Connection[Any], tenant_id: int, expired_before: datetime, limit: int = 100) -> list[int]:
    """Return unpaid orders, oldest first, whose quote ended before then and whose payment holds no more surprises.

    A guest's is over as soon as no page of theirs is open.
    """
    rows = conn.execute(
        """select o.order_id from purchase o join quote q using (tenant_id, quote_id)
           where o.tenant_id = %s and o.state = any(%s) and (q.expires_at < %s or o.party_id is null) and not exists (
             select from payment p where p.order_id = o.order_id and (p.state in ('created', 'indeterminate')
               or p.state = 'requires_action' and o.party_id is null))
           order by o.order_id limit %s""",
        (tenant_id, [str(s) for s in UNPAID], expired_before, limit),
    )
    return [row[0] for row in rows]


def overdue(conn: psycopg.Connection[Any], tenant_id: int, paid_before: datetime, limit: int = 100) -> list[int]:
    """Return orders, oldest first, that were paid before then and not released since."""
    rows = conn.execute(
        """select order_id from purchase where tenant_id = %s and state = 'paid' and updated_at < %s
           order by order_id limit %s""",
        (tenant_id, paid_before, limit),
    )
    return [row[0] for row in rows]


def steps(conn: psycopg.Connection[Any], order_id: int) -> list[Step]:
    """Return an order's history, first step first."""
    with conn.cursor(row_factory=class_row(Step)) as cursor:
        cursor.execute(
            "select step, state, at, cause from purchase_step where order_id = %s order by step", (order_id,)
        )
        return cursor.fetchall()


def _one(conn: psycopg.Connection[Any], where: str, *values: object) -> Order:
    with conn.cursor(row_factory=class_row(Order)) as cursor:
        found = cursor.execute((SELECT + where).encode(), values).fetchone()
    if found is None:
        raise NotHere("There is no such order.")
    return found


def _step(conn: psycopg.Connection[Any], order_id: int, state: State, at: datetime, cause: str) -> None:
    conn.execute(
        """insert into purchase_step (tenant_id, order_id, step, state, at, cause)
           select tenant_id, order_id,
                  1 + (select coalesce(max(step), 0) from purchase_step s where s.order_id = o.order_id), %s, %s, %s
           from purchase o where order_id = %s""",
        (state, at, cause, order_id),
    )


def _take_stock(conn: psycopg.Connection[Any], quote: Quote) -> None:
    taken = conn.execute(
        "update offer set stock = stock - %s where offer_id = %s and (stock is null or stock >= %s)",
        (quote.quantity, quote.offer_id, quote.quantity),
    )
    if not taken.rowcount:
        raise OutOfStock(f"The last {quote.part_name} was sold a moment ago. Nothing was charged.")


def _number() -> str:
    return "WW-" + "".join(secrets.choice(CROCKFORD) for _ in range(7))
