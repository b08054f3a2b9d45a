"""What the batches of one haul say, gathered value by value, and made into readings all at once.

A look at each value on its own, in an interpreter, costs more than storing it; a column of them costs little.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.ingest import believe, clocks
from gateway.ingest.content import Value
from gateway.ingest.directory import UNDECLARED, Catalogue, Shelf
from gateway.ingest.readings import NONE, READING, Readings

CLOCK = {clock: place for place, clock in enumerate(clocks.CLOCKS)}
REFUSED = -1  # in place of flags, for a value that cannot be believed

# Where a batch comes from; `clock` is its place in CLOCKS, what follows are arguments of `clocks.place_all`.
ORIGIN = (
    ("tenant_id", "i4"), ("unit_id", "i8"), ("session", "i8"),
    ("clock", "i8"), ("t", "f8"), ("last", "f8"), ("received", "i8"), ("zero", "i8"),
)  # fmt: skip
Origin = tuple[int, int, int, int, float, float, int, int]


class Gathered:
    """Columns that grow batch by batch: of batches, of their samples, of the samples' values."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.lengths: list[int] = []  # samples of each batch
        self.offsets: list[float] = []
        self.seqs: list[int] = []
        self.widths: list[int] = []  # values of each sample
        self.codes: list[int] = []  # the targets' numbers
        self.values: list[float] = []
        self.judged: dict[int, int] = {}  # the flags of values that were no numbers, by their place

    def add(
        self,
        origin: Origin,
        seqs: Sequence[int],
        offsets: Sequence[float],
        said: Sequence[dict[str, Value]],
        shelf: Shelf,
        *,
        numbers: bool,
    ) -> None:
        """Add the samples of one batch, in order; `numbers` says that no value needs a look of its own."""
        self.origins.append(origin)
        self.lengths.append(len(said))
        self.seqs += seqs
        self.offsets += offsets
        self.widths += map(len, said)
        self.codes += map(shelf.codes.__getitem__, chain.from_iterable(said))
        if numbers:
            self.values += chain.from_iterable(map(dict.values, said))  # type: ignore[arg-type]  # the caller says so
        else:
            named = chain.from_iterable(map(dict.items, said))
            self.values += [
                self._number(place, name, value, shelf) for place, (name, value) in enumerate(named, len(self.values))
            ]

    def _number(self, place: int, name: str, value: Value, shelf: Shelf) -> float:
        """Return a value as a number, judging what is none: a word, a state, nothing."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        target = shelf.target(name)
        judged = believe.judge(value, target.channel) if target else None
        number, self.judged[place] = judged or (believe.NAN, REFUSED)
        return number

    def __len__(self) -> int:
        return len(self.values)

    def readings(self, catalogue: Catalogue) -> tuple[Readings, NDArray[np.bool_], NDArray[np.int64]]:
        """Return a reading for each value, whether it can be stored, and the place of its batch."""
        if not self.values:
            return NONE, np.empty(0, bool), np.empty(0, int)
        origins = {
            name: np.array(column, dtype)
            for (name, dtype), column in zip(ORIGIN, zip(*self.origins, strict=True), strict=True)
        }
        of_sample = np.repeat(np.arange(len(self.origins)), self.lengths)
        sample = np.repeat(np.arange(len(self.offsets)), self.widths)
        origin = of_sample[sample]
        code = np.array(self.codes)
        found = np.empty(len(code), READING)
        _, place_of_unit = np.unique(origins["unit_id"], return_inverse=True)
        targets = catalogue.columns
        found["key"] = place_of_unit[origin] * len(targets) + code
        self._place(found, origins, of_sample, sample)
        for name in ("tenant_id", "unit_id", "session", "received"):
            found[name] = origins[name][origin]
        found["seq"] = np.array(self.seqs)[sample]
        found["value"] = self.values
        for name in ("slot_id", "channel_id", "counter"):
            found[name] = targets[name][code]
        kept = self._judge(found, targets, code) & (code != UNDECLARED)
        return found, kept, origin

    def _place(
        self, found: Readings, origins: dict[str, NDArray[Any]], of_sample: NDArray[Any], sample: NDArray[Any]
    ) -> None:
        """Say when each reading happened, and how we know."""
        clock, t, last, received, zero = (
            origins[name][of_sample] for name in ("clock", "t", "last", "received", "zero")
        )
        placed = clocks.place_all(clock, t, np.array(self.offsets, float), last, received, zero)
        for name, column in placed._asdict().items():
            found[name] = column[sample]

    def _judge(self, found: Readings, targets: NDArray[Any], code: NDArray[Any]) -> NDArray[np.bool_]:
        """Say which readings can be believed; those that stand for no value lose it, and say why."""
        judged = np.fromiter(self.judged, int, len(self.judged))
        flags = np.fromiter(self.judged.values(), int, len(self.judged))
        within, stands_for_none = believe.judge_all(found["value"], targets["low"][code], targets["high"][code])
        within[judged] = flags != REFUSED
        stands_for_none[judged] = False
        found["flags"][judged] |= np.where(flags == REFUSED, 0, flags).astype("i2")
        found["flags"][stands_for_none] |= believe.SENTINEL
        found["value"][stands_for_none] = believe.NAN
        return within | stands_for_none
