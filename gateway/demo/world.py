"""The demo's world: a manufacturer, its parts, a fleet of which some months have passed, and its owners."""

import csv
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

import psycopg

from gateway import clock
from gateway.operate import catalogue
from gateway.registry import declaration, owners, staff, units

PURIFIER = "9520000000011"
JUG = "9520000000028"
JUGS = 2
HISTORY = timedelta(days=170)
EDITOR = "staff@example.com"
FLEET = "fleet.csv"
ROOMS = ("Kitchen", "Bedroom", "Study", "Living room", "Nursery", "Hall", "Workshop", "Office")
# What the maker built in, as the stubs read it: the true lives scatter around these, and only the stub knows them.
SLOTS = "hepa life_h=450 load_ref=12 part=EX-HEPA-1; water life_h=1100 part=EX-WATER-1"


@dataclass(frozen=True, slots=True)
class World:
    """What was made: the units, and how to get in."""

    tenant_id: int
    devices: int
    fleet: Path
    password: str
    jug: str
    """Path of the owner page of a unit without a radio."""


def make(conn: psycopg.Connection, folder: Path, units_count: int, born: datetime) -> World:
    """Make the world as it was at `born` and return it; the caller commits. The fleet's file goes into `folder`."""
    files = resources.files("gateway.demo")
    tenant_id = declaration.declare(conn, declaration.read((files / "maker.toml").read_text("utf-8")))
    catalogue.store(conn, tenant_id, (files / "parts.csv").read_text("utf-8"), born)
    fleet = folder / FLEET
    fleet.touch(mode=0o600)
    with fleet.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("device", "secret", "slots"))
        for number in range(1, units_count + 1):
            made = _unit(conn, tenant_id, PURIFIER, number, born)
            table.writerow((made.unit.device, made.secret, SLOTS))
    jugs = [_unit(conn, tenant_id, JUG, number, born, radio=False) for number in range(1, JUGS + 1)]
    password = secrets.token_urlsafe(12)
    staff.create(conn, tenant_id=tenant_id, email=EDITOR, password=password, role="admin", wall=clock.wall())
    unit = jugs[0].unit
    return World(tenant_id, units_count, fleet, password, f"/01/{unit.gtin}/21/{unit.serial}")


def _unit(
    conn: psycopg.Connection, tenant_id: int, gtin: str, number: int, born: datetime, *, radio: bool = True
) -> units.Enrolled:
    """Enrol a unit that belongs to somebody who agreed to be told."""
    kind = "P" if radio else "J"
    room = ROOMS[(number - 1) % len(ROOMS)]
    made = units.enrol(
        conn,
        tenant_id,
        gtin,
        f"{kind}{number:05d}",
        now=born,
        radio=radio,
        name=f"{room} purifier" if radio else f"{room} jug",
    )
    owners.register(
        conn,
        tenant_id,
        made.unit.unit_id,
        email=f"owner-{kind.lower()}{number}@example.com",
        name=f"Owner of {made.unit.serial}",
        address={
            "name": f"Owner of {made.unit.serial}",
            "line1": f"Example street {number}",
            "postal_code": "10115",
            "city": "Berlin",
            "country": "DE",
        },
        now=born,
    )
    return made
