"""A small house for tests of forecasts and prompts: one maker, its models, units with owners, parts that fit."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from commerce.desk import Desk, OrderEvent
from commerce.no_payments import NoPayments
from gateway import clock
from gateway.events import Event, EventType
from gateway.registry import channels, declaration, history, models, owners, units
from gateway.registry.models import Slot
from gateway.replenish import score

BORN = datetime(2026, 1, 1, tzinfo=UTC)
GTIN = "04006381333931"
TOML = """
tenant = "acme"
name = "An appliance maker"
[[models]]
gtin = "4006381333931"
name = "Purifier"
[[models.slots]]
code = "hepa"
name = "Filter"
life_h = 1000
life_d = 200
load_channel = "load"
load_ref = 2
[[models]]
gtin = "4006381333948"
name = "Jug"
[[models.slots]]
code = "cartridge"
name = "Cartridge"
life_d = 60
predictor = "calendar"
[[models]]
gtin = "4006381333955"
name = "Duct"
[[models.slots]]
code = "bag"
name = "Bag"
predictor = "hit"
life_h = 1000
life_d = 200
indicator_channel = "pressure_drop"
indicator_eol = 200
"""


@dataclass(frozen=True)
class House:
    """The tenant, the purifier's slot, and ids of what was made."""

    tenant_id: int
    slot: Slot


def build(conn: psycopg.Connection) -> House:
    """Declare the maker's models and the part that fits each slot, at 39.90 EUR, there in three days."""
    tenant_id = declaration.declare(conn, declaration.read(TOML))
    conn.execute("select reading_partitions(%s, %s)", (BORN, BORN + timedelta(days=400)))
    for gtin in (GTIN, "04006381333948", "04006381333955"):
        model = models.by_gtin(conn, gtin)
        slot = models.slots(conn, model.model_id)[0]
        part = conn.execute(
            "insert into part (tenant_id, sku, name) values (%s, %s, %s) returning part_id",
            (tenant_id, f"P-{slot.code}", f"New {slot.name.lower()}"),
        ).fetchone()
        assert part
        conn.execute(
            "insert into fitment (tenant_id, part_id, model_id, slot_id) values (%s, %s, %s, %s)",
            (tenant_id, part[0], model.model_id, slot.slot_id),
        )
        conn.execute(
            """insert into offer (tenant_id, part_id, region, currency, price_minor, tax_bp, delivery_d)
               values (%s, %s, 'DE', 'EUR', 3990, 1900, 3)""",
            (tenant_id, part[0]),
        )
    return House(tenant_id, slot_of(conn, GTIN))


def slot_of(conn: psycopg.Connection, gtin: str) -> Slot:
    return models.slots(conn, models.by_gtin(conn, gtin).model_id)[0]


def enrol(conn: psycopg.Connection, house: House, serial: str = "A1", gtin: str = GTIN, *, radio: bool = True) -> int:
    """Enrol a unit that was born at BORN and return its id."""
    name = f"Kitchen {'purifier' if gtin == GTIN else 'jug'}"
    return units.enrol(conn, house.tenant_id, gtin, serial, now=BORN, radio=radio, name=name).unit.unit_id


def own(conn: psycopg.Connection, house: House, unit_id: int, *, prompts: bool = True, locale: str = "en") -> int:
    """Give a unit to the owner and return the party id."""
    address = {
        "name": "An owner",
        "line1": "1 Sample Street",
        "postal_code": "10115",
        "city": "Berlin",
        "country": "DE",
    }
    return owners.register(
        conn,
        house.tenant_id,
        unit_id,
        email="owner@example.com",
        address=address,
        locale=locale,
        now=BORN,
        prompts=prompts,
    )


