"""The `wearwell` command: data on stdout, talk on stderr, an exit code that says how it ended."""

import sys
from importlib import metadata
from typing import Annotated, NoReturn

import psycopg
import typer

from gateway import log
from gateway.cli import fleet, look, measure, model, quarantine, replay, rollups, services, talk
from gateway.errors import Exit, WearwellError
from gateway.operate.database import first_line

app = typer.Typer(
    name="wearwell",
    help="Knows when every filter in the field will wear out, and gets the right one to its owner with one tap.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        talk.line(f"wearwell {metadata.version('wearwell')}")
        raise typer.Exit


@app.callback()
def wearwell(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")] = False,
) -> None:
    """Knows when every filter in the field will wear out, and gets the right one to its owner with one tap."""
    log.to_stderr()


model.model.add_typer(measure.model)
for group in (services.app, fleet.app, look.app, replay.app):
    app.add_typer(group)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(model.model, name="model")
app.add_typer(rollups.rollups, name="rollups")


def main() -> NoReturn:
    """Run one command; what a person can act on is one sentence on stderr, never a traceback."""
    try:
        app()
    except WearwellError as error:
        talk.complain(str(error))
        sys.exit(error.exit)
    except psycopg.OperationalError as error:
        talk.complain(f"the database does not answer: {first_line(error)}; look closer with: wearwell doctor")
        sys.exit(Exit.UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        sys.exit(Exit.OK)
    sys.exit(Exit.OK)
