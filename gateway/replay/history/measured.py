"""readings*.csv: what the units of a history measured, a column for each channel, into the ledger."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.registry.channels import CHANNELS
from gateway.registry.declaration import Declaration
from gateway.replay.history import cells
from gateway.replay.history.ledger import READING, Entry, Ledger
from gateway.replay.history.roster import Member
from gateway.replay.history.sheet import Sheet
from gateway.replay.history.when import When

NEEDED = ("serial", "time")
MOST = 64  # values that one sample of the protocol may have

Told = Counter[tuple[str, str]]
"""How many values there are of a GTIN and a slot; of the whole unit the slot is empty."""


@dataclass(frozen=True, slots=True)
class Column:
    """One channel's column: its name on the wire, and what it is about."""

    place: int
    name: str
    slot: str

    def key(self) -> str:
        """Return the name as a key of JSON."""
        return f"{json.dumps(self.name)}:"


def channels(declared: Declaration) -> list[str]:
    """Return the names of the channels that units of this declaration may speak of."""
    return list(dict.fromkeys([*(channel.name for channel in CHANNELS), *(c.name for c in declared.channels)]))


def names(declared: Declaration) -> list[str]:
    """Return every name that a column may have: of the whole unit, and of what is in a slot."""
    known = channels(declared)
    slots = dict.fromkeys(slot.code for model in declared.models for slot in model.slots)
    return [*known, *(f"{slot}.{name}" for slot in slots for name in known)]


def shown(declared: Declaration) -> str:
    """Return what the first line may name, as a person reads it."""
    slots = ", ".join(dict.fromkeys(slot.code for model in declared.models for slot in model.slots))
    return (
        f"serial, time, arrived and channels: {', '.join(channels(declared))}; of what is in a slot ({slots}) as"
        " SLOT.CHANNEL. Declare another under [[channels]]"
    )


def read(sheet: Sheet, file: int, members: dict[str, Member], when: When, ledger: Ledger) -> Told:
    """Take the lines of one file into the ledger and return how many values they have."""
    told: Told = Counter()
    at_serial = sheet.columns.index("serial") if sheet.columns else 0
    columns = [Column(i, name, name.rpartition(".")[0]) for i, name in enumerate(sheet.columns) if name not in when.OWN]
    keys = [column.key() for column in columns]
    for line, row in sheet:
        member = members.get(row[at_serial])
        if member is None:
            sheet.fault(line, f"the serial {row[at_serial]!r} is not in units.csv; add it there, or take its lines out")
            continue
        times = when.of(sheet, line, row)
        values: list[tuple[Column, str]] = []
        for column, key in zip(columns, keys, strict=True):
            if not (text := row[column.place]):
                continue
            if column.slot and column.slot not in member.slots:
                sheet.fault(line, _no_slot(column, member))
                continue
            try:
                values.append((column, f"{key}{cells.number(text)!r}"))
            except ValueError as error:
                sheet.fault(line, f"{column.name}: {error}")
        if times is None:
            continue
        told.update((member.model.gtin, column.slot) for column, _ in values)
        for first in range(0, len(values), MOST):
            some = values[first : first + MOST]
            about = " ".join(column.name for column, _ in some)
            body = "{" + ",".join(value for _, value in some) + "}"
            ledger.add(Entry(*times, READING, member.number, file, line, len(some), about, body))
    return told


def files(folder: Path) -> list[Path]:
    """Return the files of readings, by name."""
    return sorted(folder.glob("readings*.csv"))


def _no_slot(column: Column, member: Member) -> str:
    return (
        f"{column.name}: units of the product model {member.model.gtin} have no slot {column.slot!r}, they have"
        f" {_all(member.slots)}; leave the cell empty for them"
    )


def _all(words: Iterable[str]) -> str:
    return ", ".join(words)