def report(
    conn: psycopg.Connection,
    unit_id: int,
    channel: str,
    values: list[tuple[datetime, float]],
    *,
    slot_id: int = 0,
) -> None:
    """Store one reading in each of some hours, with their rollups, as ingest would."""
    tenant_id = units.get(conn, unit_id).tenant_id
    what = channels.of_tenant(conn, tenant_id)[channel]
    before = conn.execute(
        """select last from reading_hourly where unit_id = %s and channel_id = %s and slot_id = %s
           order by hour desc limit 1""",
        (unit_id, what.channel_id, slot_id),
    ).fetchone()
    last = before[0] if before else None
    hours, raw = [], []
    for ts, value in values:
        rise = max(value - last, 0.0) if last is not None and what.kind == "counter" else 0.0
        hour = ts.replace(minute=0, second=0, microsecond=0)
        hours.append((tenant_id, unit_id, slot_id, what.channel_id, hour, *[value] * 5, ts, rise))
        raw.append((tenant_id, unit_id, slot_id, what.channel_id, ts, value, int(ts.timestamp()), ts))
        last = value
    with conn.cursor() as cursor:
        cursor.executemany(
            """insert into reading_hourly
                 (tenant_id, unit_id, slot_id, channel_id, hour, n, low, high, mean, first, last, last_ts, rise)
               values (%s, %s, %s, %s, %s, 1, %s, %s, %s, %s, %s, %s, %s)""",
            hours,
        )
        cursor.executemany(
            """insert into reading
                 (tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, received_at, clock)
               values (%s, %s, %s, %s, %s, %s, 1, %s, %s, 's')""",
            raw,
        )
        cursor.execute(
            "update unit set last_seen_at = %s, connection = 'online' where unit_id = %s", (last_of(values), unit_id)
        )


def last_of(values: list[tuple[datetime, float]]) -> datetime:
    return values[-1][0]


def run(
    conn: psycopg.Connection,
    unit_id: int,
    days: int,
    *,
    hours_a_day: int = 8,
    load: float = 2.0,
    since: datetime = BORN,
) -> datetime:
    """Let a unit run from `since` for some days, an hour at a time, its counter going on from where it stood.

    Returns the end of the last day.
    """
    row = conn.execute(
        """select h.last from reading_hourly h join channel c using (channel_id)
           where h.unit_id = %s and c.name = 'runtime' order by h.hour desc limit 1""",
        (unit_id,),
    ).fetchone()
    count = row[0] if row else 0.0
    runtime, loads = [], []
    if not row:
        runtime.append((since, 0.0))
    for day in range(days):
        for hour in range(1, hours_a_day + 1):
            count += 1.0
            at = since + timedelta(days=day, hours=hour)
            runtime.append((at, count))
            loads.append((at, load))
    report(conn, unit_id, "runtime", runtime)
    report(conn, unit_id, "load", loads)
    return since + timedelta(days=days)


def scored(conn: psycopg.Connection, unit_id: int, now: datetime) -> dict[str, object]:
    """Score a unit and return where its slot stands."""
    score.score_units(conn, [unit_id], now)
    return standing(conn, unit_id)


def standing(conn: psycopg.Connection, unit_id: int) -> dict[str, object]:
    row = conn.execute(
        """select st.*, f.reasons, f.inputs, f.predictor from slot_state st left join forecast f using (forecast_id)
           where st.unit_id = %s""",
        (unit_id,),
    )
    assert row.description
    names = [column.name for column in row.description]
    found = row.fetchone()
    assert found
    return dict(zip(names, found, strict=True))


def set_clock(now: datetime) -> None:
    """Let the world's clock stand at `now`, as good as."""
    clock.accelerate(clock.Pace(now, clock.wall(), 1e-3))


def desk(conn: psycopg.Connection) -> Desk:
    """Return a desk whose transactions are savepoints of the test's connection; nothing can be paid at it."""
    return Desk(NoPayments(), lambda _: _Within(conn), tell, clock.now, clock.wall)


def tell(conn: psycopg.Connection, told: OrderEvent) -> None:
    """Record what the desk tells, as the composition root does."""
    payload = {"order_id": told.order_id}
    kind = EventType(told.type)
    history.record(conn, Event(told.tenant_id, told.unit_id, told.slot_id, kind, told.key, told.at, payload))


class _Within:
    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.block = conn.transaction()

    def __enter__(self) -> psycopg.Connection:
        self.block.__enter__()
        return self.conn

    def __exit__(self, *error: object) -> None:
        self.block.__exit__(*error)  # type: ignore[arg-type]  # handed on as it came
