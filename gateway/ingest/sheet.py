"""What batches say, a column each, and the readings that it comes to.

A look at each value on its own, in an interpreter, costs more than storing it; a column of them costs little.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from gateway.ingest import believe, clocks
from gateway.ingest.content import UNNUMBERED
from gateway.ingest.directory import UNDECLARED
from gateway.ingest.readings import READING, Readings

REFUSED = -1  # in place of flags, for a value that cannot be believed

Column = NDArray[Any]


class Sheet(Struct, frozen=True):
    """n batches of m samples and v values in all.

    tenant_id, unit_id, session, first, t, clock, received, zero, last: (n,) as in a batch; clock is its place in
    CLOCKS, zero when its session's uptime read zero (NO_TIME: that is not known), last the offset of its newest sample.
    length: (n,) samples of each. offset, within: (m,) when a sample happened, and its place in its batch. width: (m,)
    values of each sample. code, value: (v,) the number of a value's target (directory.Catalogue), and the value.
    """

    tenant_id: Column
    unit_id: Column
    session: Column
    first: Column
    t: Column
    clock: Column
    received: Column
    zero: Column
    last: Column
    length: Column
    offset: Column
    within: Column
    width: Column
    code: Column
    value: Column

    @classmethod
    def joined(cls, sheets: Sequence[Self]) -> Self:
        """Put batches behind one another."""
        if len(sheets) == 1:
            return sheets[0]
        return cls(*map(np.concatenate, zip(*map(structs.astuple, sheets), strict=True)))

    def __len__(self) -> int:
        return len(self.unit_id)

    def readings(
        self, targets: NDArray[Any], judged: Mapping[int, int]
    ) -> tuple[Readings, NDArray[np.bool_], NDArray[np.int64]]:
        """Return a reading for each value, whether it can be stored, and the place of its batch: rising.

        targets: of the catalogue. judged: flags of the values that were no numbers, or REFUSED, by their places.
        """
        of_sample = np.repeat(np.arange(len(self)), self.length)
        sample = np.repeat(np.arange(len(self.width)), self.width)
        origin = of_sample[sample]
        found = np.empty(len(sample), READING)
        _, place_of_unit = np.unique(self.unit_id, return_inverse=True)
        # By slot and channel, not by who spoke first: which of two readings is the later must not depend on others.
        rank = np.argsort(np.lexsort((targets["channel_id"], targets["slot_id"])))
        found["key"] = place_of_unit[origin] * len(targets) + rank[self.code]
        of_batch = {name: getattr(self, name)[of_sample] for name in ("clock", "t", "last", "received", "zero")}
        placed = clocks.place_all(offset=self.offset, **of_batch)
        for name, column in placed._asdict().items():
            found[name] = column[sample]
        for name in ("tenant_id", "unit_id", "session", "received"):
            found[name] = getattr(self, name)[origin]
        number = self.first[of_sample] + np.where(self.session[of_sample] == UNNUMBERED, 0, self.within)
        found["seq"] = number[sample]
        found["value"] = self.value
        for name in ("slot_id", "channel_id", "counter"):
            found[name] = targets[name][self.code]
        return found, _judge(found, targets, self.code, judged) & (self.code != UNDECLARED), origin


def begins(length: Column) -> Column:
    """Return where each batch begins among the samples, (n,), for batches of these lengths, (n,)."""
    before: Column = np.cumsum(length) - length
    return before


def places_within(length: Column) -> Column:
    """Return of each sample its place in its batch, (m,), for batches of these lengths, (n,)."""
    places: Column = np.arange(int(length.sum())) - np.repeat(begins(length), length)
    return places


def _judge(found: Readings, targets: NDArray[Any], code: Column, judged: Mapping[int, int]) -> NDArray[np.bool_]:
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
