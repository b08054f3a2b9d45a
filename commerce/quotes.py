"""Quotes: what was shown, with its price and tax. A quote never changes, and ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from commerce import money
from commerce.errors import NotHere
from commerce.fit import Fit, Place

LIFETIME = timedelta(hours=24)
REUSE = timedelta(hours=1)  # a live quote is shown again only while a hosted payment page still fits into its life


@dataclass(frozen=True, slots=True)
class Quote:
    """A row of table quote with its part as it was shown; amounts in minor units, times of the wall clock."""

    quote_id: int
    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    part_id: int
    offer_id: int
    quantity: int
    currency: str
    price_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int
    delivery_d: float
    created_at: datetime
    expires_at: datetime
    sku: str
    part_name: str
    pack_size: int
    region: str

    def live(self, wall: datetime) -> bool:
        """Tell whether its price still holds."""
        return wall < self.expires_at


# A process of before 0082 still makes quotes that keep no part: those are told by the catalogue.
SELECT = """
select q.quote_id, q.tenant_id, q.unit_id, q.slot_id, q.cycle_id, q.part_id, q.offer_id, q.quantity, q.currency,
       q.price_minor, q.shipping_minor, q.tax_minor, q.total_minor, q.delivery_d, q.created_at, q.expires_at,
       coalesce(q.sku, p.sku) as sku, coalesce(q.part_name, p.name) as part_name,
       coalesce(q.pack_size, p.pack_size) as pack_size, o.region
from quote q join part p using (tenant_id, part_id) join offer o using (tenant_id, offer_id)
"""
EQUAL = (
    SELECT
    + """
where q.tenant_id = %(tenant_id)s and q.unit_id = %(unit_id)s and q.slot_id = %(slot_id)s and q.cycle_id = %(cycle_id)s
  and q.offer_id = %(offer_id)s and q.quantity = 1 and q.currency = %(currency)s and q.price_minor = %(price_minor)s
  and q.shipping_minor = %(shipping_minor)s and q.tax_minor = %(tax_minor)s and q.delivery_d = %(delivery_d)s::real
  and q.sku = %(sku)s and q.part_name = %(part_name)s and q.pack_size = %(pack_size)s and q.expires_at > %(still)s
order by q.quote_id desc limit 1
"""
)
INSERT = """
insert into quote (tenant_id, unit_id, slot_id, cycle_id, part_id, offer_id, currency, price_minor, shipping_minor,
                   tax_minor, total_minor, delivery_d, sku, part_name, pack_size, created_at, expires_at)
values (%(tenant_id)s, %(unit_id)s, %(slot_id)s, %(cycle_id)s, %(part_id)s, %(offer_id)s, %(currency)s, %(price_minor)s,
        %(shipping_minor)s, %(tax_minor)s, %(total_minor)s, %(delivery_d)s, %(sku)s, %(part_name)s, %(pack_size)s,
        %(created_at)s, %(expires_at)s)
returning quote_id
"""


def make(
    conn: psycopg.Connection[Any],
    *,
    unit_id: int,
    cycle_id: int,
    place: Place,
    fit: Fit,
    wall: datetime,
    lifetime: timedelta = LIFETIME,
) -> Quote:
    """Return a quote for one of this part: the live one that says exactly the same, else a new one."""
    if found := live(conn, unit_id=unit_id, cycle_id=cycle_id, place=place, fit=fit, wall=wall):
        return found
    row = conn.execute(
        INSERT,
        {**_terms(unit_id, cycle_id, place, fit), "created_at": wall, "expires_at": wall + lifetime},
    ).fetchone()
    assert row is not None  # noqa: S101  # an insert that returns, returns
    return get(conn, row[0])


def live(
    conn: psycopg.Connection[Any], *, unit_id: int, cycle_id: int, place: Place, fit: Fit, wall: datetime
) -> Quote | None:
    """Return the live quote that says exactly this, if there is one; writes nothing."""
    with conn.cursor(row_factory=class_row(Quote)) as cursor:
        terms = _terms(unit_id, cycle_id, place, fit)
        return cursor.execute(EQUAL, {**terms, "still": wall + REUSE}).fetchone()


def get(conn: psycopg.Connection[Any], quote_id: int) -> Quote:
    """Return a quote; raises NotHere."""
    with conn.cursor(row_factory=class_row(Quote)) as cursor:
        found = cursor.execute(SELECT + "where q.quote_id = %s", (quote_id,)).fetchone()
    if found is None:
        raise NotHere("There is no such quote.")
    return found


def _terms(unit_id: int, cycle_id: int, place: Place, fit: Fit) -> dict[str, Any]:
    total = fit.price_minor + fit.shipping_minor
    return {
        "tenant_id": place.tenant_id,
        "unit_id": unit_id,
        "slot_id": place.slot_id,
        "cycle_id": cycle_id,
        "part_id": fit.part_id,
        "offer_id": fit.offer_id,
        "currency": fit.currency,
        "price_minor": fit.price_minor,
        "shipping_minor": fit.shipping_minor,
        "tax_minor": money.tax_inside(total, fit.tax_bp),
        "total_minor": total,
        "delivery_d": fit.delivery_d,
        "sku": fit.sku,
        "part_name": fit.name,
        "pack_size": fit.pack_size,
    }
