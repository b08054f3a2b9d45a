"""What goes wrong between a sensor and a broker, as transformations of a unit's stream of batches.

A fault is called with one batch and returns the batches that leave instead: none, one or more. Each has its own
numpy Generator, so a seed repeats it. `chain` puts faults behind one another; `stream` runs a whole stream through.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from firmware_stubs import wire
from firmware_stubs.wire import Message, Sample, Value

Fault = Callable[[Message], list[Message]]


def chain(*faults: Fault) -> Fault:
    """Return one fault that passes each batch through all of these, in order."""

    def together(batch: Message) -> list[Message]:
        batches = [batch]
        for fault in faults:
            batches = [out for one in batches for out in fault(one)]
        return batches

    return together


def stream(batches: Iterable[Message], fault: Fault) -> Iterator[Message]:
    """Run a stream of batches through a fault."""
    for batch in batches:
        yield from fault(batch)


@dataclass(slots=True)
class Duplicate:
    """The acknowledgement was lost: a share of the batches leaves twice, the second time now or after the next one."""

    rng: np.random.Generator
    share: float = 0.05
    _again: Message | None = None

    def __call__(self, batch: Message) -> list[Message]:
        waiting, self._again = self._again, None
        out = [batch] if waiting is None else [batch, waiting]
        if self.rng.random() < self.share:
            if self.rng.random() < 0.5:
                out.append(batch)
            else:
                self._again = batch
        return out


@dataclass(slots=True)
class Gap:
    """The broker lost it: a share of the batches never arrives, though the unit believes it does."""

    rng: np.random.Generator
    share: float = 0.05

    def __call__(self, batch: Message) -> list[Message]:
        return [] if self.rng.random() < self.share else [batch]


@dataclass(slots=True)
class Stuck:
    """A sensor says the same for ever, from a sample on that is drawn with the chance `hazard` each."""

    rng: np.random.Generator
    channel: str = "pm25"
    hazard: float = 0.01
    _value: Value = None
    _stuck: bool = False

    def __call__(self, batch: Message) -> list[Message]:
        def read(sample: Sample) -> Sample:
            if self.channel not in sample.values:
                return sample
            if not self._stuck and self.rng.random() < self.hazard:
                self._stuck, self._value = True, sample.values[self.channel]
            if not self._stuck:
                return sample
            return replace(sample, values={**sample.values, self.channel: self._value})

        return [_each(batch, read)]


@dataclass(slots=True)
class Rollback:
    """An old copy of a counter was put back: once, at a drawn sample, the counter falls by `loss` and counts on."""

    rng: np.random.Generator
    channel: str = "runtime"
    hazard: float = 0.01
    loss: float = 100.0
    _lost: float = 0.0

    def __call__(self, batch: Message) -> list[Message]:
        def read(sample: Sample) -> Sample:
            value = sample.values.get(self.channel)
            if value is None or isinstance(value, (bool, str)):
                return sample
            if not self._lost and self.rng.random() < self.hazard:
                self._lost = min(self.loss, value)
            return replace(sample, values={**sample.values, self.channel: round(value - self._lost, 4)})

        return [_each(batch, read)]


@dataclass(slots=True)
class Skew:
    """The clock is wrong by a drawn offset of about `spread_s` seconds and drifts by `drift` seconds a second."""

    rng: np.random.Generator
    spread_s: float = 3600.0
    drift: float = 0.0
    _offset: float | None = None
    _first: float = 0.0

    def __call__(self, batch: Message) -> list[Message]:
        if batch["c"] != "synced":
            return [batch]
        if self._offset is None:
            self._offset, self._first = float(self.rng.normal(0, self.spread_s)), batch["t"]
        shift = self._offset + self.drift * (batch["t"] - self._first)
        return [{**batch, "t": wire.milliseconds(max(0.0, batch["t"] + shift))}]


@dataclass(slots=True)
class NoClock:
    """The clock was never set: from a batch on, drawn with the chance `hazard` each, times are missing or of 1970.

    With `honest` the unit says that it has no clock; else it claims that its clock of 1970 is right.
    """

    rng: np.random.Generator
    hazard: float = 1.0
    honest: bool = True
    _lost: bool = False

    def __call__(self, batch: Message) -> list[Message]:
        self._lost = self._lost or self.rng.random() < self.hazard
        if not self._lost:
            return [batch]
        if self.honest:
            return [{**batch, "t": 0, "c": "none", "r": [[0, values] for _, values in batch["r"]]}]
        return [{**batch, "t": wire.milliseconds(batch["t"] % 86_400)}]


@dataclass(slots=True)
class Reboot:
    """Power is lost between batches, with the chance `hazard` each: a new session, its sequence numbers from 1 again.

    What the unit's own journal would make of it is `Unit.reboot`; here the stream alone changes.
    """

    rng: np.random.Generator
    hazard: float = 0.02
    _reboots: int = 0
    _first: int = 1
    _session: int = 0

    def __call__(self, batch: Message) -> list[Message]:
        if batch["s"] != self._session:
            self._session, self._first = batch["s"], 1
            if self._reboots == 0:
                return [batch]
        if self.rng.random() < self.hazard:
            self._reboots += 1
            self._first = batch["q"]
        return [{**batch, "s": batch["s"] + self._reboots, "q": batch["q"] - self._first + 1}]


def _each(batch: Message, change: Callable[[Sample], Sample]) -> Message:
    """Change a batch's samples one by one; identity and times stay."""
    return wire.batch([change(sample) for sample in wire.samples(batch)])
