"""The checker itself: it is green on a clean run, and each planted fault turns it red."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from gateway.db import pool
from gateway.ingest import pipeline
from gateway.ingest.directory import Directory
from tests.faults import fleet, ledger
from tests.faults.fleet import NOW
from tests.faults.ledger import __main__ as command

BEGAN = round(NOW.timestamp() * 1_000)
SAMPLES = [{"runtime": place / 10, "pm25": float(place)} for place in range(10)]


STORES = ["dsn", *(["timescale_dsn"] if os.environ.get("WEARWELL_TEST_TIMESCALE_DSN") else [])]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    """A database on plain PostgreSQL, and one on TimescaleDB where one is named."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def conn(store: str) -> Iterator[psycopg.Connection]:
    with pool.connect(store, pool.Role.GATEWAY) as connection:
        yield connection


@pytest.fixture
def book(conn: psycopg.Connection, tmp_path: Path) -> Path:
    """A ledger of ten stored and receipted samples."""
    fleet.enrol(conn)
    path = tmp_path / "run.jsonl"
    own = ledger.Book(path)
    own.attempted("acme.1", 7, 1, [(BEGAN + place * 60_000, values) for place, values in enumerate(SAMPLES)])
    own.acknowledged("acme.1", 7, 1, 10)
    own.receipted("acme.1", 7, 10)
    own.close()
    pipeline.take(conn, Directory(), [fleet.batch(1, SAMPLES)])
    conn.commit()
    return path


COLUMNS = "tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq, device_ts, received_at, clock, flags"
AGAIN = COLUMNS.replace(" ts,", " ts + interval '1 millisecond',")
FAULTS = {
    "lost": ["delete from reading where seq = 4"],
    "doubled": [f"insert into reading ({COLUMNS}) select {AGAIN} from reading where seq = 4"],
    "altered": ["update reading set device_ts = device_ts + interval '1 second' where seq = 4"],
    "invented": [
        f"insert into reading ({COLUMNS}) select {COLUMNS.replace('seq', 'seq + 100')} from reading where seq = 4"
    ],
    "miscounted": ["update reading_hourly set rise = rise + 1"],
    "misreported": [
        """insert into gap (tenant_id, unit_id, session, seqs, found_at)
           select tenant_id, unit_id, session, '[3,5)', received_at from reading limit 1"""
    ],
}
OTHERS = {
    "altered": {
        "a value shifted": "update reading set value = value + 0.001 where seq = 4 and value <> 0.3",
        "a value lost": "delete from reading where seq = 4 and value = 3",
        "a slot mistaken": "update reading set slot_id = 1 where seq = 4 and value = 3",
    },
    "invented": {"a session nobody ran": "update reading set session = 8 where seq = 4"},
    "miscounted": {"a counter called back": "update reading set flags = 1 where seq = 4"},
}
PLANTED = [(kind, ";".join(statements)) for kind, statements in FAULTS.items()] + [
    (kind, statement) for kind, statements in OTHERS.items() for statement in statements.values()
]


