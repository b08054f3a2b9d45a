"""Columns of plain numbers as PostgreSQL array literals: the quick way to hand a statement thousands of them."""

from collections.abc import Iterable


def literal(values: Iterable[float | None]) -> str:
    """Return `{1,2,NULL}`; cast it in the statement (`%s::bigint[]`)."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


# A column of microseconds since 2000, as timestamps.
TIMES = "timestamptz '2000-01-01 00:00+00' + {} * interval '1 microsecond'"
# A timestamp as microseconds since 2000.
MICROS = "(extract(epoch from {} - timestamptz '2000-01-01 00:00+00') * 1000000)::bigint"
