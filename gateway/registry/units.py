"""Units: one physical product each, with a radio or without."""

import re
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from gateway.errors import Conflict, NotFound, WearwellError
from gateway.registry import credentials, gtin, models

DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
RESERVED = ("wearwell", "v1")  # the gateway's own login; and a level of our topics, where +/v1/status/# would reach
COLUMNS = """unit_id, u.tenant_id, u.model_id, serial, device, hw_rev, firmware, u.name, region, connection,
    connection_session, last_seen_at, u.created_at, m.gtin, m.name as model_name, m.adapter"""
FROM = "from unit u join product_model m on m.model_id = u.model_id"


class BadDevice(WearwellError):
    """A device name cannot be an MQTT topic level; use 1 to 64 letters, digits, dots, dashes and underscores."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A row of table unit with its product model's code, name and adapter."""

    unit_id: int
    tenant_id: int
    model_id: int
    serial: str
    device: str | None
    hw_rev: str
    firmware: str | None
    name: str | None
    region: str
    connection: str
    connection_session: int | None
    last_seen_at: datetime | None
    created_at: datetime
    gtin: str
    model_name: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new unit and, where it has a radio, the secret that is shown this once."""

    unit: Unit
    secret: str | None = field(repr=False)


def get(conn: psycopg.Connection, unit_id: int) -> Unit:
    """Return one unit; raises NotFound."""
    return _one(conn, "u.unit_id = %s", (unit_id,), f"there is no unit {unit_id}")


def by_code(conn: psycopg.Connection, gtin14: str, serial: str) -> Unit:
    """Return the unit of a GTIN and serial; raises NotFound."""
    return _one(
        conn, "m.gtin = %s and u.serial = %s", (gtin14, serial), f"no unit of {gtin14} has the serial {serial!r}"
    )


def named(conn: psycopg.Connection, name: str) -> Unit:
    """Return the unit that a person means by its device name or `GTIN/serial`; raises NotFound."""
    gtin14, _, serial = name.partition("/")
    found = by_code(conn, gtin14.zfill(14), serial) if serial else by_devices(conn, [name]).get(name)
    if found is None:
        raise NotFound(f"there is no device {name!r}; name it as enrolled, or as GTIN/serial")
    return found


def all_ids(conn: psycopg.Connection) -> list[int]:
    """Return the ids of every unit, in order."""
    return [row[0] for row in conn.execute("select unit_id from unit order by unit_id")]


def by_devices(conn: psycopg.Connection, devices: list[str]) -> dict[str, Unit]:
    """Return the units of these device names, by name; unknown names are absent."""
    with conn.cursor(row_factory=class_row(Unit)) as cursor:
        cursor.execute(f"select {COLUMNS} {FROM} where u.device = any(%s)", (devices,))
        return {unit.device: unit for unit in cursor if unit.device}


def enrol(
    conn: psycopg.Connection,
    tenant_id: int,
    gtin_text: str,
    serial_text: str,
    *,
    now: datetime,
    radio: bool = True,
    device: str | None = None,
    hw_rev: str = "",
    region: str = "DE",
    name: str | None = None,
    login: str | None = None,
) -> Enrolled:
    """Enrol a unit; one with a radio gets a credential of its own, each gets a first forecast.

    `login` is the gateway's own name at the broker, which no unit may have.
    Raises BadCode, BadDevice, NotFound (the tenant has no such product model), Conflict (serial or device stands).
    """
    model = models.by_gtin(conn, gtin.gtin14(gtin_text))
    if model.tenant_id != tenant_id:
        raise NotFound(f"no product model of this tenant has the GTIN {gtin_text}")
    serial = gtin.serial(serial_text)
    device = (device or _device_name(conn, tenant_id, serial)) if radio else None
    if device and not DEVICE.fullmatch(device):
        raise BadDevice(f"{device!r} cannot be a device name: 1 to 64 letters, digits, dots, dashes, underscores")
    if device and device in (*RESERVED, login):
        raise BadDevice(f"{device!r} cannot be a device name: the gateway itself uses it; choose another")
    row = conn.execute(
        """insert into unit (tenant_id, model_id, serial, device, hw_rev, region, name, created_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning unit_id""",
        (tenant_id, model.model_id, serial, device, hw_rev, region, name, now),
    ).fetchone()
    if row is None:
        raise Conflict(f"a unit with serial {serial!r} or device {device!r} is enrolled already")
    unit = get(conn, row[0])
    want_score(conn, tenant_id, [unit.unit_id], now)
    if device is None:
        return Enrolled(unit, None)
    secret = credentials.issue(conn, tenant_id=tenant_id, unit_id=unit.unit_id, device=device, now=now)
    return Enrolled(unit, secret)


def want_score(conn: psycopg.Connection, tenant_id: int, unit_ids: list[int], now: datetime) -> None:
    """Ask for a new forecast of these units."""
    conn.execute(
        """insert into rescore (unit_id, tenant_id, since) select unnest(%s::bigint[]), %s, %s""",
        (unit_ids, tenant_id, now),
    )


def _device_name(conn: psycopg.Connection, tenant_id: int, serial: str) -> str:
    row = conn.execute("select slug from tenant where tenant_id = %s", (tenant_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    return f"{row[0]}.{serial}"


def _one(conn: psycopg.Connection, where: str, arguments: tuple[object, ...], otherwise: str) -> Unit:
    with conn.cursor(row_factory=class_row(Unit)) as cursor:
        found = cursor.execute(f"select {COLUMNS} {FROM} where {where}", arguments).fetchone()
    if not found:
        raise NotFound(otherwise)
    return found
