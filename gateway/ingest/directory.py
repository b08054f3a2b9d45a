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
NOWHERE = (0, 0, np.nan, np.nan, False)  # so that what leads nowhere can be looked up where nothing else is known
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
            self._columns = np.array(rows or [NOWHERE], TARGET)
        return self._columns


class Names(dict[str, int]):
    """Names that units use, `channel` or `slot.channel`, with the numbers of their targets.

    Only declared ones are kept: the others are the units' own, of any length and number.
    """

    def __init__(self, catalogue: Catalogue, channels: dict[str, Channel], slots: dict[str, int]) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.channels = channels
        self.slots = slots

    def __missing__(self, name: str) -> int:
        slot, dot, channel_name = name.rpartition(".")
        channel = self.channels.get(channel_name)
        slot_id = self.slots.get(slot) if dot else 0
        if channel is None or slot_id is None:
            return UNDECLARED
        found = self[name] = self.catalogue.code(Target(slot_id, channel))
        return found


class Shelf:
    """The targets of one product model, by the name that units use."""

    def __init__(self, catalogue: Catalogue, channels: dict[str, Channel], slots: dict[str, int]) -> None:
        self.catalogue = catalogue
        self.slots = slots
        self.codes = Names(catalogue, channels, slots)

    def target(self, name: str) -> Target | None:
        """Return where a value of this name goes, or None where it is not declared."""
        code = self.codes[name]
        return None if code == UNDECLARED else self.catalogue.targets[code]


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
