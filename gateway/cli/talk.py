"""How commands speak: data on stdout, for people or as JSON; everything else on stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from math import isnan
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gateway.errors import Exit

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Row = Mapping[str, Any]
GAP = 2  # between columns on a terminal


def line(text: str) -> None:
    """Print one line of data."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Tell the person something that is not data."""
    sys.stderr.write(text + "\n")


def complain(text: str) -> None:
    """Tell the person what went wrong, in one sentence."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"wearwell: {text}", style="red")


def refuse(text: str, code: Exit = Exit.USAGE) -> NoReturn:
    """Complain and end the command."""
    complain(text)
    raise typer.Exit(code)


def as_json(data: object) -> None:
    """Print data as JSON; times in ISO 8601."""
    line(json_of(data))


def json_of(data: object) -> str:
    """Return data as JSON; times in ISO 8601."""
    return json.dumps(data, indent=2, default=_plain, ensure_ascii=False)


def table(rows: Sequence[Row], *, json: bool, nothing: str) -> None:
    """Print rows: as JSON, as a table on a terminal, else as tab-separated lines; say `nothing` when there are none."""
    if json:
        as_json(list(rows))
    elif not rows:
        if nothing:
            say(nothing)
    elif sys.stdout.isatty():
        _draw([name.replace("_", " ") for name in rows[0]], [[_word(value) for value in row.values()] for row in rows])
    else:
        line("\t".join(rows[0]))
        for row in rows:
            line("\t".join(_word(value) for value in row.values()))


def _draw(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table that breaks lines between words; where the terminal is too narrow for it, each row by itself."""
    console = Console(markup=False, highlight=False)
    columns = list(zip(*rows, strict=True))
    words = [" ".join([name, *column]).split() for name, column in zip(head, columns, strict=True)]
    least = [max(map(len, each)) for each in words]
    widths = [max(len(name), *map(len, column)) for name, column in zip(head, columns, strict=True)]
    excess = sum(widths) + GAP * (len(widths) - 1) - console.width
    if sum(widths) - sum(least) < excess:  # it would cut numbers in two, which are misread then
        wide = max(map(len, head))
        for row in rows:
            line("\n".join([*(f"{name:<{wide}}  {cell}" for name, cell in zip(head, row, strict=True)), ""]))
        return
    for _ in range(excess):
        _, widest = max((width, i) for i, width in enumerate(widths) if width > least[i])
        widths[widest] -= 1
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for name, width in zip(head, widths, strict=True):
        drawn.add_column(name, overflow="fold", width=width)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def figures(data: Mapping[str, Any], *, json: bool) -> None:
    """Print nested figures: as JSON, else one line for each group."""
    if json:
        as_json(data)
        return
    width = max(map(len, data), default=0)
    for name, value in data.items():
        said = (
            "  ".join(f"{k.replace('_', ' ')} {_word(v)}" for k, v in value.items())
            if isinstance(value, Mapping)
            else _word(value)
        )
        line(f"{name:<{width}}  {said or 'none'}")


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what takes (done, of) while long work goes on: a bar on a terminal, else one line at the start."""
    if not sys.stderr.isatty():
        say(title)
        yield lambda _done, _of: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):
        return "-"  # nothing is known, or nothing was there to count
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value.value if isinstance(value, Enum) else value).split())


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else str(value)
