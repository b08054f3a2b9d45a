"""Commands that look: how things stand, what is missing, what was refused, what is wrong, what would be said."""

from typing import Annotated

import typer

from gateway import clock, settings
from gateway.cli import talk
from gateway.errors import Exit

app = typer.Typer()
quarantine = typer.Typer(help="Messages that were refused, with their reasons.")
app.add_typer(quarantine, name="quarantine")

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


@app.command()
def status(
    unit: Annotated[str | None, typer.Argument(help="A device name or GTIN/serial; else the whole fleet.")] = None,
    as_json: talk.AsJson = False,
) -> None:
    """Tell how the fleet, or one unit, stands: readings, gaps, forecasts, what waits."""
    from gateway.operate import database
    from gateway.operate import status as figures

    with database.connect(settings.load()) as conn:
        if unit is None:
            talk.figures(figures.fleet(conn, clock.now()), json=as_json)
            return
        found = figures.unit(conn, unit)
    if as_json:
        talk.as_json(found)
        return
    talk.figures(found["unit"], json=False)
    talk.line("")
    talk.table(found["slots"], json=False, nothing="its model has no slots")
    talk.line("")
    talk.table(found["readings"], json=False, nothing="no reading yet")


@app.command()
def gaps(
    device: Annotated[str | None, typer.Option(help="Of one device only.")] = None,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Limit = 100,
    as_json: talk.AsJson = False,
) -> None:
    """List sequence numbers that should be here and are not."""
    from gateway.operate import database, ledger

    with database.connect(settings.load()) as conn:
        rows = ledger.gaps(conn, device=device, closed=closed, limit=limit)
    talk.table(rows, json=as_json, nothing="no gaps")


@quarantine.command("list")
def list_quarantined(
    reason: Annotated[str | None, typer.Option(help="Of one reason only, such as unknown_unit.")] = None,
    released: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    limit: Limit = 100,
    as_json: talk.AsJson = False,
) -> None:
    """List what was refused, newest first."""
    from gateway.operate import database, ledger

    with database.connect(settings.load()) as conn:
        rows = ledger.quarantined(conn, reason=reason, released=released, limit=limit)
    talk.table(rows, json=as_json, nothing="nothing is quarantined")


@quarantine.command("show")
def show_quarantined(
    number: Annotated[int, typer.Argument(help="Its id in the list.")], as_json: talk.AsJson = False
) -> None:
    """Show one refused message whole: topic, bytes, reason."""
    from gateway.operate import database, ledger

    with database.connect(settings.load()) as conn:
        talk.figures(ledger.one(conn, number), json=as_json)


@quarantine.command("release")
def release_quarantined(
    number: Annotated[int | None, typer.Argument(help="Its id in the list; else all of a reason.")] = None,
    reason: Annotated[str | None, typer.Option(help="All of this reason, such as unknown_unit.")] = None,
) -> None:
    """Take refused messages through the door again, after what was wrong was put right."""
    from gateway.operate import database, release

    if (number is None) == (reason is None):
        talk.refuse("name one message by its id, or a --reason")
    with database.connect(settings.load()) as conn:
        stored, refused = release.again(conn, number=number, reason=reason)
    talk.say(f"{stored} stored, {refused} refused again")
    if refused:
        raise typer.Exit(Exit.PARTIAL if stored else Exit.FAILED)


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
        rows = rules.due(conn, clock.now())
    talk.table(rows, json=as_json, nothing="nobody would be asked now")
