"""What ingest looks up for every message, kept for a few seconds: units, channels, slots."""

import time
from typing import NamedTuple

import numpy as np
import psycopg

from gateway.registry import channels, models, units
from gateway.registry.channels import Channel
from gateway.registry.units import Unit

FRESH = 10.0  # seconds that an answer is believed
UNDECLARED = -1  # the number of a name that leads nowhere
TARGET = np.dtype([("slot_id", "i4"), ("channel_id", "i4"), ("low", "f8"), ("high", "f8"), ("counter", "?")])


class Target(NamedTuple):
    """Where a value goes: the slot (0 is the whole unit) and the channel."""

    slot_id: int
    channel: Channel


class Catalogue:
    """Every target that values went to so far, numbered, with its properties as columns by that number."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._columns: np.ndarray | None = None

    def code(self, target: Target) -> int:
        """Return a target's number: always the same, and small."""
        key = (target.slot_id, target.channel.channel_id)
        if key not in self._codes:
            self._codes[key] = len(self.targets)
            self.targets.append(target)
            self._columns = None
        return self._codes[key]

    @property
    def columns(self) -> np.ndarray:
        """The targets as records of slot_id, channel_id, low, high, counter."""
        if self._columns is None:
            rows = [
                (slot, channel.channel_id, channel.low, channel.high, channel.kind == "counter")
                for slot, channel in self.targets
            ]
            self._columns = np.array(rows, TARGET)
        return self._columns


class Names(dict[str, int]):
    """Names that units use, with the numbers of their targets: `channel` or `slot.channel`."""

    def __init__(self, shelf: "Shelf") -> None:
        super().__init__()
        self.shelf = shelf

    def __missing__(self, name: str) -> int:
        if len(self) >= 10_000:  # names are the units' own: they must not fill our memory
            self.clear()
        target = self.shelf.find(name)
        found = self[name] = UNDECLARED if target is None else self.shelf.catalogue.code(target)
        return found


class Shelf:
    """The targets of one product model, by the name that units use."""

    def __init__(self, catalogue: Catalogue, channels: dict[str, Channel], slots: dict[str, int]) -> None:
        self.catalogue = catalogue
        self.channels = channels
        self.slots = slots
        self.codes = Names(self)

    def target(self, name: str) -> Target | None:
        """Return where a value of this name goes, or None where it is not declared."""
        code = self.codes[name]
        return None if code == UNDECLARED else self.catalogue.targets[code]

    def find(self, name: str) -> Target | None:
        """Look a name up, past everything that is known of it."""
        slot, dot, channel_name = name.rpartition(".")
        channel = self.channels.get(channel_name)
        slot_id = self.slots.get(slot) if dot else 0
        return Target(slot_id, channel) if channel and slot_id is not None else None


class Directory:
    """Units and shelves, read through; unknown units are asked for each time, since enrolment must work at once."""

    def __init__(self) -> None:
        self._units: dict[str, Unit] = {}
        self._shelves: dict[tuple[int, int], Shelf] = {}
        self.catalogue = Catalogue()
        self._since = 0.0

    def forget(self) -> None:
        """Believe nothing any more."""
        self._units.clear()
        self._shelves.clear()
        self.catalogue = Catalogue()
        self._since = time.monotonic()

    def units(self, conn: psycopg.Connection, devices: set[str]) -> dict[str, Unit]:
        """Return the units of these device names; unknown names are absent."""
        if time.monotonic() - self._since > FRESH:
            self.forget()
        if missing := [device for device in devices if device not in self._units]:
            self._units |= units.by_devices(conn, missing)
        return self._units

    def shelf(self, conn: psycopg.Connection, unit: Unit) -> Shelf:
        """Return the targets of a unit's product model."""
        key = (unit.tenant_id, unit.model_id)
        if key not in self._shelves:
            slots = {slot.code: slot.slot_id for slot in models.slots(conn, unit.model_id)}
            self._shelves[key] = Shelf(self.catalogue, channels.of_tenant(conn, unit.tenant_id), slots)
        return self._shelves[key]
