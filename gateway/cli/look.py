"""Commands that look: how things stand, what is missing, what was refused, what is wrong, what would be said."""

from typing import Annotated

import typer

from gateway import clock, settings
from gateway.cli import talk
from gateway.errors import Exit

app = typer.Typer()
quarantine = typer.Typer(help="Messages that were refused, with their reasons.")
app.add_typer(quarantine, name="quarantine")

Reason = Annotated[str | None, typer.Option(help="Of this reason only, such as unknown_unit.")]
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
    from gateway.operate import database
    from gateway.operate import gaps as missing

    with database.connect(settings.load()) as conn:
        rows = missing.listed(conn, device=device, closed=closed, limit=limit)
    talk.table(rows, json=as_json, nothing="no gaps")


@quarantine.command("list")
def list_quarantined(
    reason: Reason = None,
    device: Annotated[str | None, typer.Option(help="Of one device only.")] = None,
    after: Annotated[int, typer.Option(help="From the message after this id on.")] = 0,
    limit: Limit = 100,
    as_json: talk.AsJson = False,
) -> None:
    """List what was refused and waits, oldest first."""
    from gateway.ingest import quarantine as refused
    from gateway.operate import database

    with database.connect(settings.load()) as conn:
        kept = refused.listed(conn, reason=reason, device=device, limit=limit, after=after)
    rows = [
        {
            "id": one.quarantine_id,
            "received_at": one.received_at,
            "topic": one.topic,
            "bytes": len(one.payload),
            "reason": one.reason,
            "detail": one.detail,
        }
        for one in kept
    ]
    talk.table(rows, json=as_json, nothing="nothing is quarantined")


@quarantine.command("show")
def show_quarantined(
    number: Annotated[int, typer.Argument(help="Its id in the list.")], as_json: talk.AsJson = False
) -> None:
    """Show one refused message whole: topic, reason, and its bytes as text or in hexadecimal."""
    from dataclasses import asdict

    from gateway.ingest import quarantine as refused
    from gateway.operate import database

    with database.connect(settings.load()) as conn:
        one = refused.get(conn, number)
        conn.rollback()
    payload = bytes(one.payload)
    talk.figures(asdict(one) | {"payload": payload.decode() if payload.isascii() else payload.hex()}, json=as_json)


@quarantine.command("release")
def release_quarantined(
    number: Annotated[int | None, typer.Argument(help="Its id in the list; else all of a reason.")] = None,
    reason: Reason = None,
    limit: Limit = 100,
) -> None:
    """Take refused messages through the door again, after what was wrong was put right."""
    from gateway.ingest import quarantine as refused
    from gateway.ingest import release
    from gateway.ingest.directory import Directory
    from gateway.operate import database

    if (number is None) == (reason is None):
        talk.refuse("name one message by its id, or a --reason")
    stored, again = 0, 0
    with database.connect(settings.load()) as conn:
        listed = [one.quarantine_id for one in refused.listed(conn, reason=reason, limit=limit)] if reason else [number]
        for each in listed:
            outcome = release.release(conn, Directory(), int(each or 0), clock.now())
            conn.commit()
            again += sum(outcome.refused.values())
            stored += outcome.stored
    talk.say(f"{len(listed)} messages: {stored} readings stored, {again} messages refused again")
    if again:
        raise typer.Exit(Exit.PARTIAL if again < len(listed) else Exit.FAILED)


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
