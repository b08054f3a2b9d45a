"""The command that replays recorded data."""

import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway import clock, settings
from gateway.cli import talk
from gateway.errors import WearwellError

if TYPE_CHECKING:
    from gateway.replay.history.lived import Progress
    from gateway.replay.stage import Stage

app = typer.Typer()


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="A folder of recorded data, or one file of messages.")],
    kind: Annotated[
        Literal["auto", "history", "dyson", "phme20"], typer.Option(help="What the data are; else told from the files.")
    ] = "auto",
    keep: Annotated[Path | None, typer.Option(help="Data folder to keep, for the bench or for `wearwell up`.")] = None,
    as_json: talk.AsJson = False,
) -> None:
    """Bring recorded data, or a history of your own, into a deployment of its own, and show what became of them."""
    from gateway import log

    if not path.exists():
        raise WearwellError(f"{path} does not exist; name a folder with recorded data")
    kind = told_from(path) if kind == "auto" else kind
    log.configure("warning")
    with tempfile.TemporaryDirectory(prefix="wearwell-replay-") as fresh:
        Path(fresh).chmod(0o755)  # as root, database and broker run in accounts of their own
        if kind == "history":
            lived_through(path, keep, Path(fresh), as_json=as_json)
            return
        from gateway.replay import stage

        with stage.stage(keep or Path(fresh), lambda name, line: talk.say(f"{name:<8} | {line}")) as opened:
            rows = messages(opened, path) if kind == "dyson" else runs(opened, path)
    talk.table(rows, json=as_json, nothing="nothing was recorded there")


def told_from(path: Path) -> Literal["history", "dyson", "phme20"]:
    """Tell what the data are. Raises WearwellError for a folder that holds none of them."""
    from gateway.replay.history import files

    if files.is_one(path):
        return "history"
    if path.suffix == ".jsonl" or any(path.glob("*.jsonl")):
        return "dyson"
    if any(path.glob("**/Sample*.csv")):
        return "phme20"
    raise WearwellError(
        f"{path} holds neither a history (units.csv, readings*.csv; docs/bench.md), nor recorded messages (*.jsonl),"
        " nor clogging runs (Sample*.csv)"
    )


def lived_through(path: Path, keep: Path | None, fresh: Path, *, as_json: bool) -> None:
    """Live a history through, show what it came to, slot by slot, and say how to go on."""
    from gateway.replay.history import files, lived, room, summary

    room.refuse_used(keep or fresh)
    prefix = settings.pointing_at(keep) if keep else ""
    with files.read(path, clock.wall(), talk.say) as found:
        values = sum(found.told.values())
        talk.say(f"{len(found.members)} units, {values:,} readings, {found.events:,} events: all can be read")
        if found.silent:
            talk.say(f"{found.silent} units of units.csv say nothing, and are left out")
        if not found.runs:
            talk.say("no column is called runtime: how long units ran nobody knows, and parts go by the calendar")
        try:
            with room.room(keep or fresh) as opened:
                lived.Life(opened, found, _tell).live()
                rows = summary.rows(opened.conn, found)
        except BaseException:
            if keep:
                talk.say(f"{keep} holds only a part of the history; delete it, and say it again")
            raise
    talk.table([asdict(row) for row in rows], json=as_json, nothing="nothing is declared")
    if keep is None:
        talk.say("nothing was kept; for the bench say it again with --keep FOLDER")
        return
    if any(row.refused for row in rows):
        talk.say(f"some readings could not be believed; which, and why: {prefix} wearwell quarantine")
    talk.say(f"{keep} is a deployment of its own, in which nobody is asked anything; go on with:")
    for row in rows:
        talk.say(f"  {prefix} wearwell model evaluate {row.slot}")


def _tell(progress: "Progress") -> None:
    talk.say(
        f"day {progress.day} of {progress.days} ({progress.at:%Y-%m-%d}): {progress.readings:,} readings,"
        f" {progress.cycles:,} cycles ended, {progress.forecasts:,} forecasts"
    )


def messages(opened: "Stage", path: Path) -> list[talk.Row]:
    """Return a row for each recorded unit and slot."""
    from gateway.replay import purifiers

    nothing_left = dict.fromkeys(field.name for field in fields(purifiers.Left))
    return [
        {"unit": told.unit, "messages": told.messages, "stored": told.stored, "refused": told.refused} | left
        for told in purifiers.replay(opened, path)
        for left in [asdict(left) for left in told.left] or [nothing_left]
    ]


def runs(opened: "Stage", path: Path) -> list[talk.Row]:
    """Return a row for each forecast as it stood, in seconds of the rig, and say how far they were off."""
    from gateway.replay import filters

    stood = filters.replay(opened, path)
    for fraction in sorted({row.fraction for row in stood}):
        of = [row for row in stood if row.fraction == fraction]
        error = mean(abs(row.q50 - row.truth_s) for row in of)
        covered = mean(row.q10 <= row.truth_s <= row.q90 for row in of)
        talk.say(f"at {fraction:.0%} of life: off by {error:.1f} s in the mean, {covered:.0%} inside the 80 % interval")
    return [asdict(row) for row in stood]
