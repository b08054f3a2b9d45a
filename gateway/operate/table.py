"""CSV files that people prepare: a header we know, and every mistake with its line."""

import csv
import io
from collections.abc import Collection, Iterator

from gateway.errors import WearwellError


class BadTable(WearwellError):
    """A CSV file cannot be read as what it should be; the message names the line."""


def read(text: str, *, needed: Collection[str], known: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and stripped cells by column; every line has the `needed` ones, and none but the `known`.

    Raises BadTable.
    """
    table = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    header = table.fieldnames or []
    if not set(needed).issubset(header) or not set(header).issubset(known):
        others = ", ".join(name for name in known if name not in needed)
        raise BadTable(
            f"the first line must name {', '.join(needed)}, and may name {others};"
            f" it names {', '.join(header) or 'nothing'}"
        )
    for cells in table:
        if None in cells or None in cells.values():
            raise BadTable(f"line {table.line_num} does not have as many fields as the first")
        said = {name: value.strip() for name, value in cells.items()}
        if empty := [name for name in needed if not said[name]]:
            raise BadTable(f"line {table.line_num} lacks {' and '.join(empty)}")
        yield table.line_num, said
