"""`wearwell quarantine`: what was refused, why, what to do about it, and letting it through again."""

from typing import Annotated

import typer

from gateway import clock, settings
from gateway.cli import overview, talk
from gateway.errors import Exit

app = typer.Typer(invoke_without_command=True)

Reason = Annotated[str | None, typer.Option(help="Of this reason only, such as unknown_unit.")]
Device = Annotated[str | None, typer.Option(help="Of one device only.")]
PAGE = 100  # messages released between two words about how far it is
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


@app.callback()
def summary(
    context: typer.Context,
    by_unit: Annotated[bool, typer.Option(help="By unit and reason, most first.")] = False,
    as_json: talk.AsJson = False,
) -> None:
    """Tell what was refused and waits, by reason, each with what to do next; or by unit."""
    from gateway.operate import database, refused

    if context.invoked_subcommand:
        return
    with database.connect(settings.load()) as conn:
        rows = refused.by_unit(conn, limit=1_000) if by_unit else refused.by_reason(conn)
    shown = rows if as_json else overview.aged(rows, clock.now(), without=("example",))
    talk.table(shown, json=as_json, nothing="nothing is quarantined")
    if rows and not as_json:
        talk.say(
            "one of them whole: wearwell quarantine list, then show ID; through again: release --reason or --device"
        )


@app.command("list")
def list_quarantined(
    reason: Reason = None,
    device: Device = None,
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
            "device": one.device,
            "topic": one.topic,
            "bytes": len(one.payload),
            "reason": one.reason,
            "detail": one.detail,
        }
        for one in kept
    ]
    talk.table(rows, json=as_json, nothing="nothing is quarantined")


@app.command("show")
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


@app.command("release")
def release_quarantined(
    number: Annotated[
        int | None, typer.Argument(help="Its id in the list; else all of a reason, or of a device.")
    ] = None,
    reason: Reason = None,
    device: Device = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the oldest; else all.")] = None,
) -> None:
    """Take refused messages through the door again, after what was wrong was put right."""
    from gateway.ingest import quarantine as refused
    from gateway.ingest import release
    from gateway.ingest.directory import Directory
    from gateway.operate import database, words

    if (number is None) == (reason is None and device is None):
        talk.refuse("name one message by its id, or a --reason, or a --device, or both of these")
    began, directory = clock.now(), Directory()
    taken, stored, again, last = 0, 0, 0, 0
    with database.connect(settings.load()) as conn:
        while True:
            room = PAGE if limit is None else min(PAGE, limit - taken)
            kept = [refused.get(conn, number)] if number is not None else []
            if number is None and room > 0:
                kept = refused.listed(conn, reason=reason, device=device, limit=room, after=last)
            for one in kept:
                last = one.quarantine_id
                if number is None and (not one.whole or one.received_at > began):
                    continue  # it cannot be released, or came meanwhile
                outcome = release.release(conn, directory, last, clock.now())
                conn.commit()
                taken += 1
                again += bool(outcome.refused)
                stored += outcome.stored
            if number is not None or not kept or kept[-1].received_at > began:
                break
            talk.say(f"{words.count(taken, 'message')} so far")
    if not taken:
        talk.say("no message waits that could be released so; see what waits with: wearwell quarantine")
        return
    said = f"{words.count(taken, 'message')}: {words.count(stored, 'reading')} stored"
    talk.say(f"{said}, {words.count(again, 'message')} refused again")
    if again:
        talk.say("why, and what to do about it: wearwell quarantine, and wearwell quarantine list")
        raise typer.Exit(Exit.PARTIAL if again < taken else Exit.FAILED)
