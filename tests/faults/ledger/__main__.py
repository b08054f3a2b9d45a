"""The ledger's two commands: publish against a running gateway, then check what its database holds."""

import argparse
import json
import sys
from pathlib import Path

import psycopg

from gateway import settings
from gateway.errors import ConfigurationError, Exit, WearwellError
from gateway.operate import database
from tests.faults.ledger import command
from tests.faults.ledger.check import check

ABOUT = """Proves that a running gateway loses, doubles, invents and alters nothing.

  publish  plays units that keep a journal, and notes in a file what was attempted, acknowledged and receipted;
           kill, freeze and cut whatever you like meanwhile: ingest, the broker, the database, the network
  check    reads the database and compares

  wearwell enrol --tenant example --batch units.csv --out logins.csv
  python -m tests.faults.ledger publish --url mqtts://broker:8883 --ca ca.pem --logins logins.csv \\
      --duration 600 --rate 5 --file run.jsonl
  python -m tests.faults.ledger check --dsn postgresql://wearwell_service@db/wearwell --file run.jsonl

publish answers 0 when everything it attempted is receipted, 1 when not, 3 for files and logins that cannot be used, 4 when
the broker cannot be reached or lets a unit not in. check answers 0 when the ledger is clean, 1 when it is not, 3 and 4 likewise.
"""  # noqa: E501  # as it is printed


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.ledger", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="publish|check")
    command.add_options(
        commands.add_parser("publish", help="play units and keep the ledger", description=command.ABOUT)
    )
    checking = commands.add_parser("check", help="compare the ledger with the database")
    checking.add_argument("--file", type=Path, required=True, action="append", help="the ledger; again for more runs")
    checking.add_argument(
        "--dsn",
        help="PostgreSQL, with or without TimescaleDB, as a member of wearwell_gateway, such as the services' login;"
        " left out: the database of this deployment's settings (WEARWELL_DATABASE_DSN, else the embedded one)",
    )
    checking.add_argument(
        "--other-sessions", action="store_true", help="let pass what these units stored in runs of no ledger named here"
    )
    checking.add_argument("--quiet", action="store_true", help="print the JSON only")
    return parser


def main(arguments: list[str]) -> int:
    """Publish or check; return the exit code."""
    given = parser().parse_args(arguments)
    try:
        return command.publish(given) if given.command == "publish" else _check(given)
    except OSError as error:
        named = f"{error.filename} cannot be used: {error.strerror}; look at its name and its rights"
        sys.stderr.write(f"{named if error.filename else error}\n")
        return Exit.CONFIGURATION
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.CONFIGURATION
    except (WearwellError, psycopg.Error) as error:
        sys.stderr.write(f"the database cannot be read: {database.first_line(error)}\n")
        return Exit.UNREACHABLE


def _own() -> str:
    """Return the DSN of this deployment's database, which must be there: an empty one would call everything lost."""
    loaded = settings.load()
    if not loaded.database_dsn and not (loaded.data_dir / "postgres").is_dir():
        raise ConfigurationError(
            f"there is no database in {loaded.data_dir.resolve()}; name one with --dsn, or the folder of"
            " `wearwell up` in WEARWELL_DATA_DIR"
        )
    return database.login(loaded)


def _check(given: argparse.Namespace) -> int:
    dsn = given.dsn or _own()

    def progress(place: int, of: int) -> None:
        if not given.quiet and sys.stderr.isatty():
            sys.stderr.write(f"\runit {place + 1} of {of} ")

    verdict = check(given.file, dsn, others=given.other_sessions, progress=progress)
    sys.stdout.write(json.dumps(verdict.told()) + "\n")
    if not given.quiet:
        sys.stderr.write("\n".join(verdict.words()) + "\n")
        if verdict.attempted == 0:
            sys.stderr.write("the ledger holds no attempted sample: nothing is proved\n")
    return Exit.OK if verdict.clean and verdict.attempted else Exit.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
