"""Which part fits a slot of one unit: only what a row states, and an honest sentence when none does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Place:
    """A slot of one unit, as far as fit depends on it."""

    tenant_id: int
    model_id: int
    slot_id: int
    serial: str
    hw_rev: str
    region: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A part that fits and is sold there now, with the offer it is sold under."""

    part_id: int
    sku: str
    name: str
    pack_size: int
    offer_id: int
    region: str
    currency: str
    price_minor: int
    tax_bp: int
    shipping_minor: int
    stock: int | None
    delivery_d: float


@dataclass(frozen=True, slots=True)
class NoFit:
    """Nothing can be sold for this slot; `reason` is a sentence for its owner."""

    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stated fit: its part, and the offer for the region if there is one."""

    part_id: int
    sku: str
    name: str
    pack_size: int
    lifecycle: str
    superseded_by: int | None
    offer_id: int | None
    region: str | None
    currency: str | None
    price_minor: int | None
    tax_bp: int | None
    shipping_minor: int | None
    stock: int | None
    delivery_d: float | None


# The more a row says about the unit, the more it knows: revision, then region, then the longest serial prefix.
CANDIDATES = """
select p.part_id, p.sku, p.name, p.pack_size, p.lifecycle, p.superseded_by,
       o.offer_id, o.region, o.currency, o.price_minor, o.tax_bp, o.shipping_minor, o.delivery_d,
       o.stock + (
         select coalesce(sum(q.quantity), 0)::int from purchase h join quote q using (tenant_id, quote_id)
         where h.unit_id = %(unit_id)s::bigint and h.slot_id = f.slot_id and q.offer_id = o.offer_id
           and h.state in ('created', 'paying') and h.party_id is distinct from %(party_id)s::bigint) as stock
from fitment f
join part p using (tenant_id, part_id)
left join offer o on o.tenant_id = p.tenant_id and o.part_id = p.part_id and o.region = %(region)s and o.valid @> %(at)s
where f.tenant_id = %(tenant_id)s and f.model_id = %(model_id)s and f.slot_id = %(slot_id)s and f.valid @> %(at)s
  and (f.hw_rev is null or f.hw_rev = %(hw_rev)s) and (f.region is null or f.region = %(region)s)
  and starts_with(%(serial)s, f.serials)
order by f.preference, (f.hw_rev is null), (f.region is null), length(f.serials) desc, p.part_id
"""
STATED = """
select bool_or(valid @> %(at)s), bool_or(hw_rev is null or hw_rev = %(hw_rev)s),
       bool_or(region is null or region = %(region)s)
from fitment where tenant_id = %(tenant_id)s and model_id = %(model_id)s and slot_id = %(slot_id)s
"""


def part_for(
    conn: psycopg.Connection[Any],
    place: Place,
    at: datetime,
    *,
    unit_id: int | None = None,
    party_id: int | None = None,
) -> Fit | NoFit:
    """Return the part to sell for this slot at `at`, or the reason why there is none.

    Of a part and its successors the newest that is sold wins, but a successor counts only where a row of its own
    states that it fits. For its owner, `party_id`, what somebody else's unpaid order for this slot of `unit_id` holds
    counts as in stock: their tap lets go of it.
    """
    asked = {
        "tenant_id": place.tenant_id,
        "model_id": place.model_id,
        "slot_id": place.slot_id,
        "serial": place.serial,
        "hw_rev": place.hw_rev,
        "region": place.region,
        "at": at,
        "unit_id": unit_id,
        "party_id": party_id,
    }
    with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        stated = cursor.execute(CANDIDATES, asked).fetchall()
    if not stated:
        return NoFit(_why_nothing_is_stated(conn, place, asked))
    by_id = {c.part_id: c for c in stated}
    for candidate in stated:
        for part in reversed(_successors(candidate, by_id)):
            if (fit := _sold(part)) is not None:
                return fit
    return NoFit(_why_unsold(min(stated, key=_how_far), place.region))


def _successors(first: Candidate, stated: dict[int, Candidate]) -> list[Candidate]:
    """Return a part and what superseded it, oldest first, as far as fits are stated."""
    chain = [first]
    while (follower := stated.get(chain[-1].superseded_by or 0)) and follower not in chain:
        chain.append(follower)
    return chain


def _sold(c: Candidate) -> Fit | None:
    if c.lifecycle not in ("active", "last_buy") or c.stock == 0:
        return None
    if c.offer_id is None or c.region is None or c.currency is None or c.price_minor is None:
        return None
    return Fit(
        part_id=c.part_id,
        sku=c.sku,
        name=c.name,
        pack_size=c.pack_size,
        offer_id=c.offer_id,
        region=c.region,
        currency=c.currency,
        price_minor=c.price_minor,
        tax_bp=c.tax_bp or 0,
        shipping_minor=c.shipping_minor or 0,
        stock=c.stock,
        delivery_d=float(c.delivery_d or 0),
    )


def _how_far(c: Candidate) -> int:
    """Return how far a part is from being sold; of several that fit, the nearest tells the reason."""
    return {"announced": 1, "discontinued": 2}.get(c.lifecycle, 0)


def _why_unsold(c: Candidate, region: str) -> str:
    if c.lifecycle == "announced":
        return f"{c.name} fits, but is not sold yet."
    if c.lifecycle == "discontinued":
        return f"{c.name} is no longer made, and no successor is known to fit."
    if c.offer_id is None:
        return f"{c.name} fits, but is not sold in {region}."
    return f"{c.name} fits, but is out of stock."


def _why_nothing_is_stated(conn: psycopg.Connection[Any], place: Place, asked: dict[str, Any]) -> str:
    valid, revision, region = conn.execute(STATED, asked).fetchone() or (None, None, None)
    if valid is None:
        return "No part is known for this slot yet."
    if not valid:
        return "The parts known for this slot are not sold at this time."
    if not revision:
        return f"No part is known to fit hardware revision {place.hw_rev or 'unknown'}."
    if not region:
        return f"No part is known to fit in {place.region}."
    return "No part is known to fit this serial number."
