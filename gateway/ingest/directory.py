"""What ingest looks up for every message, kept for a few seconds: units, channels, slots."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from gateway.registry import channels, models, units
from gateway.registry.channels import Channel
from gateway.registry.units import Unit

FRESH = 10.0  # seconds that an answer is believed


class Target(NamedTuple):
    """Where a value goes: the slot (0 is the whole unit) and the channel."""

    slot_id: int
    channel: Channel


@dataclass(slots=True)
class Shelf:
    """The targets of one product model, by the name that units use: `channel` or `slot.channel`."""

    channels: dict[str, Channel]
    slots: dict[str, int]
    known: dict[str, Target | None] = field(default_factory=dict)

    def target(self, name: str) -> Target | None:
        """Return where a value of this name goes, or None where it is not declared."""
        if name not in self.known:
            if len(self.known) >= 10_000:  # names are the units' own: they must not fill our memory
                self.known.clear()
            slot, dot, channel_name = name.rpartition(".")
            channel = self.channels.get(channel_name)
            slot_id = self.slots.get(slot) if dot else 0
            self.known[name] = Target(slot_id, channel) if channel and slot_id is not None else None
        return self.known[name]


class Directory:
    """Units and shelves, read through; unknown units are asked for each time, since enrolment must work at once."""

    def __init__(self) -> None:
        self._units: dict[str, Unit] = {}
        self._shelves: dict[tuple[int, int], Shelf] = {}
        self._since = 0.0

    def forget(self) -> None:
        """Believe nothing any more."""
        self._units.clear()
        self._shelves.clear()
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
            self._shelves[key] = Shelf(channels.of_tenant(conn, unit.tenant_id), slots)
        return self._shelves[key]
