"""Channels: one measured quantity each. A new sensor is a row, nothing else."""

from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

Kind = Literal["counter", "gauge", "state"]


class Measure(NamedTuple):
    """What a channel measures; `low` and `high` bound what can be believed."""

    name: str
    unit: str
    kind: Kind = "gauge"
    low: float = -inf
    high: float = inf


Scale = Literal["ln", "tens", "share"]


def scale(kind: Kind, low: float) -> Scale:
    """Return how a channel enters as a covariate: as its logarithm, by tens of its unit, or as a share of time."""
    return "share" if kind == "state" else "ln" if low >= 0 else "tens"


CHANNELS = (
    Measure("runtime", "h", "counter", 0, 1e6),
    Measure("volume", "L", "counter", 0, 1e9),
    Measure("running", "1", "state", 0, 1),
    Measure("left_pct", "%", "gauge", 0, 100),  # the unit's own estimate, per slot
    Measure("left_h", "h", "gauge", 0, 1e5),  # likewise, in hours
    Measure("pressure_drop", "Pa", "gauge", -1e4, 1e6),
    Measure("flow", "m3/h", "gauge", 0, 1e5),
    Measure("fan_rpm", "rpm", "gauge", 0, 1e5),
    Measure("load", "1", "gauge", 0, 1e6),  # how hard the part is used, against its rating
    Measure("pm25", "ug/m3", "gauge", 0, 5_000),
    Measure("pm10", "ug/m3", "gauge", 0, 5_000),
    Measure("voc", "1", "gauge", 0, 1e5),
    Measure("no2", "1", "gauge", 0, 1e5),
    Measure("temperature", "degC", "gauge", -60, 300),
    Measure("humidity", "%", "gauge", 0, 100),
    Measure("tds", "mg/L", "gauge", 0, 1e5),
    Measure("power", "W", "gauge", -1e5, 1e5),
    Measure("battery", "%", "gauge", 0, 100),
    Measure("rssi", "dBm", "gauge", -200, 20),
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A row of table channel."""

    channel_id: int
    tenant_id: int
    name: str
    unit: str
    kind: Kind
    low: float
    high: float


def add(conn: psycopg.Connection, tenant_id: int, measure: Measure) -> None:
    """Add a channel to a tenant, or change the bounds and unit of the one of that name."""
    conn.execute(
        """insert into channel (tenant_id, name, unit, kind, low, high) values (%s, %s, %s, %s, %s, %s)
           on conflict (tenant_id, name) do update
           set unit = excluded.unit, kind = excluded.kind, low = excluded.low, high = excluded.high""",
        (tenant_id, *measure),
    )


def of_tenant(conn: psycopg.Connection, tenant_id: int) -> dict[str, Channel]:
    """Return the tenant's channels by name."""
    with conn.cursor(row_factory=class_row(Channel)) as cursor:
        cursor.execute(
            "select channel_id, tenant_id, name, unit, kind, low, high from channel where tenant_id = %s", (tenant_id,)
        )
        return {channel.name: channel for channel in cursor}
