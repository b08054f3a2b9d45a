"""The manufacturer's bench: versions of a slot's models, and who lets which forecast."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway import clock
from gateway.cli import bench, talk

model = typer.Typer(help="Wear models of a slot: fit, measure, compare, release, explain.", no_args_is_help=True)


@model.command("list")
def list_versions(
    slot: Annotated[str | None, typer.Argument(help="GTIN/code of a slot; else every slot.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Releases and roll-backs instead: who, when, why.")] = False,
    as_json: talk.AsJson = False,
) -> None:
    """List the versions of models: what each learned from, which is in force, which forecasts in the shadow."""
    from gateway.bench import listing, read
    from gateway.registry import models

    with bench.connected() as conn:
        slots = [read.slot(conn, slot)] if slot else [models.get_slot(conn, each) for each in listing.every(conn)]
        rows = [row for each in slots for row in (listing.audit if log else listing.listed)(conn, each)]
    talk.table(rows, json=as_json, nothing="no model has been fitted yet; fit one with: wearwell model fit SLOT")


@model.command()
def fit(
    slots: Annotated[list[str], typer.Argument(metavar="SLOT...", help="GTIN/code of each slot.")],
    predictor: bench.PredictorName = None,
    note: bench.Note = "",
    until: bench.Until = None,
    workers: bench.Workers = 1,
    dask: bench.DaskAddress = None,
    as_json: talk.AsJson = False,
) -> None:
    """Fit models from this deployment's own history and keep each as an immutable version; nothing is released."""
    from gateway.bench import choose, listing, read
    from gateway.bench import fit as fitting

    with bench.connected() as conn:
        every = list({of.slot_id: of for of in (read.slot(conn, slot) for slot in slots)}.values())
        names = [choose.known(predictor or of.predictor) for of in every]
        records = [read.record(conn, of, bench.moment(until)) for of in every]
        wanted = list(zip(records, names, strict=True))
        fitted = fitting.fit_all(conn, wanted, note=note, now=clock.now(), crew=bench.crew(workers, dask))
        kept = {version.model_version_id for version in fitted}
        rows = [row for of in every for row in listing.listed(conn, of) if row["version"] in kept]
        called = [read.called(conn, of) for of in every]
    talk.table(rows, json=as_json, nothing="nothing was fitted")
    for of, name, version in zip(called, names, fitted, strict=True):
        number = version.model_version_id
        if not version.ends:
            talk.say(f"version {number} knows what is declared and no more: no part of {of} was seen to end yet")
        measured = number if until else name  # what came since may judge a version; of today's there is nothing yet
        talk.say(f"version {number} is not released; measure: wearwell model evaluate {of} --model {measured}")


@model.command("export")
def export_version(
    version: Annotated[int, typer.Argument(help="Its number in the list.")],
    out: Annotated[Path | None, typer.Option(help="A file to write; else stdout.")] = None,
) -> None:
    """Give out a version as JSON, sealed with its sha256."""
    from gateway.bench import fit as fitting

    with bench.connected() as conn:
        text = json.dumps(fitting.export(conn, version), indent=2, sort_keys=True)
    if out is None:
        talk.line(text)
        return
    bench.write(out, text + "\n")
    talk.say(f"version {version} written to {out}")


@model.command("import")
def import_version(
    slot: bench.SlotName,
    file: Annotated[Path, typer.Argument(help="What `wearwell model export` wrote.")],
    note: bench.Note = "",
    as_json: talk.AsJson = False,
) -> None:
    """Take in a version from a file; a damaged one, or one for another declaration, is refused and all stays."""
    from gateway.bench import fit as fitting
    from gateway.bench import listing, read

    with bench.connected() as conn:
        of = read.slot(conn, slot)
        version = fitting.take_in(conn, of, bench.read(file), note=note, now=clock.now())
        rows = [row for row in listing.listed(conn, of) if row["version"] == version.model_version_id]
    talk.table(rows, json=as_json, nothing="nothing was taken in")


@model.command()
def shadow(
    slot: bench.SlotName,
    version: Annotated[int | None, typer.Argument(help="The challenger's number; none with --end.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides, to start or end one.")] = None,
    end: Annotated[bool, typer.Option("--end", help="End the shadow; what it said stays.")] = False,
    as_json: talk.AsJson = False,
) -> None:
    """Let a challenger forecast beside the champion without telling anybody; without a number, show the shadows."""
    from gateway.bench import plain, read, staff
    from gateway.bench import shadow as shadows

    with bench.connected() as conn:
        of = read.slot(conn, slot)
        if version is not None or end:
            if not by:
                talk.refuse("name who decides with --by EMAIL")
            actor = staff.actor(conn, of.tenant_id, by)
            if version is not None:
                shadows.start(conn, shadows.own(conn, of, version), actor=actor, now=clock.now())
                talk.say(
                    f"version {version} forecasts in the shadow; see: wearwell model evaluate {slot} --model shadow"
                )
            else:
                talk.say(f"version {shadows.end(conn, of, actor=actor, now=clock.now())} forecasts no more")
        rows = plain.plain(shadows.of_slot(conn, of.slot_id))
    talk.table(rows, json=as_json, nothing="no challenger has forecast in the shadow of this slot")


@model.command()
def release(
    version: Annotated[int, typer.Argument(help="Its number in the list.")], by: bench.By, note: bench.Note
) -> None:
    """Let a version forecast its slot from now on, with a note; the log keeps who and when."""
    from gateway.bench import measured, read, staff
    from gateway.bench import release as releasing
    from gateway.registry import models
    from gateway.replenish import versions

    with bench.connected() as conn:
        chosen = versions.get(conn, version)
        of = models.get_slot(conn, chosen.slot_id)
        actor = staff.actor(conn, of.tenant_id, by)
        caution = measured.caution(conn, chosen)
        after = releasing.release(conn, version, actor=actor, note=note, now=clock.now())
        called = read.called(conn, of)
    talk.say(f"version {version} forecasts {of.code!r} from now on; undo with: wearwell model rollback {called}")
    if caution:
        talk.say(caution)
    if after.predictor != of.predictor:
        talk.say(f'declare predictor = "{after.predictor}" in your file too: another declaration would change it back')


@model.command()
def rollback(slot: bench.SlotName, by: bench.By, note: bench.Note = "") -> None:
    """Take the last release back, in one step: the version released before it that answers forecasts again."""
    from gateway.bench import read, staff
    from gateway.bench import release as releasing

    with bench.connected() as conn:
        of = read.slot(conn, slot)
        actor = staff.actor(conn, of.tenant_id, by)
        back = releasing.rollback(conn, of.slot_id, actor=actor, note=note, now=clock.now())
    for said in back.words:
        talk.say(said)
