"""Commands that look: how things stand, what is missing, what is wrong, what would be said."""

from typing import Annotated

import typer

from gateway import clock, settings
from gateway.cli import overview, talk
from gateway.operate import troubled

app = typer.Typer()

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


@app.command()
def status(
    unit: Annotated[str | None, typer.Argument(help="A device name or GTIN/serial; else the whole fleet.")] = None,
    by: Annotated[troubled.By, typer.Option(help="What makes a unit one of the worst.")] = "all",
    worst: Annotated[int, typer.Option(min=0, max=1_000, help="How many of the worst units.")] = 10,
    as_json: talk.AsJson = False,
) -> None:
    """Tell how the fleet stands and which units want a look, worst first; or all about one unit."""
    from gateway.operate import database
    from gateway.operate import status as figures

    with database.connect(settings.load()) as conn:
        now = clock.now()
        if unit is not None:
            found = figures.unit(conn, unit, now)
        else:
            found = figures.fleet(conn, now)
            found["worst"] = [
                one._asdict() | {"troubles": [each._asdict() for each in troubled.troubles(one, now)]}
                for one in troubled.worst(conn, now, by=by, limit=worst)
            ]
    if as_json:
        talk.as_json(found)
    elif unit is None:
        overview.fleet(found)
    else:
        overview.unit(found)


@app.command()
def gaps(
    device: Annotated[str | None, typer.Option(help="Of one device only.")] = None,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    by_unit: Annotated[bool, typer.Option(help="Sums of each unit, most missing first.")] = False,
    limit: Limit = 100,
    as_json: talk.AsJson = False,
) -> None:
    """List sequence numbers that should be here and are not, those missing longest first; or sums of each unit."""
    from gateway.operate import database
    from gateway.operate import gaps as missing
    from gateway.registry import units

    listed = missing.by_unit if by_unit else missing.listed
    with database.connect(settings.load()) as conn:
        rows = listed(conn, device=device, closed=closed, limit=limit)
        whole = missing.open_ones(conn, units.named(conn, device).unit_id if device else None)
    now = clock.now()
    without = ("asked_at",) if closed else ("asked_at", "closed_at")
    talk.table(rows if as_json else overview.aged(rows, now, without=without), json=as_json, nothing="no gaps")
    if whole["open"] and not as_json:
        talk.say(f"{overview.gaps(whole, now)}; a unit fills its gaps, or says that it cannot, once it is here")


@app.command()
def doctor(as_json: talk.AsJson = False) -> None:
    """Look at everything this deployment leans on, and say what to do about what is wrong."""
    from gateway.operate import doctor as practice
    from gateway.operate import house

    findings = practice.examine(house.join(settings.load()))
    rows = [{"what": f.what, "verdict": f.verdict.value, "says": f.says, "remedy": f.remedy} for f in findings]
    talk.table(rows, json=as_json, nothing="nothing to look at")
    raise typer.Exit(practice.exit_code(findings))


@app.command()
def prompts(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be said, and say nothing.")] = False,
    as_json: talk.AsJson = False,
) -> None:
    """Show which owners would be asked now (--dry-run); the worker asks them."""
    from gateway.operate import database
    from gateway.replenish import prompts as rules

    if not dry_run:
        talk.refuse("only the worker asks owners; see what it would ask with: wearwell prompts --dry-run")
    with database.connect(settings.load()) as conn:
        verdicts = rules.rehearse(conn, clock.now())
    rows = [
        {
            "unit": found.serial,
            "slot": found.slot_name,
            "stage": found.stage,
            "left_pct": found.pct_left,
            "end_of_life": found.eol_q50,
            "order_at": found.order_at,
            "would": "ask" if silence is None else "say nothing",
            "because": silence or "the order date has come",
        }
        for found, silence in verdicts
    ]
    talk.table(rows, json=as_json, nothing="no order date has come")
