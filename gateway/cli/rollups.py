"""Commands about hourly rollups: whether they are what their readings come to, and making them so."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import clock, settings
from gateway.cli import talk
from gateway.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from gateway.ingest.recount import Difference

rollups = typer.Typer(help="Hourly rollups, against the readings they are made of.")

BUNCH = 50  # units looked at, or put right, in one transaction
SHOWN = 100

Unit = Annotated[str | None, typer.Option("--unit", help="Of this device name or GTIN/serial only; else the fleet.")]


@rollups.command()
def check(unit: Unit = None, as_json: talk.AsJson = False) -> None:
    """Compare every hour with a recomputation from its readings, and list what differs; changes nothing."""
    from gateway.ingest import recount

    found = _each_bunch(unit, "comparing rollups with readings", recount.differences)
    _show(found, as_json=as_json)
    if found:
        units = len({one.unit_id for one in found})
        talk.refuse(
            f"{len(found)} hours of {units} units are not what their readings come to; recompute them with:"
            f" wearwell rollups rebuild{f' --unit {unit}' if unit else ''}",
            Exit.FAILED,
        )


@rollups.command()
def rebuild(unit: Unit = None, as_json: talk.AsJson = False) -> None:
    """Recompute from readings every hour that differs, and ask for new forecasts; ingest may go on meanwhile."""
    from gateway.ingest import recount

    found = _each_bunch(
        unit, "rebuilding rollups from readings", lambda conn, ids: recount.put_right(conn, ids, clock.now())
    )
    _show(found, as_json=as_json)
    if found:
        talk.say(f"{len(found)} hours of {len({one.unit_id for one in found})} units recomputed")


def _each_bunch(
    name: str | None, title: str, work: "Callable[[psycopg.Connection, list[int]], list[Difference]]"
) -> "list[Difference]":
    from gateway.operate import database
    from gateway.registry import units

    found: list[Difference] = []
    with database.connect(settings.load()) as conn, talk.progress(title) as progress:
        ids = [units.named(conn, name).unit_id] if name else units.all_ids(conn)
        for begin in range(0, len(ids), BUNCH):
            found += work(conn, ids[begin : begin + BUNCH])
            conn.commit()
            progress(begin, len(ids))
    return found


def _show(found: "list[Difference]", *, as_json: bool) -> None:
    rows = [{name: value for name, value in asdict(one).items() if name != "unit_id"} for one in found]
    talk.table(rows if as_json else rows[:SHOWN], json=as_json, nothing="every hour is what its readings come to")
    if len(rows) > SHOWN and not as_json:
        talk.say(f"the first {SHOWN} are shown; --json lists all")
