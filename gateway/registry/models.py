"""Product models and their slots, as rows."""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from gateway.errors import NotFound

SLOT_COLUMNS = """slot_id, tenant_id, model_id, code, name, predictor, life_h, life_d, load_channel, load_ref,
    indicator_channel, indicator_eol, indicator_baseline, indicator_falls, levels, flow_channel, flow_ref,
    flow_exponent, covariates, family, cost_early, cost_late, delivery_d"""


@dataclass(frozen=True, slots=True)
class ProductModel:
    model_id: int
    tenant_id: int
    gtin: str
    name: str
    category: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place a consumable sits; lives in running hours and calendar days, costs per day early and late."""

    slot_id: int
    tenant_id: int
    model_id: int
    code: str
    name: str
    predictor: str
    life_h: float | None
    life_d: float
    load_channel: str | None
    load_ref: float | None
    indicator_channel: str | None
    indicator_eol: float | None
    flow_channel: str | None
    flow_ref: float | None
    flow_exponent: float
    indicator_baseline: float | None
    indicator_falls: bool
    levels: list[float] | None
    covariates: list[str]
    family: str | None
    cost_early: float
    cost_late: float
    delivery_d: float | None


def by_gtin(conn: psycopg.Connection, gtin: str) -> ProductModel:
    """Return the product model of a 14-digit GTIN; raises NotFound."""
    with conn.cursor(row_factory=class_row(ProductModel)) as cursor:
        found = cursor.execute(
            "select model_id, tenant_id, gtin, name, category, adapter from product_model where gtin = %s", (gtin,)
        ).fetchone()
    if not found:
        raise NotFound(f"no product model has the GTIN {gtin}; declare it first: wearwell declare FILE.toml")
    return found


def slots(conn: psycopg.Connection, model_id: int) -> list[Slot]:
    """Return the slots of a product model, in the order of their declaration."""
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        cursor.execute(f"select {SLOT_COLUMNS} from slot where model_id = %s order by slot_id", (model_id,))
        return cursor.fetchall()


def get_slot(conn: psycopg.Connection, slot_id: int) -> Slot:
    """Return one slot; raises NotFound."""
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        found = cursor.execute(f"select {SLOT_COLUMNS} from slot where slot_id = %s", (slot_id,)).fetchone()
    if not found:
        raise NotFound(f"there is no slot {slot_id}")
    return found
