"""The ledger of what went back: written before the provider is asked, never more than was charged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from commerce import money
from commerce.attempts import Attempt
from commerce.errors import RefundRefused


@dataclass(frozen=True, slots=True)
class Refund:
    """A row of table refund."""

    refund_id: int
    tenant_id: int
    order_id: int
    payment_id: int
    key: str
    amount_minor: int
    state: str
    cause: str
    provider_id: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime


def store(
    conn: psycopg.Connection[Any],
    attempt: Attempt,
    amount_minor: int,
    *,
    charged_minor: int,
    key: str,
    cause: str,
    wall: datetime,
) -> Refund:
    """Store a refund that is about to be asked for; the caller holds the order's lock.

    The same key finds the refund it stored. Raises RefundRefused when more would go back than was charged.
    """
    if found := _by_key(conn, key):
        return found
    left = charged_minor - total(conn, attempt.payment_id)
    if not 0 < amount_minor <= left:
        raise RefundRefused(
            f"{money.words(amount_minor, attempt.currency)} cannot go back: "
            f"{money.words(left, attempt.currency)} of the charge is left."
        )
    conn.execute(
        """insert into refund (tenant_id, order_id, payment_id, key, amount_minor, state, cause, created_at, updated_at)
           values (%s, %s, %s, %s, %s, 'created', %s, %s, %s)""",
        (attempt.tenant_id, attempt.order_id, attempt.payment_id, key, amount_minor, cause, wall, wall),
    )
    stored = _by_key(conn, key)
    assert stored is not None  # noqa: S101  # inserted on the line above
    return stored


def done(conn: psycopg.Connection[Any], refund: Refund, provider_id: str, wall: datetime) -> None:
    """Record that the money is on its way back."""
    conn.execute(
        "update refund set state = 'done', provider_id = %s, updated_at = %s where refund_id = %s",
        (provider_id, wall, refund.refund_id),
    )


def failed(conn: psycopg.Connection[Any], refund: Refund, error: str, wall: datetime) -> None:
    """Record that the provider refused; the amount may be asked for again."""
    conn.execute(
        "update refund set state = 'failed', error = %s, updated_at = %s where refund_id = %s",
        (error, wall, refund.refund_id),
    )


def total(conn: psycopg.Connection[Any], payment_id: int) -> int:
    """Return how much of a charge went back or is about to, in minor units."""
    row = conn.execute(
        "select coalesce(sum(amount_minor), 0) from refund where payment_id = %s and state <> 'failed'", (payment_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def of_order(conn: psycopg.Connection[Any], order_id: int) -> list[Refund]:
    """Return an order's refunds, first one first."""
    return _many(conn, "where order_id = %s order by refund_id", order_id)


def unanswered(conn: psycopg.Connection[Any], tenant_id: int, before: datetime) -> list[Refund]:
    """Return refunds that were asked for before then and never answered."""
    return _many(conn, "where tenant_id = %s and state = 'created' and updated_at < %s", tenant_id, before)


def _by_key(conn: psycopg.Connection[Any], key: str) -> Refund | None:
    return next(iter(_many(conn, "where key = %s", key)), None)


def _many(conn: psycopg.Connection[Any], where: str, *values: object) -> list[Refund]:
    with conn.cursor(row_factory=class_row(Refund)) as cursor:
        return cursor.execute(f"select * from refund {where}".encode(), values).fetchall()
