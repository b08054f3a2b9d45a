"""The fleet's units and their credentials, from a CSV file with a header.

Columns: device, secret, and where wanted gtin, serial (for whoever reads the file) and slots:
`hepa life_h=450 load_ref=12 part=WW-HEPA-2; carbon life_h=900`. The first slot holds the unit's pressure sensor.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_stubs.consumable import SlotSpec

DEFAULT_SLOTS = (SlotSpec("hepa", load_ref=12.0, senses_pressure=True),)


@dataclass(frozen=True, slots=True)
class Member:
    """One unit of the fleet: its name at the broker, its secret, and what is built into it."""

    device: str
    secret: str
    slots: tuple[SlotSpec, ...] = DEFAULT_SLOTS

    def __repr__(self) -> str:
        """Name it without its secret."""
        return f"Member({self.device!r})"


def slots(text: str) -> tuple[SlotSpec, ...]:
    """Read a slots column; empty is one HEPA slot. Raises ValueError with the word that cannot be read."""
    found: list[SlotSpec] = []
    for word in text.replace(";", " ").replace(",", " ").split():
        name, equals, value = word.partition("=")
        if not equals:
            found.append(SlotSpec(name, senses_pressure=not found))
        elif not found:
            raise ValueError(f"slots: {word!r} comes before the code of its slot")
        elif name == "part":
            found[-1] = replace(found[-1], part=value)
        elif name == "life_h":
            found[-1] = replace(found[-1], life_h=float(value))
        elif name == "load_ref":
            found[-1] = replace(found[-1], load_ref=float(value))
        else:
            raise ValueError(f"slots: {name!r} is none of life_h, load_ref, part")
    return tuple(found) or DEFAULT_SLOTS


def read(lines: Iterable[str]) -> list[Member]:
    """Read the fleet's file; raises ValueError with the line number and the fault."""
    rows = csv.DictReader(lines)
    missing = {"device", "secret"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"the header lacks {' and '.join(sorted(missing))}")
    members = []
    for row in rows:
        if not row["device"] or not row["secret"]:
            raise ValueError(f"line {rows.line_num}: device or secret is empty")
        try:
            members.append(Member(row["device"], row["secret"], slots(row.get("slots") or "")))
        except ValueError as error:
            raise ValueError(f"line {rows.line_num}: {error}") from None
    return members


def from_file(path: Path) -> list[Member]:
    """Read the fleet's file from disk."""
    with path.open(newline="") as lines:
        return read(lines)
