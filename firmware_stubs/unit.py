"""One simulated unit: counters, sensors, a journal, a reset button, and a true wear that it does not know itself.

It has no threads and no network: `advance` lives it up to a moment, `outgoing` is what its radio would send next,
`hear` is what its radio received. The same seed and birth give the same life, however it is cut into calls.
"""

from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import numpy as np

from firmware_stubs import wire
from firmware_stubs.consumable import Consumable, SlotSpec
from firmware_stubs.household import Habits, Hour, Household
from firmware_stubs.journal import CAP, Journal
from firmware_stubs.wire import Clock, Message, Sample, Value

FIRMWARE = "1.4.2"
HOUR = 3600.0  # s: what the simulation steps by
CHUNK_H = 24 * 14  # hours drawn at once
FAN_RPM = 1200.0
BATCH = 200  # samples: some 30 KB, well below what a broker or a small unit can hold
REMEMBERED = 32  # commands whose answer is repeated when they come again
KEPT = ("session", "runtime_h", "unrecorded", "_born", "_now", "_lived_h")
Hand = Literal["button", "app", "tag", "itself"]


class Unit:
    """A unit from its birth on; `seed` and the device name decide everything that chance decides."""

    def __init__(
        self,
        device: str,
        *,
        born: float,
        seed: int = 0,
        session: int = 1,
        slots: Sequence[SlotSpec] = (SlotSpec("hepa", load_ref=12.0, senses_pressure=True),),
        habits: Habits | None = None,
        sample_h: int = 1,
        journal_cap: int = CAP,
        refit_at: float | None = None,
    ) -> None:
        """Make a unit that is `born` at a Unix time and journals a sample every `sample_h` hours.

        With `refit_at`, the household puts in the same part again when the true wear reaches it.
        """
        home, sensors, *parts = (
            np.random.default_rng(s)
            for s in np.random.SeedSequence([seed, crc32(device.encode())]).spawn(len(slots) + 2)
        )
        self.device = device
        self.session = session
        self.clock: Clock = "synced"
        self.refit_at = refit_at
        self.household = Household(home, habits or Habits())
        self.slots = {spec.code: Consumable(spec, rng) for spec, rng in zip(slots, parts, strict=True)}
        self.journal = Journal(journal_cap)
        self.events: dict[str, Message] = {}  # not yet receipted, by id, the oldest first
        self.events_receipted = 0
        self.forecast: Message | None = None  # the gateway's last word; never a reason to stop working
        self.runtime_h = 0.0
        self.unrecorded = 0  # samples that a full journal did not take
        self.last_refusal: Message | None = None
        self._gain = float(np.exp(sensors.normal(0, 0.04)))  # each unit's dust sensor errs a little, its own way
        self._born = self._now = self._booted = born
        self._lived_h = 0
        self._sample_h = sample_h
        self._sequence = 0
        self._event_count = 0
        self._warm = False
        self._dust: list[float] = []
        self._told: set[str] = set()  # events sent since the last reconnection
        self._sent: dict[tuple[int, int], int] = {}  # (session, first sequence) of a batch → its last sequence
        self._answers: dict[str, list[Message]] = {}

    # ---- its life

    def advance(self, now: float) -> int:
        """Live until `now` (Unix seconds) and return how many samples were journaled."""
        before = self._sequence
        while (hours := int((now - self._born) // HOUR) - self._lived_h) > 0:
            start = self._born + self._lived_h * HOUR
            for hour in self.household.hours(start, min(hours, CHUNK_H)):
                self._live(hour)
        self._now = max(self._now, now)
        return self._sequence - before

    def _live(self, hour: Hour) -> None:
        self._lived_h += 1
        self._now = self._born + self._lived_h * HOUR
        self.runtime_h += hour.ran
        self._dust.append(hour.pm25)
        for code, slot in self.slots.items():
            slot.run(hour.ran, hour.pm25)
            if self.refit_at is not None and slot.wear >= self.refit_at:
                self.fit_part(code, slot.part)
        if self._lived_h % self._sample_h == 0:
            self._record(self._read(hour))
            self._dust.clear()

    def _read(self, hour: Hour) -> dict[str, Value]:
        """Read the sensors: PM2.5 as the mean since the last sample, the pressure drop only while the fan turns."""
        fan = FAN_RPM * (1 + 0.01 * hour.noise) if hour.ran > 0 else 0.0
        values: dict[str, Value] = {
            "runtime": round(self.runtime_h, 4),
            "running": hour.ran > 0,
            "pm25": round(self._gain * sum(self._dust) / len(self._dust), 1) if self._warm else "INIT",
            "fan_rpm": round(fan),
            "temperature": round(hour.temperature, 1),
        }
        self._warm = True
        for code, slot in self.slots.items():
            values[f"{code}.left_pct"] = slot.left_pct
            if slot.spec.senses_pressure and fan:
                values["pressure_drop"] = round(slot.pressure_drop(fan / FAN_RPM) * (1 + 0.03 * hour.noise), 1)
        return values

    def _record(self, values: dict[str, Value]) -> None:
        if self.journal.full:
            self.unrecorded += 1
            return
        self._sequence += 1
        self.journal.append(Sample(self.session, self._sequence, self.time(), self.clock, values))

    def time(self) -> float:
        """Return the time as the unit's own clock has it, to the millisecond."""
        seconds = {"synced": self._now, "relative": self._now - self._booted, "none": 0.0}[self.clock]
        return wire.milliseconds(seconds)

    def wear(self, slot: str) -> float:
        """Return the true wear of the part in a slot, 0 new to 1 end of life: what no gateway may see."""
        return self.slots[slot].wear

    # ---- its buttons

    def fit_part(self, slot: str, part: str | None, *, by: Hand = "button", tag: str | None = None) -> str:
        """Put a new part in a slot, and return the id of the event that tells so. Raises KeyError: no such slot."""
        self.slots[slot].fit(part)
        return self._tell("part_fitted", slot=slot, part=part, tag=tag, by=by)

    def press(self, button: str) -> str:
        """Press a button, which opens a claim window at the gateway; return the event's id."""
        return self._tell("button_pressed", button=button)

    def reboot(self, clock: Clock = "synced") -> None:
        """Lose power for a moment: a new session, the clock as it comes back, journal and counters kept."""
        self.session += 1
        self.clock = clock
        self._sequence = 0
        self._event_count = 0
        self._booted = self._now
        self._warm = False
        self._dust.clear()
        self.reconnected()

    def _tell(self, kind: str, **facts: object) -> str:
        self._event_count += 1
        identity = f"{self.session}-{self._event_count}"
        self.events[identity] = wire.event(self.session, identity, self.time(), self.clock, kind, **facts)
        return identity

    # ---- its flash

    def memory(self) -> dict[str, Any]:
        """Return, for JSON, what the unit keeps when it is switched off, and what the simulation needs to go on."""
        return {
            "numbers": {name: getattr(self, name) for name in KEPT},
            "journal": self.journal.memory(),
            "events": self.events,
            "household": self.household.memory(),
            "slots": {code: slot.memory() for code, slot in self.slots.items()},
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on from a memory as after a power cut: everything is there, under a new session.

        A memory may be older than the last session; the one this unit was made with is greater then, and is kept.
        """
        made_with = self.session
        for name in KEPT:
            setattr(self, name, memory["numbers"][name])
        self.journal.recall(memory["journal"])
        self.events.update(memory["events"])
        self.household.recall(memory["household"])
        for code, slot in self.slots.items():
            slot.recall(memory["slots"][code])
        self.session = max(self.session, made_with - 1)
        self.reboot()

    # ---- its radio

    def birth(self) -> Message:
        """Return what it publishes, retained, whenever it has connected."""
        values = ["runtime", "running", "pm25", "fan_rpm", "temperature"]
        if any(slot.spec.senses_pressure for slot in self.slots.values()):
            values.append("pressure_drop")
        return wire.state(
            self.session,
            "online",
            fw=FIRMWARE,
            hw="B",
            slots={code: {"part": slot.part} for code, slot in self.slots.items()},
            channels=[*values, *(f"{code}.left_pct" for code in self.slots)],
        )

    def outgoing(self, limit: int = BATCH, window: int = CAP) -> Message | None:
        """Return the next batch, of at most `limit` samples; None: nothing new, or `window` samples lack a receipt."""
        room = min(limit, window - self.journal.outstanding)
        taken = self.journal.take(room) if room > 0 else []
        if not taken:
            return None
        self._sent[taken[0].session, taken[0].sequence] = taken[-1].sequence
        return wire.batch(taken)

    def outgoing_events(self) -> list[Message]:
        """Return the events not sent since the last reconnection."""
        unsent = [event for identity, event in self.events.items() if identity not in self._told]
        self._told.update(self.events)
        return unsent

    def reconnected(self) -> None:
        """Send everything again that has no receipt: what the broker acknowledged may be lost all the same."""
        self.journal.rewind()
        self._sent.clear()
        self.repeat_events()

    def repeat_events(self) -> None:
        """Tell every event again that has no receipt."""
        self._told.clear()

    def hear(self, leaf: str, message: Message) -> list[tuple[str, Message]]:
        """Take in a message of the gateway's and return what to publish in answer, as (end of topic, message)."""
        if leaf == "dn/receipt":
            self._hear_receipt(message)
        elif leaf == "dn/forecast":
            self.forecast = message
        elif leaf == "dn/cmd" and isinstance(message.get("id"), str):
            return self._obey(message["id"], message)
        return []

    def _hear_receipt(self, message: Message) -> None:
        session, through = wire.whole_number(message.get("s")), wire.whole_number(message.get("through"))
        if session and through:
            self.journal.receipt(session, through)
            self.journal.close(self.session)
            self._sent = {key: last for key, last in self._sent.items() if key[0] != session or last > through}
        elif "error" in message:
            self.last_refusal = message
            if str(message["error"]) in wire.SETTLED:
                self._set_aside(session, wire.whole_number(message.get("q")), message.get("id"))
        elif isinstance(message.get("event"), str) and message["event"] in self.events:
            del self.events[message["event"]]
            self.events_receipted += 1

    def _set_aside(self, session: int | None, first: int | None, event: object) -> None:
        """Stop sending what the gateway keeps in quarantine: it would be refused again."""
        if session and first and (session, first) in self._sent:
            self.journal.refuse(session, first, self._sent[session, first])
        if isinstance(event, str):
            self.events.pop(event, None)

    def _obey(self, identity: str, command: Message) -> list[tuple[str, Message]]:
        """Answer a command; one that came before gets the answer it got, and is not done again."""
        if identity in self._answers:
            return [("up/reply", answer) for answer in self._answers[identity]]
        batches, answer = self._do(identity, command)
        self._answers[identity] = [answer]
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return [*(("tlm", batch) for batch in batches), ("up/reply", answer)]

    def _do(self, identity: str, command: Message) -> tuple[list[Message], Message]:
        expires = command.get("expires")
        if self.clock == "synced" and isinstance(expires, (int, float)) and expires < self._now:
            return [], wire.reply(identity, "timed_out", "The command had expired when it arrived.")
        session, first, last = (wire.whole_number(command.get(name)) for name in ("s", "from", "to"))
        if command.get("cmd") != "replay":
            return [], wire.reply(identity, "rejected", f"This unit knows no command {str(command.get('cmd'))[:40]}.")
        if not session or not first or not last or first > last:
            return [], wire.reply(identity, "rejected", "A replay needs s, from and to, from not above to.")
        found = self.journal.between(session, first, last)
        whole = len(found) == last - first + 1
        return _cut(found), wire.reply(identity, "done" if whole else "failed", "" if whole else "lost")


def _cut(samples: list[Sample], limit: int = BATCH) -> list[Message]:
    """Cut samples into batches that may stand alone."""
    runs: list[list[Sample]] = []
    for sample in samples:
        if runs and len(runs[-1]) < limit and wire.follows(runs[-1][-1], sample):
            runs[-1].append(sample)
        else:
            runs.append([sample])
    return [wire.batch(run) for run in runs]
