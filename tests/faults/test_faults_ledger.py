"""The checker itself: it is green on a clean run, and each planted fault turns it red."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from gateway.ingest import pipeline
from gateway.ingest.directory import Directory
from tests.faults import fleet, ledger
from tests.faults.fleet import NOW


@pytest.fixture
def book(conn: psycopg.Connection, tmp_path: Path) -> Iterator[Path]:
    """A ledger of ten stored and receipted samples."""
    fleet.enrol(conn)
    path = tmp_path / "run.jsonl"
    own = ledger.Book(path)
    samples = [{"runtime": place / 10, "pm25": float(place)} for place in range(10)]
    for place, values in enumerate(samples):
        ts = (NOW + timedelta(minutes=place)).timestamp()
        own.note("attempted", ("acme.1", 7, place + 1), ts=ts, hash=ledger.fingerprint(ts, values))
        own.note("acknowledged", ("acme.1", 7, place + 1))
    own.note("receipted", ("acme.1", 7, 10))
    own.close()
    pipeline.take(conn, Directory(), [fleet.batch(1, samples)])
    conn.commit()
    return path


FAULTS = {
    "lost": "delete from reading where seq = 4",
    "doubled": """insert into reading select tenant_id, unit_id, slot_id, channel_id, ts + interval '1 millisecond',
        value, session, seq, device_ts, received_at, clock, flags from reading where seq = 4""",
    "altered": "update reading set device_ts = device_ts + interval '1 second' where seq = 4",
    "invented": """insert into reading select tenant_id, unit_id, slot_id, channel_id, ts, value, session, seq + 100,
        device_ts, received_at, clock, flags from reading where seq = 4""",
    "miscounted": "update reading_hourly set rise = rise + 1",
}


def test_clean_run_is_clean(book: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of ten: nothing to report, exit code 0."""
    assert 0 == ledger.main(["check", "--file", str(book), "--dsn", dsn])
    assert (10, True) == ((found := json.loads(capsys.readouterr().out))["stored"], found["clean"])


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_turns_it_red(fault: str, book: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Drop one, double one, shift one, invent one, miscount: each is named, exit code 1."""
    with psycopg.connect(dsn, options="-c search_path=wearwell") as owner:
        owner.execute(FAULTS[fault])
    assert 1 == ledger.main(["check", "--file", str(book), "--dsn", dsn])
    assert json.loads(capsys.readouterr().out)[fault]


def test_what_the_broker_lost_must_be_a_gap(book: Path, conn: psycopg.Connection, dsn: str) -> None:
    """A sample that the broker acknowledged and nobody has is reported as a gap, or the ledger is red."""
    own = ledger.Book(book)
    for seq in (11, 12):
        own.note("attempted", ("acme.1", 7, seq), ts=0, hash="")
        own.note("acknowledged", ("acme.1", 7, seq))
    values = {"runtime": 5.0}
    at = NOW + timedelta(minutes=30)
    own.note("attempted", ("acme.1", 7, 13), ts=at.timestamp(), hash=ledger.fingerprint(at.timestamp(), values))
    own.close()
    pipeline.take(conn, Directory(), [fleet.batch(13, [values], at=at)])
    conn.commit()
    assert (2, 1, True) == ((found := ledger.check(book, dsn)).missing, found.gaps, found.clean)
    conn.execute("delete from gap")
    conn.commit()
    assert [("acme.1", 7, 11), ("acme.1", 7, 12)] == ledger.check(book, dsn).unreported
