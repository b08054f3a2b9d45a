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
        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            drawn.add_column(name.replace("_", " "), overflow="fold")
        for row in rows:
            drawn.add_row(*(_word(value) for value in row.values()))
        Console(markup=False, highlight=False).print(drawn)
    else:
        line("\t".join(rows[0]))
        for row in rows:
            line("\t".join(_word(value) for value in row.values()))


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
