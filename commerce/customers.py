"""People at the payment provider: an id, and the card they agreed to keep there."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Customer:
    """A row of table customer; `card` is brand and last four, as shown to its owner."""

    party_id: int
    tenant_id: int
    provider_id: str
    payment_method: str | None
    card: str | None


def get(conn: psycopg.Connection[Any], party_id: int) -> Customer | None:
    """Return a person's customer, if they have one."""
    with conn.cursor(row_factory=class_row(Customer)) as cursor:
        return cursor.execute("select * from customer where party_id = %s", (party_id,)).fetchone()


def put(conn: psycopg.Connection[Any], tenant_id: int, party_id: int, provider_id: str) -> None:
    """Remember a person's customer, unless they have one already."""
    conn.execute(
        "insert into customer (tenant_id, party_id, provider_id) values (%s, %s, %s) on conflict do nothing",
        (tenant_id, party_id, provider_id),
    )


def forget(conn: psycopg.Connection[Any], party_id: int, provider_id: str | None) -> None:
    """Forget the customer whom the provider no longer knows, and their card with them."""
    conn.execute("delete from customer where party_id = %s and provider_id = %s", (party_id, provider_id))


def keep_card(conn: psycopg.Connection[Any], party_id: int, payment_method: str, card: str | None) -> bool:
    """Remember the card that its owner agreed to keep; tell whether that is news."""
    kept = conn.execute(
        """update customer set payment_method = %s, card = %s
           where party_id = %s and payment_method is distinct from %s""",
        (payment_method, card, party_id, payment_method),
    )
    return bool(kept.rowcount)


def forget_card(conn: psycopg.Connection[Any], party_id: int, payment_method: str | None) -> None:
    """Forget this card of a person's; the next order goes through the payment page."""
    conn.execute(
        "update customer set payment_method = null, card = null where party_id = %s and payment_method = %s",
        (party_id, payment_method),
    )
