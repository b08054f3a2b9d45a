"""Columns of plain numbers as parameters of a statement: thousands of rows in one, in PostgreSQL's own binary form.

`select … from unnest(%s, %s)` with an `Int8s` and a `Times` takes numpy's memory over as it is, byte order aside. As
text literals the same columns cost more than the statement that uses them.
"""

import struct
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import psycopg
from numpy.typing import ArrayLike
from psycopg.adapt import Dumper
from psycopg.pq import Format

# A timestamp as microseconds since 2000.
MICROS = "(extract(epoch from {} - timestamptz '2000-01-01 00:00+00') * 1000000)::bigint"
NO_TIME = -(2**63)  # microseconds since 2000 that stand for no time; PostgreSQL reads them as '-infinity'

_HEAD = struct.Struct("!iiIii")  # dimensions, whether there are nulls, type of the elements, how many, first index


class Column:
    """Numbers of one PostgreSQL type."""

    element: ClassVar[int]  # oid of the type
    oid: ClassVar[int]  # oid of its array
    layout: ClassVar[str]

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.asarray(values)

    def packed(self) -> bytes:
        """Return the array as PostgreSQL sends and takes it."""
        cells = np.empty(len(self.values), np.dtype([("size", ">i4"), ("value", self.layout)]))
        cells["size"] = cells.dtype["value"].itemsize
        cells["value"] = self.values
        return _HEAD.pack(1, 0, self.element, len(cells), 1) + cells.tobytes()


class Int4s(Column):
    """An int[]."""

    element, oid, layout = 23, 1007, ">i4"


class Int8s(Column):
    """A bigint[]."""

    element, oid, layout = 20, 1016, ">i8"


class Float8s(Column):
    """A double precision[]."""

    element, oid, layout = 701, 1022, ">f8"


class Times(Column):
    """A timestamptz[], of microseconds since 2000."""

    element, oid, layout = 1184, 1185, ">i8"


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> bytes:
        return obj.packed()


for _kind in (Int4s, Int8s, Float8s, Times):
    psycopg.adapters.register_dumper(_kind, type(f"{_kind.__name__}Dumper", (_ColumnDumper,), {"oid": _kind.oid}))


def columns(rows: Iterable[tuple[Any, ...]], *kinds: type[Column]) -> tuple[Column, ...]:
    """Return rows as one column for each of their places; there must be a row."""
    return tuple(kind(values) for kind, values in zip(kinds, zip(*rows, strict=True), strict=True))
