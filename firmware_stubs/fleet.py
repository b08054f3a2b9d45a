"""Many units over MQTT in one process, in the world's own time, each with its credential and its connection."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np

from firmware_stubs.faults import Fault
from firmware_stubs.household import Habits
from firmware_stubs.members import Member
from firmware_stubs.pace import Pace
from firmware_stubs.radio import Broker, Radio
from firmware_stubs.unit import Hand, Unit

DAY_S = 86_400
CONNECTS_PER_S = 50.0  # at the start: a whole fleet at once is a storm that no real one is


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the fleet stands: counts of units, of samples, and the world's time in Unix seconds."""

    world: float
    units: int
    online: int
    recorded: int  # samples journaled since birth
    sent: int  # samples published, those sent again included
    receipted: int  # samples the gateway has told to be safe
    waiting: int  # samples in journals, without a receipt
    unrecorded: int  # samples full journals did not take
    parts_fitted: int
    trouble: str | None  # what the last unit in trouble said

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


class Fleet:
    """A fleet that starts when entered and stops cleanly when left: `async with Fleet(...) as fleet`."""

    def __init__(
        self,
        broker: Broker,
        members: Sequence[Member],
        pace: Pace,
        *,
        seed: int = 0,
        session: int = 1,
        history_d: float = 0.0,
        habits: Habits | None = None,
        sample_h: int = 1,
        refit_at: float | None = None,
        flush_s: float = 1.0,
        cbor: bool = False,
        fault: Callable[[np.random.Generator], Fault] | None = None,
    ) -> None:
        """Make the fleet's units, born `history_d` world days before the pace's origin.

        That history is delivered as late data from their journals. `session` must be greater than that of any earlier
        run against the same gateway. `flush_s` is in wall-clock seconds; `fault` makes one fault for each unit.
        """
        self.pace = pace
        self.parts_fitted = 0
        self.radios: dict[str, Radio] = {}
        for member in members:
            rng = np.random.default_rng([seed, crc32(member.device.encode()), 1])
            unit = Unit(
                member.device,
                born=pace.origin.timestamp()
                - history_d * DAY_S
                - float(rng.uniform(0, 3600)),  # no two on the same second
                seed=seed,
                session=session,
                slots=member.slots,
                habits=habits,
                sample_h=sample_h,
                refit_at=refit_at,
            )
            self.radios[member.device] = Radio(
                unit,
                member.secret,
                broker,
                pace.now,
                rng=rng,
                flush_s=flush_s,
                cbor=cbor,
                fault=fault(rng) if fault else None,
            )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Switch every unit on, a few at a time."""
        for k, (device, radio) in enumerate(self.radios.items()):
            self._tasks.append(asyncio.create_task(radio.run(k / CONNECTS_PER_S), name=f"unit {device}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let every unit say good night and disconnect."""
        await self.stop()

    async def wait(self) -> None:
        """Run until `stop`, or until a unit fails in a way that no connection explains, which is raised."""
        await asyncio.gather(*self._tasks)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop every unit within `grace_s` seconds; what has no receipt by then stays unsaid."""
        for radio in self.radios.values():
            radio.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def unit(self, device: str) -> Unit:
        """Return a unit, brought up to the world's time. Raises KeyError: the fleet has no such device."""
        unit = self.radios[device].unit
        unit.advance(self.pace.now())
        return unit

    async def fit_part(self, device: str, slot: str, sku: str, *, by: Hand = "button") -> str:
        """Fit a part on a unit, as its owner would; return the event's id. Raises KeyError: no such device or slot."""
        event = self.unit(device).fit_part(slot, sku, by=by)
        self.parts_fitted += 1
        return event

    def save(self, folder: Path) -> None:
        """Write each unit's memory into a folder; a file is there whole, or as it was before."""
        folder.mkdir(parents=True, exist_ok=True)
        for device, radio in self.radios.items():
            fresh = folder / f"{device}.json.new"
            fresh.write_text(json.dumps(radio.unit.memory()))
            fresh.replace(folder / f"{device}.json")

    def load(self, folder: Path) -> int:
        """Let units that have a memory in a folder go on from it, and return how many had. Before `run` only."""
        found = [device for device in self.radios if (folder / f"{device}.json").exists()]
        for device in found:
            self.radios[device].unit.recall(json.loads((folder / f"{device}.json").read_text()))
        return len(found)

    def progress(self) -> Progress:
        """Say where the fleet stands."""
        radios = self.radios.values()
        journals = [radio.unit.journal for radio in radios]
        return Progress(
            world=self.pace.now(),
            units=len(radios),
            online=sum(radio.online for radio in radios),
            recorded=sum(journal.receipted + len(journal) for journal in journals),
            sent=sum(radio.sent for radio in radios),
            receipted=sum(journal.receipted for journal in journals),
            waiting=sum(len(journal) for journal in journals),
            unrecorded=sum(radio.unit.unrecorded for radio in radios),
            parts_fitted=self.parts_fitted,
            trouble=next((f"{d}: {r.trouble}" for d, r in self.radios.items() if r.trouble), None),
        )
