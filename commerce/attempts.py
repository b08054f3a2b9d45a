"""Attempts to charge: the key and what it asks are stored before the provider is called."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from commerce.errors import NotHere
from commerce.payments import Ask, Charge, Standing

# What is known for certain never gives way to what was true before it.
RANK = {
    Standing.CREATED: 0,
    Standing.INDETERMINATE: 1,
    Standing.REQUIRES_ACTION: 2,
    Standing.FAILED: 3,
    Standing.AUTHORISED: 4,
    Standing.CAPTURED: 5,
    Standing.CANCELLED: 5,
    Standing.EXPIRED: 5,
}
PENDING = frozenset({Standing.CREATED, Standing.INDETERMINATE, Standing.REQUIRES_ACTION})
HELD = frozenset({Standing.AUTHORISED, Standing.CAPTURED})
OVER = frozenset({Standing.CAPTURED, Standing.CANCELLED, Standing.EXPIRED})
PAGE_POLL = timedelta(minutes=15)
KEY_LIFE = timedelta(hours=23)  # Stripe forgets keys after 24 hours: then the same key would charge anew


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of table payment; its times are the wall clock's, as the provider's are."""

    payment_id: int
    tenant_id: int
    order_id: int
    attempt: int
    key: str
    request: dict[str, Any]
    amount_minor: int
    currency: str
    provider_id: str | None
    kind: str
    state: Standing
    url: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", Standing(self.state))

    @property
    def ask(self) -> Ask:
        """What was, and will again be, asked under this key."""
        return Ask(**{**self.request, "countries": tuple(self.request["countries"])})

    @property
    def pending(self) -> bool:
        return self.state in PENDING


def store(conn: psycopg.Connection[Any], ask: Ask, attempt: int, wall: datetime) -> Attempt:
    """Store an attempt that is about to be made."""
    conn.execute(
        """insert into payment (tenant_id, order_id, attempt, key, request, amount_minor, currency, kind, state,
                                created_at, updated_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s, 'created', %s, %s)""",
        (
            ask.tenant_id,
            ask.order_id,
            attempt,
            ask.key,
            Jsonb(asdict(ask)),
            ask.amount_minor,
            ask.currency,
            "intent" if ask.payment_method else "checkout",
            wall,
            wall,
        ),
    )
    return by_key(conn, ask.key)


def record(conn: psycopg.Connection[Any], attempt: Attempt, charge: Charge, wall: datetime) -> None:
    """Record how an attempt stands, unless more is known already."""
    state = charge.state if RANK[charge.state] > RANK[attempt.state] else attempt.state
    conn.execute(
        "update payment set state = %s, provider_id = %s, url = %s, error = %s, updated_at = %s where payment_id = %s",
        (state, charge.provider_id, charge.url, charge.error, wall, attempt.payment_id),
    )


def found_at(conn: psycopg.Connection[Any], attempt: Attempt, provider_id: str, wall: datetime) -> None:
    """Record where the provider keeps an attempt, and nothing else of it."""
    conn.execute(
        "update payment set provider_id = %s, updated_at = %s where payment_id = %s",
        (provider_id, wall, attempt.payment_id),
    )


def looked(conn: psycopg.Connection[Any], attempt: Attempt, wall: datetime) -> None:
    """Record that the provider is being asked about an attempt: those that nobody asked about for longer come first."""
    conn.execute("update payment set updated_at = %s where payment_id = %s", (wall, attempt.payment_id))


def mark(
    conn: psycopg.Connection[Any], attempt: Attempt, state: Standing, wall: datetime, error: str | None = None
) -> None:
    """Record what we know of an attempt without the provider's word."""
    conn.execute(
        "update payment set state = %s, error = %s, updated_at = %s where payment_id = %s",
        (state, error, wall, attempt.payment_id),
    )


def by_key(conn: psycopg.Connection[Any], key: str) -> Attempt:
    """Return the attempt with this key; raises NotHere."""
    found = _many(conn, "where key = %s", key)
    if not found:
        raise NotHere("There is no such payment.")
    return found[0]


def of_order(conn: psycopg.Connection[Any], order_id: int) -> list[Attempt]:
    """Return an order's attempts, latest first."""
    return _many(conn, "where order_id = %s order by attempt desc", order_id)


def held(conn: psycopg.Connection[Any], order_id: int) -> Attempt | None:
    """Return the attempt that holds or took the money for an order, if one does."""
    return next(iter(_many(conn, "where order_id = %s and state in ('authorised', 'captured')", order_id)), None)


def unsettled(conn: psycopg.Connection[Any], tenant_id: int, before: datetime) -> list[Attempt]:
    """Return what should be asked about again: unclear, held for an order that ended, or released and not captured.

    An open page is asked about now and then only: its webhook tells sooner.
    """
    return _many(
        conn,
        """join purchase o using (tenant_id, order_id)
           where payment.tenant_id = %s and payment.updated_at < %s
             and (payment.state in ('created', 'indeterminate')
                  or (payment.state = 'requires_action' and (o.state = 'cancelled' or payment.updated_at < %s))
                  or (payment.state = 'authorised' and o.state <> 'paid'))
           order by payment.updated_at limit 100""",
        tenant_id,
        before,
        before - PAGE_POLL,
    )


def _many(conn: psycopg.Connection[Any], where: str, *values: object) -> list[Attempt]:
    with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(f"select payment.* from payment {where}".encode(), values).fetchall()
