"""A manufacturer's own history as files: what cannot be brought in is told with its file, its line and its remedy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli import replay
from gateway.errors import WearwellError
from gateway.registry.declaration import BadDeclaration
from gateway.replay.history import files, room
from gateway.replay.history.cells import ms
from gateway.replay.history.faults import MOST, BadHistory
from gateway.replay.history.ledger import EVENT, READING
from tests import recorded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = "serial,gtin,born\nH1,9520000000035,2025-01-01T00:00:00Z\nH2,9520000000035,\n"
READINGS = """serial,time,runtime,fume,grease_drag
H1,2025-01-02T00:00:00Z,5.5,2.1,40
H2,2025-01-02T01:00:00+01:00,,,41.5
H1,2025-01-03T00:00:00Z,11,2.2,
"""
EVENTS = "serial,time,type,slot,arrived\nH1,2025-01-02T12:00:00Z,part_fitted,grease,2025-01-05T00:00:00Z\n"
OTHER_MODEL = """
[[models]]
gtin = "9520000000042"
name = "Oven"
[[models.slots]]
code = "seal"
name = "Seal"
life_d = 900
"""
Edit = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "maker.toml").write_text(recorded.TOML + OTHER_MODEL)
    (tmp_path / "units.csv").write_text(UNITS)
    (tmp_path / "readings.csv").write_text(READINGS)
    (tmp_path / "events.csv").write_text(EVENTS)
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(WearwellError) as wrong, files.read(folder, NOW):
        pass
    return str(wrong.value)


def test_what_was_said_is_given_in_the_order_of_its_arrival(folder: Path) -> None:
    """Files may have any order; an empty cell says nothing; who has no birth is born with the first word."""
    head, *lines = READINGS.splitlines(keepends=True)
    (folder / "readings.csv").write_text("".join([head, *reversed(lines)]))
    with files.read(folder, NOW) as found:
        said = [entry for _, day in found.ledger.by_day(86_400_000) for entry in day]
        assert [READING, READING, READING, EVENT] == [entry.kind for entry in said]
        assert [3, 1, 2] == [entry.values for entry in said[:3]]
        assert '{"grease_drag":41.5}' == said[1].body
        assert [ms(datetime(2025, 1, day, tzinfo=UTC)) for day in (1, 2)] == [unit.born for unit in found.members]
        assert {("09520000000035", ""): 6} == dict(found.told)


def put(file: str, text: str) -> Edit:
    return lambda folder: (folder / file).write_text(text)


def more(file: str, *lines: str) -> Edit:
    text = "".join(f"{line}\n" for line in lines)
    return lambda folder: (folder / file).write_text((folder / file).read_text() + text)


def gone(file: str) -> Edit:
    return lambda folder: (folder / file).unlink()


WRONG = {
    "no declaration": (gone("maker.toml"), "holds no maker.toml or maker.yaml; declare the product there"),
    "no readings": (gone("readings.csv"), "holds no readings*.csv; they have serial, time and a column for each"),
    "no unit": (put("units.csv", "serial,gtin\n"), "units.csv line 1: it holds no unit; add a line for each"),
    "nothing said": (
        lambda folder: [put("readings.csv", "serial,time\n")(folder), gone("events.csv")(folder)],
        "readings.csv line 1: no unit says anything; add lines",
    ),
    "a missing column": (
        put("readings.csv", "serial,runtime\nH1,5\n"),
        "readings.csv line 1: the column 'time' is missing; the first line may name serial, time, arrived and",
    ),
    "an unknown channel": (
        put("readings.csv", "serial,time,grease_darg\nH1,2025-01-02T00:00:00Z,5\n"),
        "readings.csv line 1: 'grease_darg' is no column here; did you mean 'grease_drag'?; the first line may name",
    ),
    "an unknown slot": (
        put("readings.csv", "serial,time,bag.left_pct\nH1,2025-01-02T00:00:00Z,5\n"),
        "of what is in a slot (grease, seal) as SLOT.CHANNEL",
    ),
    "a slot of another model": (
        put("readings.csv", "serial,time,seal.left_pct\nH1,2025-01-02T00:00:00Z,5\n"),
        "seal.left_pct: units of the product model 09520000000035 have no slot 'seal', they have grease; leave",
    ),
    "a column twice": (
        put("readings.csv", "serial,time,fume,fume\nH1,2025-01-02T00:00:00Z,5,5\n"),
        "readings.csv line 1: the column 'fume' stands twice; keep one",
    ),
    "semicolons": (put("units.csv", "serial;gtin\n"), "units.csv line 1: its cells are parted by semicolons; save it"),
    "another text": (
        lambda folder: (folder / "units.csv").write_bytes(b"serial,gtin,name\nH1,9520000000035,K\xfcche\n"),
        "units.csv line 1: it is not text in UTF-8; save it as such",
    ),
    "an unknown serial": (
        more("readings.csv", "H9,2025-01-02T00:00:00Z,5,,"),
        "readings.csv line 5: the serial 'H9' is not in units.csv; add it there, or take its lines out",
    ),
    "too few cells": (
        more("readings.csv", "H1,2025-01-04T00:00:00Z,5"),
        "readings.csv line 5: it has 3 cells, the first line 5; each needs one",
    ),
    "no time": (more("readings.csv", "H1,,5,,"), "readings.csv line 5: time is empty; every line needs it"),
    "no such time": (
        more("readings.csv", "H1,31.12.2025,5,,"),
        "readings.csv line 5: time: '31.12.2025' is no time; write one like 2025-03-31T14:30:00Z",
    ),
    "a time without a zone": (
        more("readings.csv", "H1,2025-01-04T00:00:00,5,,"),
        "readings.csv line 5: time: the time has no zone; write 2025-03-31T14:30:00Z if it is UTC, else",
    ),
    "a time before all": (
        more("readings.csv", "H1,1970-01-04T00:00:00Z,5,,"),
        "readings.csv line 5: time: '1970-01-04T00:00:00Z' lies before 2015, which is taken for a clock that nobody",
    ),
    "a time ahead": (
        more("readings.csv", "H1,2027-01-04T00:00:00Z,5,,"),
        "readings.csv line 5: time: '2027-01-04T00:00:00Z' lies ahead; a history is over",
    ),
    "arrived too early": (
        more("events.csv", "H1,2025-01-04T00:00:00Z,part_fitted,grease,2025-01-01T00:00:00Z"),
        "events.csv line 3: arrived lies before time: nothing arrives before it happens; leave the cell empty",
    ),
    "no number": (
        more("readings.csv", 'H1,2025-01-04T00:00:00Z,"5,5",,'),
        "readings.csv line 5: runtime: '5,5' is no number: write decimals with a dot",
    ),
    "a number that is none": (
        more("readings.csv", "H1,2025-01-04T00:00:00Z,,nan,"),
        "readings.csv line 5: fume: 'nan' is no number; leave the cell empty where nothing was measured",
    ),
    "the same twice": (
        more("readings.csv", "H1,2025-01-02T00:00:00Z,5.6,,"),
        "readings.csv line 5: H1 says runtime of this time, and did so in readings.csv line 2; keep one of the two",
    ),
    "the same in two files": (
        put("readings-2.csv", "serial,time,fume\nH1,2025-01-02T01:00:00+01:00,2.1\n"),
        "readings.csv line 2: H1 says fume of this time, and did so in readings-2.csv line 2; keep one of the two",
    ),
    "an event twice": (
        more("events.csv", "H1,2025-01-02T12:00:00Z,part_fitted,grease,"),
        "events.csv line 3: H1 says an event of this time, and did so in events.csv line 2; keep one of the two",
    ),
    "a unit twice": (
        more("units.csv", "H1,9520000000042,"),
        "units.csv line 4: the serial 'H1' stands in line 2 already; keep one",
    ),
    "an unknown product": (
        more("units.csv", "H3,4006381333931,"),
        "units.csv line 4: no declared product model has the GTIN 4006381333931; there are 09520000000035, 0952",
    ),
    "a bad GTIN": (more("units.csv", "H3,9520000000036,"), "units.csv line 4: '9520000000036' is not a GTIN: its"),
    "a serial that is no device": (
        more("units.csv", "H/3,9520000000035,"),
        "units.csv line 4: 'hoods.H/3' cannot be a device name: 1 to 64 letters, digits, dots, dashes, underscores;",
    ),
    "born too late": (
        put("units.csv", UNITS.replace("2025-01-01", "2025-01-09")),
        "units.csv line 2: born lies after its first word (readings.csv line 2); leave the cell empty where nobody",
    ),
    "an unknown event": (
        more("events.csv", "H1,2025-01-04T00:00:00Z,part_fited,grease,"),
        "events.csv line 3: type: 'part_fited' is no event; did you mean 'part_fitted'?; there are part_fitted,",
    ),
    "an event of another slot": (
        more("events.csv", "H1,2025-01-04T00:00:00Z,part_fitted,seal,"),
        "events.csv line 3: slot: units of the product model 09520000000035 have no slot 'seal'; name grease",
    ),
    "an event of no channel": (
        put("events.csv", "serial,time,type,channel\nH1,2025-01-04T00:00:00Z,counter_reset,left\n"),
        "events.csv line 2: channel: 'left' is no channel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_brought_in_is_told_with_its_line_and_its_remedy(folder: Path, case: str) -> None:
    edit, says = WRONG[case]
    edit(folder)
    assert says in refused(folder)


def test_a_declaration_that_cannot_work_is_told_like_everywhere(folder: Path) -> None:
    text = (folder / "maker.toml").read_text()
    (folder / "maker.toml").write_text(text.replace('predictor = "weibull"', 'predictor = "weibul"'))
    with pytest.raises(
        BadDeclaration, match=r"maker.toml: the declaration cannot work:\n  line 18, .*did you mean 'wei"
    ):
        files.read(folder, NOW).__enter__()


def test_every_fault_is_told_at_once_and_a_flood_of_them_ends(folder: Path) -> None:
    """Two faults are two lines; a column of nonsense is cut off, and says so."""
    more("readings.csv", "H9,2025-01-04T00:00:00Z,5,,", "H1,2025-01-04T00:00:00Z,x,,")(folder)
    assert "it has 2 faults:\n  readings.csv line 5" in refused(folder)
    more("readings.csv", *(f"H1,2025-02-01T00:00:{second:02}Z,x{second},," for second in range(60)))(folder)
    said = refused(folder)
    assert f"it has {MOST} faults and maybe more" in said
    assert MOST + 1 == len(said.splitlines())


def test_a_channel_may_have_a_file_of_its_own(folder: Path) -> None:
    """Two files that speak of one time, each of another channel, do not contradict each other."""
    (folder / "readings-tds.csv").write_text("serial,time,tds\nH1,2025-01-02T00:00:00Z,300\n")
    with files.read(folder, NOW) as found:
        assert 7 == sum(found.told.values())


def test_an_event_of_a_unit_with_one_slot_needs_not_name_it(folder: Path) -> None:
    (folder / "events.csv").write_text("serial,time,type\nH1,2025-01-02T12:00:00Z,part_fitted\n")
    with files.read(folder, NOW) as found:
        assert 1 == found.events


def test_a_unit_that_says_nothing_is_left_out(folder: Path) -> None:
    more("units.csv", "H3,9520000000042,")(folder)
    with files.read(folder, NOW) as found:
        assert (["H1", "H2"], 1) == ([unit.serial for unit in found.members], found.silent)


def test_a_fault_is_an_error_that_a_person_reads() -> None:
    assert issubclass(BadHistory, WearwellError)


def test_a_replay_that_breaks_off_says_that_what_it_kept_is_a_part(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What lies in the folder then would be taken for the whole, and measured."""

    @contextmanager
    def broken(kept: Path) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(room, "room", broken)
    with pytest.raises(KeyboardInterrupt):
        replay.lived_through(folder, tmp_path / "kept", tmp_path, as_json=False)
    assert f"{tmp_path / 'kept'} holds only a part of the history; delete it" in capsys.readouterr().err
