"""What the batches of one haul say, kept as they came and made into readings all at once.

A look at each value on its own, in an interpreter, costs more than storing it; a column of them costs little. So each
batch leaves one row here, and everything that can be said of thousands of rows at once is left to `readings`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from operator import call, itemgetter
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import UNNUMBERED, Batch, Numbers, Value
from gateway.ingest.directory import UNDECLARED, Catalogue
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.readings import NONE, READING, Readings

CLOCK = {clock: place for place, clock in enumerate(clocks.CLOCKS)}
REFUSED = -1  # in place of flags, for a value that cannot be believed

Columns = dict[str, NDArray[Any]]


class Said(Struct):
    """A batch, whose it is, when its session's uptime read zero, and where not all samples are new, which are."""

    parcel: Parcel
    sender: Sender
    batch: Batch
    zero: int | None = None
    places: list[int] | None = None


class Gathered:
    """Batches in the order in which they came."""

    def __init__(self) -> None:
        self.said: list[Said] = []

    def __len__(self) -> int:
        return len(self.said)

    def readings(self, catalogue: Catalogue) -> tuple[Readings, NDArray[np.bool_], NDArray[np.int64]]:
        """Return a reading for each value, whether it can be stored, and the place of its batch: rising."""
        if not self.said:
            return NONE, np.empty(0, bool), np.empty(0, int)
        batches, partial = self._batches(), [place for place, said in enumerate(self.said) if said.places is not None]
        samples = [said.batch.r for said in self.said]
        for place in partial:
            samples[place] = [samples[place][new] for new in self.said[place].places or ()]
        lengths = np.fromiter(map(len, samples), int, len(samples))
        flat = list(chain.from_iterable(samples))  # zip(*flat) would make an iterator of each
        offset, named = np.fromiter(map(itemgetter(0), flat), float, len(flat)), list(map(itemgetter(1), flat))
        of_sample = np.repeat(np.arange(len(samples)), lengths)
        sample = np.repeat(np.arange(len(named)), np.fromiter(map(len, named), int, len(named)))
        origin = of_sample[sample]
        ends = np.searchsorted(origin, np.arange(1, len(samples) + 1))
        code = np.fromiter(self._codes(named, ends), int, len(sample))
        values, judged = self._numbers(named, ends)
        targets = catalogue.columns
        found = np.empty(len(sample), READING)
        _, place_of_unit = np.unique(batches["unit_id"], return_inverse=True)
        found["key"] = place_of_unit[origin] * len(targets) + code
        begins = np.cumsum(lengths) - lengths
        within = np.arange(len(of_sample)) - begins[of_sample]
        last = np.maximum.reduceat(offset, begins)
        for place in partial:
            within[begins[place] : begins[place] + lengths[place]] = self.said[place].places
            last[place] = max(each for each, _ in self.said[place].batch.r)  # here before, it counts all the same
        of_batch = {name: batches[name][of_sample] for name in ("clock", "t", "received", "zero")}
        placed = clocks.place_all(offset=offset, last=last[of_sample], **of_batch)
        for name, column in placed._asdict().items():
            found[name] = column[sample]
        for name in ("tenant_id", "unit_id", "session", "received"):
            found[name] = batches[name][origin]
        found["seq"] = (batches["first"][of_sample] + np.where(batches["session"][of_sample] == UNNUMBERED, 0, within))[
            sample
        ]
        found["value"] = values
        for name in ("slot_id", "channel_id", "counter"):
            found[name] = targets[name][code]
        return found, _judge(found, targets, code, judged) & (code != UNDECLARED), origin

    def _batches(self) -> Columns:
        """Return what holds for a whole batch, a column each."""
        units, batches = [said.sender.unit for said in self.said], [said.batch for said in self.said]
        return {
            "tenant_id": np.array([unit.tenant_id for unit in units], "i4"),
            "unit_id": np.array([unit.unit_id for unit in units], "i8"),
            "session": np.array([batch.s for batch in batches], "i8"),
            "first": np.array([batch.q for batch in batches], "i8"),
            "clock": np.array([CLOCK[batch.c] for batch in batches], "i8"),
            "t": np.array([batch.t for batch in batches], "f8"),
            "received": np.array([said.parcel.received for said in self.said], "i8"),
            "zero": np.array([NO_TIME if said.zero is None else said.zero for said in self.said], "i8"),
        }

    def _codes(self, named: Sequence[dict[str, Value]], ends: NDArray[np.intp]) -> Iterator[int]:
        """Return the number of each value's target, one after another. ends: of each batch, in values."""
        names = chain.from_iterable(named)
        shelves = [said.sender.shelf for said in self.said]
        if len(set(map(id, shelves))) == 1:
            return map(shelves[0].codes.__getitem__, names)
        lookups = [shelf.codes.__getitem__ for shelf in shelves]
        return map(call, chain.from_iterable(map(repeat, lookups, np.diff(ends, prepend=0).tolist())), names)

    def _numbers(self, named: Sequence[dict[str, Value]], ends: NDArray[np.intp]) -> tuple[list[float], dict[int, int]]:
        """Return values as numbers, and the flags of those that were none: words, states, nothing; by their places."""
        values: list[Any] = list(chain.from_iterable(map(dict.values, named)))
        judged: dict[int, int] = {}
        mixed = [place for place, said in enumerate(self.said) if type(said.batch) is not Numbers]
        names = list(chain.from_iterable(named)) if mixed else []
        for batch in mixed:
            shelf = self.said[batch].sender.shelf
            for place in range(ends[batch - 1] if batch else 0, ends[batch]):
                value = values[place]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    continue
                target = shelf.target(names[place])
                found = believe.judge(value, target.channel) if target else None
                values[place], judged[place] = found or (believe.NAN, REFUSED)
        return values, judged


def _judge(found: Readings, targets: NDArray[Any], code: NDArray[Any], judged: dict[int, int]) -> NDArray[np.bool_]:
    """Say which readings can be believed; those that stand for no value lose it, and say why."""
    places = np.fromiter(judged, int, len(judged))
    flags = np.fromiter(judged.values(), int, len(judged))
    within, stands_for_none = believe.judge_all(found["value"], targets["low"][code], targets["high"][code])
    within[places] = flags != REFUSED
    stands_for_none[places] = False
    found["flags"][places] |= np.where(flags == REFUSED, 0, flags).astype("i2")
    found["flags"][stands_for_none] |= believe.SENTINEL
    found["value"][stands_for_none] = believe.NAN
    return within | stands_for_none
