"""Batches of units: a CSV goes in, a CSV with one secret per unit comes out."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from gateway.errors import WearwellError
from gateway.registry import units

COLUMNS = ("gtin", "serial", "device", "hw_rev", "region", "name", "radio")
NEEDED = {"gtin", "serial"}
NO = {"no", "false", "0"}


class BadBatch(WearwellError):
    """A batch of units cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One unit to enrol."""

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


def read(text: str) -> Iterator[Row]:
    """Read a batch: a header line with gtin and serial, and any of device, hw_rev, region, name, radio.

    Raises BadBatch for a header that names something else, or a line without gtin or serial.
    """
    table = csv.DictReader(io.StringIO(text))
    header = table.fieldnames or []
    if not NEEDED.issubset(header) or not set(header).issubset(COLUMNS):
        raise BadBatch(
            f"the first line must name gtin and serial, and may name {', '.join(COLUMNS[2:])};"
            f" it says: {', '.join(header)}"
        )
    for cells in table:
        if None in cells or None in cells.values():
            raise BadBatch(f"line {table.line_num} does not have as many fields as the first")
        said = {name: value.strip() for name, value in cells.items()}
        if not said["gtin"] or not said["serial"]:
            raise BadBatch(f"line {table.line_num} lacks a gtin or a serial")
        yield Row(
            line=table.line_num,
            gtin=said["gtin"],
            serial=said["serial"],
            device=said.get("device") or None,
            hw_rev=said.get("hw_rev", ""),
            region=said.get("region") or "DE",
            name=said.get("name") or None,
            radio=said.get("radio", "").lower() not in NO,
        )


def enrol(conn: psycopg.Connection, tenant_id: int, rows: list[Row], now: datetime) -> list[Made]:
    """Enrol a batch, all of it or nothing (the caller commits). Raises BadBatch that names the line at fault."""
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
            )
        except WearwellError as error:
            raise BadBatch(f"line {row.line}: {error}; nothing was enrolled") from None
        made.append(Made(done.unit.gtin, done.unit.serial, done.unit.device or "", done.secret or ""))
    return made


def write(path: Path, made: list[Made]) -> None:
    """Write the secrets into a new file that only its owner may read. Raises BadBatch when the file stands already."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise BadBatch(f"{path} exists; secrets are never written over something, name another file") from None
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("gtin", "serial", "device", "secret"))
        table.writerows((m.gtin, m.serial, m.device, m.secret) for m in made)