def test_clean_run_is_clean(book: Path, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of ten: nothing to report, exit code 0."""
    assert 0 == command.main(["check", "--file", str(book), "--dsn", store])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (10, 10, 0, True) == (found["attempted"], found["stored"], found["missing"], found["clean"])
    assert "10 of 10 samples stored" in said.err


@pytest.mark.parametrize(("kind", "statement"), PLANTED)
def test_planted_fault_turns_it_red(
    kind: str, statement: str, book: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drop one, double one, shift one, alter one, invent one, miscount: each is named, exit code 1."""
    with psycopg.connect(store, options="-c search_path=wearwell,public") as owner:
        assert owner.execute(statement.encode()).rowcount > 0
    assert 1 == command.main(["check", "--file", str(book), "--dsn", store])
    found = json.loads(capsys.readouterr().out)
    assert found[kind] > 0
    assert found["examples"][kind]


def test_two_prompts_in_one_cycle_turn_it_red(book: Path, conn: psycopg.Connection, store: str) -> None:
    """A cycle about which an owner is asked twice is named."""
    prompt = """insert into wearwell.prompt (tenant_id, unit_id, slot_id, cycle_id, key, created_at)
        select tenant_id, unit_id, slot_id, cycle_id, %s, now() from wearwell.cycle"""
    with psycopg.connect(store) as owner:
        owner.execute(
            """insert into wearwell.cycle (tenant_id, model_id, unit_id, slot_id, period, source)
               select u.tenant_id, u.model_id, u.unit_id, s.slot_id, tstzrange(now(), null), 'factory'
               from wearwell.unit u join wearwell.slot s using (model_id)"""
        )
        assert 1 == owner.execute(prompt, ("replace:1",)).rowcount
    assert ledger.check(book, store).clean
    with psycopg.connect(store) as owner:
        owner.execute(prompt, ("again:1",))
    assert 1 == ledger.check(book, store).prompted_twice


def test_what_the_broker_lost_must_be_a_gap(book: Path, conn: psycopg.Connection, store: str) -> None:
    """A sample that the broker acknowledged and nobody has is reported as a gap, or the ledger is red."""
    own = ledger.Book(book)
    values = {"runtime": 5.0}
    at = NOW + timedelta(minutes=30)
    own.attempted("acme.1", 7, 11, [(1, values), (2, values), (BEGAN + 30 * 60_000, values)])
    own.acknowledged("acme.1", 7, 11, 12)
    own.close()
    pipeline.take(conn, Directory(), [fleet.batch(13, [values], at=at)])
    conn.commit()
    assert (2, 1, True) == ((found := ledger.check(book, store)).missing, found.gaps, found.clean)
    conn.execute("delete from gap")
    conn.commit()
    assert [("acme.1", 7, 11), ("acme.1", 7, 12)] == ledger.check(book, store).examples["unreported"]


def test_runs_of_other_ledgers_are_told_apart(book: Path, conn: psycopg.Connection, store: str, tmp_path: Path) -> None:
    """What the same units stored in another run is invented, until that run's ledger is named or others may pass."""
    later = tmp_path / "later.jsonl"
    own = ledger.Book(later)
    values = {"runtime": 9.0}
    at = NOW + timedelta(hours=5)
    own.attempted("acme.1", 8, 1, [(round(at.timestamp() * 1_000), values)])
    own.close()
    pipeline.take(conn, Directory(), [fleet.batch(1, [values], session=8, at=at)])
    conn.commit()
    assert 1 == ledger.check(book, store).invented
    assert ledger.check(book, store, others=True).clean
    assert (11, True) == ((both := ledger.check([book, later], store)).stored, both.clean)


def test_a_ledger_cut_off_by_a_kill_is_read_as_far_as_it_goes(book: Path, store: str) -> None:
    """Half a line at the end is no line."""
    with book.open("a") as file:
        file.write('{"what":"attempted","device":"acme.1","s":7,"q":')
    assert ledger.check(book, store).clean


def test_errors_are_said_in_a_sentence(book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no database, no broker, no login: exit codes 3 and 4, and what to look at."""
    nobody = "postgresql://nobody@127.0.0.1:9/none"
    run = ["--file", str(tmp_path / "new.jsonl"), "--url", "mqtt://127.0.0.1:9"]
    bad = tmp_path / "bad.csv"
    bad.write_text("serial\n1\n")
    assert 3 == command.main(["check", "--file", str(tmp_path / "none"), "--dsn", nobody])
    assert 4 == command.main(["check", "--file", str(book), "--dsn", nobody])
    assert 4 == command.main(["publish", *run, "--devices", "acme.1"])
    assert 3 == command.main(["publish", *run, "--logins", str(bad)])
    assert 3 == command.main(["publish", *run, "--devices", "acme.1", "--samples", "0"])
    lines = capsys.readouterr().err.splitlines()
    assert 5 == len(lines), lines
    assert "127.0.0.1:9 cannot be reached" in lines[2]
