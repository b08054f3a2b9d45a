"""A manufacturer's catalogue from a CSV: what fits where, and what it costs; taking it again changes what stands."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation

import psycopg

from commerce import money
from gateway.errors import WearwellError
from gateway.operate import table
from gateway.operate.table import BadTable
from gateway.registry import gtin, models

NEEDED = ("sku", "name", "model", "slot", "region", "currency", "price")
OF_PART = ("pack_size", "lifecycle", "superseded_by")
OF_FITMENT = ("hw_rev", "serials", "preference")
OF_OFFER = ("tax_percent", "shipping", "stock", "delivery_days")
LIFECYCLES = ("announced", "active", "last_buy", "discontinued")
KNOWN = (*NEEDED, *OF_PART, *OF_FITMENT, *OF_OFFER)

PART = """
insert into part (tenant_id, sku, name, pack_size, lifecycle) values (%s, %s, %s, %s, %s)
on conflict (tenant_id, sku) do update
  set name = excluded.name, pack_size = excluded.pack_size, lifecycle = excluded.lifecycle returning part_id"""
FITMENT = """
insert into fitment (tenant_id, part_id, model_id, slot_id, hw_rev, serials, preference, valid)
select %(tenant)s, %(part)s, %(model)s, %(slot)s, %(hw_rev)s, %(serials)s, %(preference)s, tstzrange(%(since)s, null)
where not exists (select from fitment where part_id = %(part)s and slot_id = %(slot)s and region is null
  and hw_rev is not distinct from %(hw_rev)s and serials = %(serials)s and upper_inf(valid))"""
PREFERENCE = """
update fitment set preference = %(preference)s where part_id = %(part)s and slot_id = %(slot)s and region is null
  and hw_rev is not distinct from %(hw_rev)s and serials = %(serials)s and upper_inf(valid)"""
SAME_OFFER = """
update offer set stock = %(stock)s, delivery_d = %(delivery)s
where part_id = %(part)s and region = %(region)s and upper_inf(valid) and currency = %(currency)s
  and price_minor = %(price)s and tax_bp = %(tax)s and shipping_minor = %(shipping)s"""
END_OFFER = """
update offer set valid = tstzrange(lower(valid), %(since)s)
where part_id = %(part)s and region = %(region)s and upper_inf(valid)"""
OFFER = """
insert into offer (tenant_id, part_id, region, currency, price_minor, tax_bp, shipping_minor, stock, delivery_d, valid)
values (%(tenant)s, %(part)s, %(region)s, %(currency)s, %(price)s, %(tax)s, %(shipping)s, %(stock)s, %(delivery)s,
        tstzrange(%(since)s, null))"""


@dataclass
class Taken:
    """How much a catalogue held."""

    parts: set[str] = field(default_factory=set)
    fitments: int = 0
    offers: int = 0


def store(conn: psycopg.Connection, tenant_id: int, text: str, now: datetime) -> Taken:
    """Take a catalogue over from `now` on, whole or not at all (the caller commits).

    A price that changed ends the offer that stood; quotes made of it are honoured until they expire.
    Raises BadTable with the line at fault.
    """
    taken = Taken()
    later: list[tuple[int, str, str]] = []
    for line, said in table.read(text, needed=NEEDED, known=KNOWN):
        try:
            _line(conn, tenant_id, said, now)
        except (WearwellError, ValueError, psycopg.DataError, psycopg.IntegrityError) as error:
            raise BadTable(f"line {line}: {str(error).splitlines()[0]}; nothing was taken over") from None
        if said.get("superseded_by"):
            later.append((line, said["sku"], said["superseded_by"]))
        taken.parts.add(said["sku"])
        taken.fitments += 1
        taken.offers += 1
    for line, sku, successor in later:  # which may stand further down
        _supersede(conn, tenant_id, line, sku, successor)
    return taken


def _line(conn: psycopg.Connection, tenant_id: int, said: dict[str, str], now: datetime) -> None:
    model = models.by_gtin(conn, gtin.gtin14(said["model"]))
    slots = {slot.code: slot.slot_id for slot in models.slots(conn, model.model_id)}
    if model.tenant_id != tenant_id or said["slot"] not in slots:
        raise BadTable(f"{model.name} has no slot {said['slot']!r}; it has {', '.join(slots)}")
    if (lifecycle := said.get("lifecycle") or "active") not in LIFECYCLES:
        raise BadTable(f"lifecycle {lifecycle!r} is none of {', '.join(LIFECYCLES)}")
    pack = int(said.get("pack_size") or 1)
    row = conn.execute(PART, (tenant_id, said["sku"], said["name"], pack, lifecycle)).fetchone()
    currency = said["currency"].upper()
    given = {
        "tenant": tenant_id,
        "part": row and row[0],
        "model": model.model_id,
        "slot": slots[said["slot"]],
        "hw_rev": said.get("hw_rev") or None,
        "serials": said.get("serials") or "",
        "preference": int(said.get("preference") or 100),
        "region": said["region"].upper(),
        "currency": currency,
        "price": money.minor(said["price"], currency),
        "tax": _basis_points(said.get("tax_percent") or "0"),
        "shipping": money.minor(said.get("shipping") or "0", currency),
        "stock": int(said["stock"]) if said.get("stock") else None,
        "delivery": float(said.get("delivery_days") or 3),
        "since": now,
    }
    conn.execute(FITMENT, given)
    conn.execute(PREFERENCE, given)
    if not conn.execute(SAME_OFFER, given).rowcount:
        conn.execute(END_OFFER, given)
        conn.execute(OFFER, given)


def _supersede(conn: psycopg.Connection, tenant_id: int, line: int, sku: str, successor: str) -> None:
    done = conn.execute(
        """update part set superseded_by = s.part_id from part s
           where part.tenant_id = %s and part.sku = %s and s.tenant_id = part.tenant_id and s.sku = %s
             and s.part_id <> part.part_id""",
        (tenant_id, sku, successor),
    )
    if not done.rowcount:
        raise BadTable(
            f"line {line}: {sku} cannot be superseded by {successor}, which is no other part of this catalogue"
        )


def _basis_points(percent: str) -> int:
    try:
        points = Decimal(percent) * 100
    except InvalidOperation:
        raise ValueError(f"{percent!r} is not a percentage; write it like 19 or 8.1") from None
    if not 0 <= points <= 5000 or points != points.to_integral_value():
        raise ValueError(f"{percent!r} is no tax rate: 0 to 50, with two digits after the point at most")
    return int(points)
