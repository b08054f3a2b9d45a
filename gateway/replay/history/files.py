"""A manufacturer's own history as files: what is declared, which units there were, what they said and when.

A folder holds `maker.toml` (or `.yaml`), `units.csv`, `readings*.csv` and, where parts were changed, `events.csv`;
docs/bench.md shows them. All of it is looked at before anything is done with it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.registry import declaration
from gateway.registry.declaration import BadDeclaration, Declaration
from gateway.replay.history import cells, happened, measured, roster
from gateway.replay.history.faults import BadHistory, Faults
from gateway.replay.history.ledger import Ledger
from gateway.replay.history.measured import Told
from gateway.replay.history.roster import Member
from gateway.replay.history.sheet import Sheet
from gateway.replay.history.when import When

MAKERS = ("maker.toml", "maker.yaml", "maker.yml")
UNITS, EVENTS = "units.csv", "events.csv"


@dataclass(frozen=True, slots=True)
class History:
    """A history that can be lived through: its units by number, each with a word to say, and all they say."""

    declared: Declaration
    members: list[Member]
    silent: int
    ledger: Ledger
    told: Told
    events: int
    runs: bool  # whether anything says how long units ran: without that no exposure can be counted


def is_one(folder: Path) -> bool:
    """Tell whether a folder looks like a history."""
    return (folder / UNITS).is_file()


@contextmanager
def read(folder: Path, now: datetime, say: Callable[[str], None] = lambda _: None) -> Iterator[History]:
    """Yield the history of a folder, saying which file is read; nothing in it is later than `now`.

    Raises BadDeclaration, or BadHistory with every fault, its file, its line and its remedy.
    """
    faults = Faults()
    declared = _declared(folder)
    if not (folder / UNITS).is_file():
        raise BadHistory(f"{folder} holds no {UNITS}; it names each unit by serial and gtin")
    members = roster.read(folder / UNITS, declared, faults)
    faults.end()  # whoever is at fault there would be unknown in every other file
    files = measured.files(folder)
    if not files:
        raise BadHistory(f"{folder} holds no readings*.csv; they have serial, time and a column for each channel")
    when = When(cells.ms(now))
    known, shown = measured.names(declared), measured.shown(declared)
    told: Told = Counter()
    events, runs = 0, False
    with Ledger() as ledger:
        for number, path in enumerate(files):
            say(f"reading {path} ({path.stat().st_size / 1e6:,.1f} MB)")
            columns = (*measured.NEEDED, "arrived", *known)
            with Sheet(path, faults, needed=measured.NEEDED, known=columns, shown=shown) as sheet:
                told += measured.read(sheet, number, members, when, ledger)
                runs |= "runtime" in sheet.columns
        if (folder / EVENTS).is_file():
            with Sheet(folder / EVENTS, faults, needed=happened.NEEDED, known=happened.KNOWN) as sheet:
                events = happened.read(sheet, len(files), members, when, ledger, channels=measured.channels(declared))
        names = [*(path.name for path in files), EVENTS]
        ledger.seal()
        serials = list(members)
        for one, other, both in ledger.twice():
            what = "an event" if names[other.file] == EVENTS else ", ".join(sorted(both))
            where = f"{names[one.file]} line {one.line}"
            says = f"{serials[other.unit]} says {what} of this time, and did so in {where}; keep one of the two"
            faults.add(names[other.file], other.line, says)
            if faults.full:
                break
        heard = _begin(members, ledger, names, faults)
        if not heard and not faults.found:
            faults.add(names[0], 1, "no unit says anything; add lines")
        faults.end()
        yield History(declared, heard, len(members) - len(heard), ledger, told, events, runs)


def _declared(folder: Path) -> Declaration:
    found = next((folder / name for name in MAKERS if (folder / name).is_file()), None)
    if found is None:
        raise BadHistory(f"{folder} holds no {' or '.join(MAKERS[:2])}; declare the product there (docs/bench.md)")
    try:
        return declaration.read(found.read_text("utf-8"), "toml" if found.suffix == ".toml" else "yaml")
    except BadDeclaration as error:
        raise BadDeclaration(f"{found.name}: {error}") from None
    except UnicodeDecodeError:
        raise BadHistory(f"{found.name} is not text in UTF-8; save it as such") from None


def _begin(members: dict[str, Member], ledger: Ledger, names: list[str], faults: Faults) -> list[Member]:
    """Let units whose birth nobody knows be born with their first word; return those that have one."""
    everybody = list(members.values())
    heard: list[Member] = []
    for first in ledger.firsts():
        member = everybody[first.unit]
        if member.born is not None and member.born > first.time:
            where = f"{names[first.file]} line {first.line}"
            says = f"born lies after its first word ({where}); leave the cell empty where nobody knows"
            faults.add(UNITS, member.line, says)
        member.born = first.time if member.born is None else member.born
        heard.append(member)
    return heard
