"""Batches of units: a CSV goes in, a CSV with one secret per unit comes out."""

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from gateway.errors import NotFound, WearwellError
from gateway.operate import table
from gateway.operate.table import BadTable
from gateway.registry import credentials, units

NEEDED = ("gtin", "serial")
KNOWN = (*NEEDED, "device", "hw_rev", "region", "name", "radio")
NO = {"no", "false", "0"}


@dataclass(frozen=True, slots=True)
class Row:
    """One unit to enrol; `line` is 0 when it stands in no file."""

    line: int
    gtin: str
    serial: str
    device: str | None
    hw_rev: str
    region: str
    name: str | None
    radio: bool


class Made(NamedTuple):
    """One enrolled unit; `device` and `secret` are empty for a unit without a radio."""

    gtin: str
    serial: str
    device: str
    secret: str


def read(text: str) -> list[Row]:
    """Read a batch of units; raises BadTable with the line at fault."""
    return [
        Row(
            line=line,
            gtin=said["gtin"],
            serial=said["serial"],
            device=said.get("device") or None,
            hw_rev=said.get("hw_rev", ""),
            region=said.get("region") or "DE",
            name=said.get("name") or None,
            radio=said.get("radio", "").lower() not in NO,
        )
        for line, said in table.read(text, needed=NEEDED, known=KNOWN)
    ]


def enrol(conn: psycopg.Connection, tenant_id: int, rows: list[Row], now: datetime, *, login: str) -> list[Made]:
    """Enrol a batch, all of it or nothing (the caller commits). Raises BadTable that names the line at fault.

    `login` is the gateway's own name at the broker, which no unit may have.
    """
    made = []
    for row in rows:
        try:
            done = units.enrol(
                conn,
                tenant_id,
                row.gtin,
                row.serial,
                now=now,
                radio=row.radio,
                device=row.device,
                hw_rev=row.hw_rev,
                region=row.region,
                name=row.name,
                login=login,
            )
        except WearwellError as error:
            where = f"line {row.line}: " if row.line else ""
            raise BadTable(f"{where}{error}; nothing was enrolled") from None
        made.append(Made(done.unit.gtin, done.unit.serial, done.unit.device or "", done.secret or ""))
    return made


def renew(conn: psycopg.Connection, name: str, now: datetime) -> Made:
    """Give the unit of a device name, or `GTIN/serial`, a new secret; the one that it had ends.

    Raises NotFound, also for a unit without a radio.
    """
    unit = units.named(conn, name)
    if unit.device is None:
        raise NotFound(f"{name!r} has no radio, and so no secret: its QR code is all it has")
    secret = credentials.issue(conn, tenant_id=unit.tenant_id, unit_id=unit.unit_id, device=unit.device, now=now)
    return Made(unit.gtin, unit.serial, unit.device, secret)


def write(path: Path, made: list[Made]) -> None:
    """Write the secrets into a new file that only its owner may read. Raises BadTable when the file stands already."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise BadTable(f"{path} exists; secrets are never written over something, name another file") from None
    except OSError as error:
        raise BadTable(f"{path} cannot be written: {error.strerror}") from None
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(Made._fields)
        lines.writerows(made)
