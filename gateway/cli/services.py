"""Commands that run something: the house, one of its processes, the demo, migrations, simulated units."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from gateway import log, settings
from gateway.cli import talk

app = typer.Typer()


def _configured() -> settings.Settings:
    loaded = settings.load()
    log.configure(loaded.log_level, human=sys.stderr.isatty())
    return loaded


def _until_told() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Tap for the owner, wait for the next cycle, and end.")] = False,
    units: Annotated[int, typer.Option(min=2, max=500, help="How many simulated units.")] = 12,
    speed: Annotated[float, typer.Option(min=1, help="World seconds per second; 86400 is a day a second.")] = 86_400.0,
    folder: Annotated[Path | None, typer.Option(help="Where it keeps its data; else a temporary folder.")] = None,
    limit: Annotated[float, typer.Option(help="Seconds that --once may take.")] = 300.0,
) -> None:
    """Show a living fleet in accelerated time, from a reading to the next cycle; nothing to configure."""
    from gateway.demo import show

    stop = _until_told()
    raise typer.Exit(show.run(stop, once=once, units=units, speed=speed, folder=folder, limit_s=limit))


@app.command()
def up() -> None:
    """Run everything on this machine: database and broker embedded unless settings name them."""
    from gateway.operate.house import House

    loaded = settings.load()
    stop = _until_told()
    with House(loaded, lambda name, line: talk.say(f"{name:<8} | {line}")) as house:
        house.start()
        talk.say(f"open {house.public_url}/console; stop with Ctrl-C")
        house.watch(stop)
        talk.say("stopping")


@app.command()
def serve(
    fd: Annotated[int | None, typer.Option(min=3, help="A listening socket that it inherited.")] = None,
) -> None:
    """Serve the pages, the API and the webhooks."""
    from gateway.app import serve as process

    process.run(_configured(), fd)


@app.command()
def ingest(
    drain: Annotated[
        bool, typer.Option(help="Take what the broker holds for this client id, end its session there, and end.")
    ] = False,
) -> None:
    """Carry readings from the broker into the store."""
    from gateway.app import ingest as process

    process.run(_configured(), drain=drain)


@app.command()
def work() -> None:
    """Forecast, prompt, answer events, send what is to be said."""
    from gateway.app import work as process

    process.run(_configured())


@app.command()
def migrate(as_json: talk.AsJson = False) -> None:
    """Bring the database up to date; name a login that owns the schema in WEARWELL_DATABASE_ADMIN_DSN."""
    from gateway.db import migrate as migrations
    from gateway.operate import database

    loaded = settings.load()
    admin = loaded.database_admin_dsn or loaded.database_dsn
    done = migrations.migrate(admin.get_secret_value()) if admin else database.migrate_embedded(loaded.data_dir)
    talk.table(
        [{"migration": name} for name in done],
        json=as_json,
        nothing=f"nothing to do: {len(migrations.migrations())} migrations stand",
    )


@app.command(  # --help is the units' own: it lists the arguments that this command passes on
    add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def simulate(context: typer.Context) -> None:
    """Run simulated units, against a running `up` or --url; the arguments are those of `python -m firmware_stubs`."""
    from gateway.operate import house

    given = context.args
    if not {"--url", "--help", "-h"} & set(given):
        url, version = house.units_door(settings.load())
        given = ["--url", url, "--mqtt", version, *given]
    # In this process's place: a signal to it reaches the fleet.
    os.execv(sys.executable, [sys.executable, "-m", "firmware_stubs", *given])  # noqa: S606  # ours
