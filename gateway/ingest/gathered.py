"""What the batches of one haul say, kept as they came and made into readings all at once.

Runs of plain ones (runs.py) are columns from the beginning. Each other batch leaves one row here.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from operator import call, itemgetter
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gateway.ingest import believe, clocks
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import Batch, Numbers, Value
from gateway.ingest.directory import Catalogue
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.readings import NONE, Readings
from gateway.ingest.sheet import REFUSED, Sheet, begins, places_within


class Said(Struct):
    """A batch, whose it is, when its session's uptime read zero, and where not all samples are new, which are."""

    parcel: Parcel
    sender: Sender
    batch: Batch
    zero: int | None = None
    places: list[int] | None = None


class Brought(NamedTuple):
    """What runs say; `unfold` makes a row of the batch at a place, `not_resent` is as that of all that is gathered."""

    sheet: Sheet
    unfold: Callable[[int], Said]
    not_resent: Callable[[], set[int]]


class Gathered:
    """Batches in the order in which they came, but for the runs, whose units say nothing else: they come first."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.unfolded: list[Parcel] = []
        self._runs: Brought | None = None

    def __len__(self) -> int:
        return self._in_runs + len(self.said)

    def take(self, runs: Brought) -> None:
        """Take what runs say, before all else."""
        self._runs = runs

    def at(self, place: int) -> Said:
        """Return a batch by its place; of one in the runs, `unfolded` keeps the parcel that is made of it."""
        if self._runs is None or place >= self._in_runs:
            return self.said[place - self._in_runs]
        said = self._runs.unfold(place)
        self.unfolded.append(said.parcel)
        return said

    def not_resent(self) -> set[int]:
        """Return the units of which a batch came that they did not send again themselves."""
        units = {said.sender.unit.unit_id for said in self.said if not said.parcel.envelope.resent}
        return units | self._runs.not_resent() if self._runs else units

    @property
    def _in_runs(self) -> int:
        return 0 if self._runs is None else len(self._runs.sheet)

    def readings(self, catalogue: Catalogue) -> tuple[Readings, NDArray[np.bool_], NDArray[np.int64]]:
        """Return a reading for each value, whether it can be stored, and the place of its batch: rising."""
        sheets, judged = [self._runs.sheet] if self._runs else [], {}
        if self.said:
            rows, flags = self._sheet()
            begin = sum(len(sheet.code) for sheet in sheets)
            judged = {begin + place: why for place, why in flags.items()}
            sheets.append(rows)
        if not sheets:
            return NONE, np.empty(0, bool), np.empty(0, int)
        return Sheet.joined(sheets).readings(catalogue.columns, judged)

    def _sheet(self) -> tuple[Sheet, dict[int, int]]:
        """Return what single batches say, and the flags of what was no number; by their places among their values."""
        units, batches = [said.sender.unit for said in self.said], [said.batch for said in self.said]
        partial = [place for place, said in enumerate(self.said) if said.places is not None]
        samples = [batch.r for batch in batches]
        for place in partial:
            samples[place] = [samples[place][new] for new in self.said[place].places or ()]
        length = np.array(list(map(len, samples)), int)
        flat = list(chain.from_iterable(samples))  # zip(*flat) would make an iterator of each
        offset, named = np.fromiter(map(itemgetter(0), flat), float, len(flat)), list(map(itemgetter(1), flat))
        width = np.array(list(map(len, named)), int)
        within, first = places_within(length), begins(length)
        last = np.maximum.reduceat(offset, first)
        for place in partial:
            within[first[place] : first[place] + length[place]] = self.said[place].places
            last[place] = max(each for each, _ in self.said[place].batch.r)  # here before, it counts all the same
        ends = np.cumsum(width)[np.cumsum(length) - 1]
        code = np.fromiter(self._codes(named, ends), int, int(width.sum()))
        values, judged = self._numbers(named, ends)
        sheet = Sheet(
            tenant_id=np.array([unit.tenant_id for unit in units], "i4"),
            unit_id=np.array([unit.unit_id for unit in units], "i8"),
            session=np.array([batch.s for batch in batches], "i8"),
            first=np.array([batch.q for batch in batches], "i8"),
            t=np.array([batch.t for batch in batches], "f8"),
            clock=np.array([clocks.PLACE[batch.c] for batch in batches], "i8"),
            received=np.array([said.parcel.received for said in self.said], "i8"),
            zero=np.array([NO_TIME if said.zero is None else said.zero for said in self.said], "i8"),
            last=last,
            length=length,
            offset=offset,
            within=within,
            width=width,
            code=code,
            value=np.array(values, float),
        )
        return sheet, judged

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
