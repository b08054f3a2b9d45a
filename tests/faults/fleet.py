"""A small fleet for tests of ingest: one tenant, a purifier of our own protocol and a Dyson one."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from gateway.ingest.envelope import Envelope
from gateway.registry import declaration, units
from gateway.registry.units import Unit

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
GTIN, DYSON_GTIN = "04012345678901", "04012345678918"
DECLARATION = f"""
tenant = "acme"
name = "Acme"

[[models]]
gtin = "{GTIN}"
name = "Purifier"
slots = [{{ code = "hepa", name = "Filter", life_h = 4300, life_d = 365 }}]

[[models]]
gtin = "{DYSON_GTIN}"
name = "Pure Link"
adapter = "dyson"
slots = [{{ code = "filter", name = "Filter", life_h = 4300, life_d = 365 }}]
"""


def declare(conn: psycopg.Connection) -> int:
    """Declare tenant and models, and return the tenant's id."""
    return declaration.declare(conn, declaration.read(DECLARATION))


def enrol(conn: psycopg.Connection, serials: Iterable[str] = ("1",), gtin: str = GTIN) -> list[Unit]:
    """Declare the tenant and enrol units with these serials; the caller commits."""
    tenant_id = declare(conn)
    device = (lambda serial: serial) if gtin == DYSON_GTIN else (lambda serial: f"acme.{serial}")
    return [units.enrol(conn, tenant_id, gtin, serial, now=NOW, device=device(serial)).unit for serial in serials]


def batch(
    q: int = 1,
    samples: Iterable[Any] = ({"runtime": 1.0},),
    *,
    serial: str = "1",
    session: int = 7,
    at: datetime = NOW,
    step: float = 60.0,
    received: datetime | None = None,
    **changes: Any,
) -> Envelope:
    """Return a telemetry message whose first sample happened `at` and the others `step` seconds apart."""
    told = {"v": 1, "s": session, "q": q, "t": at.timestamp(), "c": "synced"}
    told["r"] = [[place * step, values] for place, values in enumerate(samples)]
    raw = json.dumps(told | changes).encode()
    return Envelope(f"ww/v1/acme.{serial}/tlm", raw, received or at + timedelta(minutes=5))


def message(leaf: str, told: dict[str, Any], *, serial: str = "1", received: datetime = NOW, **marks: Any) -> Envelope:
    """Return a message of the unit on one of its topics."""
    return Envelope(f"ww/v1/acme.{serial}/{leaf}", json.dumps({"v": 1, "s": 7} | told).encode(), received, **marks)
