"""Plain messages, as columns: batches of numbers of our own protocol, as most messages are.

Their columns are taken as soon as they are read. A thousand messages later, a look at each would have to fetch it from
memory again, which takes longer than all that is computed of it.
"""

from collections.abc import Sequence
from itertools import chain, compress
from typing import Any, Self

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from gateway.ingest import clocks
from gateway.ingest.content import Numbers
from gateway.ingest.parcel import Parcel
from gateway.ingest.topics import Address

Column = NDArray[Any]


class Plain(Struct, frozen=True):
    """n messages of m samples and v values in all.

    turn: (n,) their places among all that came with them. addresses: (n,). session, first, t, clock, received: (n,) as
    in a batch; clock is its place in CLOCKS. length: (n,) samples of each. offset: (m,).
    width: (m,) values of each sample. names, values: (v,).
    """

    turn: Column
    addresses: list[Address]
    session: Column
    first: Column
    t: Column
    clock: Column
    received: Column
    length: Column
    offset: Column
    width: Column
    names: list[str]
    values: Column

    @classmethod
    def of(
        cls,
        turns: Sequence[int] = (),
        received: Sequence[int] = (),
        addresses: Sequence[Address] = (),
        batches: Sequence[Numbers] = (),
    ) -> Self:
        """Take the columns of messages that were just read; turns: their places among all that came with them."""
        samples = [batch.r for batch in batches]
        flat = list(chain.from_iterable(samples))
        named = [said for _, said in flat]
        return cls(
            np.array(turns, int),
            list(addresses),
            np.array([batch.s for batch in batches], "i8"),
            np.array([batch.q for batch in batches], "i8"),
            np.array([batch.t for batch in batches], "f8"),
            np.array([clocks.PLACE[batch.c] for batch in batches], "i8"),
            np.array(received, "i8"),
            np.array(list(map(len, samples)), "i8"),
            np.array([offset for offset, _ in flat], "f8"),
            np.array(list(map(len, named)), "i8"),
            list(chain.from_iterable(named)),
            np.array(list(chain.from_iterable(map(dict.values, named))), "f8"),
        )

    @classmethod
    def among(cls, parcels: Sequence[Parcel]) -> Self:
        """Take the columns of those parcels that are plain."""
        found = [
            (parcel.turn, parcel.received, parcel.address, parcel.contents[0]) for parcel in parcels if parcel.plain
        ]
        return cls.of(*zip(*found, strict=True))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Put messages behind one another."""
        whole: list[Any] = []
        for columns in zip(*map(structs.astuple, parts or [cls.of()]), strict=True):
            lists = isinstance(columns[0], list)
            whole.append(list(chain.from_iterable(columns)) if lists else np.concatenate(columns))
        return cls(*whole)

    def __len__(self) -> int:
        return len(self.addresses)

    def chosen(self, some: NDArray[np.bool_]) -> Self:
        """Return the messages for which `some`, (n,), is true: as they are where all are meant."""
        if some.all():
            return self
        sample = np.repeat(some, self.length)
        value = np.repeat(sample, self.width)
        mask = {"offset": sample, "width": sample, "names": value, "values": value}
        chosen: dict[str, Any] = {}
        for name, column in structs.asdict(self).items():
            these = mask.get(name, some)
            chosen[name] = list(compress(column, these)) if isinstance(column, list) else column[these]
        return type(self)(**chosen)
