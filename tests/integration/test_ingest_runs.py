"""Batches taken in as runs leave in the store what they leave there one by one, whatever lies between them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.ingest import opening, pipeline, presence
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.parcel import Parcel
from gateway.registry import declaration, units
from tests.faults import fleet
from tests.faults.fleet import NOW, batch, message

# What a table holds beside numbers that it gives out itself and the moment of writing.
LEFT = {
    "reading": "",
    "reading_hourly": "",
    "unit_session": "opened_at",
    "gap": "gap_id,found_at,closed_at",
    "counter_high": "",
    "duplicate_hourly": "hour",
    "quarantine": "quarantine_id",
    "unit": "",
    "event": "event_id,recorded_at",
    "rescore": "since,mark_id",
}
RESET = {"id": "e1", "t": NOW.timestamp(), "c": "synced", "type": "counter_reset", "channel": "runtime"}
SERIALS = ("1", "2", "nobody", "wide")
WIDE_GTIN = "04012345678925"
WIDE = f"""
[[models]]
gtin = "{WIDE_GTIN}"
name = "Wide"
slots = [{{ code = "carbon", name = "Carbon", life_h = 900, life_d = 90 }}]
"""

samples = st.lists(
    st.fixed_dictionaries(
        {"runtime": st.sampled_from([0.0, 1.0, 812.25, 1e12])},
        optional={
            "pm25": st.sampled_from([2.5, -1.0, 65535.0]),
            "carbon.left_h": st.sampled_from([7.0, 6.0]),
            "no_such": st.just(1.0),
        },
    ),
    min_size=1,
    max_size=3,
)
plain = st.builds(
    batch,
    st.integers(1, 12),
    samples,
    serial=st.sampled_from(SERIALS),
    session=st.sampled_from([7, 8]),
    at=st.integers(0, 5).map(lambda hours: NOW + timedelta(hours=hours)),
)
following = st.builds(
    lambda serial, start, count, session: [
        batch(q, serial=serial, session=session, at=NOW + timedelta(minutes=q)) for q in range(start, start + count)
    ],
    st.sampled_from(SERIALS),
    st.integers(1, 4),
    st.integers(1, 8),
    st.sampled_from([7, 8]),
)
begun_anew = st.builds(
    lambda serial, last: [batch(q, serial=serial, session=7 if q <= last else 8) for q in range(1, 5)],
    st.sampled_from(SERIALS),
    st.integers(1, 3),
)
uptime = st.builds(
    lambda q, serial: [
        batch(q, serial=serial, c="relative", t=60.0 * q),
        batch(q + 1, serial=serial, c="relative", t=9.0),
    ],
    st.integers(1, 6),
    st.sampled_from(SERIALS),
)
odd = st.sampled_from([
    batch(3, [{"runtime": "much"}]),
    batch(2, [{"runtime": None}], serial="2"),
    message("evt", RESET),
    message("state", {"state": "online", "fw": "1.2"}),
    message("tlm", {}),
    batch(5, serial="dyson"),
])  # fmt: skip
messages = st.lists(
    st.one_of(plain.map(lambda one: [one]), following, begun_anew, uptime, odd.map(lambda one: [one])), max_size=8
).map(lambda several: [each for some in several for each in some])


def enrol_wide(conn: psycopg.Connection) -> None:
    """Enrol a unit of a product model with another slot."""
    tenant_id = declaration.declare(conn, declaration.read(fleet.DECLARATION + WIDE))
    units.enrol(conn, tenant_id, WIDE_GTIN, "wide", now=NOW, device="acme.wide")


def left(conn: psycopg.Connection) -> dict[str, list[Any]]:
    """Return the rows of what ingest writes."""
    ask = "select (to_jsonb({0}) - %s::text[])::text from {0} order by 1"
    return {
        table: [row for (row,) in conn.execute(ask.format(table), (without.split(","),))]
        for table, without in LEFT.items()
    }


def taken(conn: psycopg.Connection, hauls: Sequence[list[Envelope]]) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return what hauls leave in the store, which is undone, and what is said of them."""
    with conn.transaction(force_rollback=True):
        outcomes = [pipeline.take(conn, Directory(), haul) for haul in hauls]
        told = [
            (one.stored, one.refused, one.dropped, one.redelivered, one.resent, one.gaps_opened, one.gaps_filled,
             sorted(one.messages, key=repr))
            for one in outcomes
        ]  # fmt: skip
        return left(conn), told


@given(st.lists(messages, min_size=1, max_size=3), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_leave_what_messages_one_by_one_leave(
    conn: psycopg.Connection, hauls: list[list[Envelope]], again: bool
) -> None:
    """Rows, gaps, marks, receipts and refusals are the same, with messages delivered again as well."""
    hauls = [*hauls, [envelope._replace(again=True) for envelope in hauls[0]]] if again else hauls
    with conn.transaction(force_rollback=True):
        fleet.enrol(conn, ["1", "2"])
        fleet.enrol(conn, ["acme.dyson"], fleet.DYSON_GTIN)
        enrol_wide(conn)
        with patch.object(opening, "HANDFUL", 3):
            together = taken(conn, hauls)
        with patch.object(opening, "_alike", lambda *_: None), patch.object(Parcel, "plain", new=False):
            one_by_one = taken(conn, hauls)
    assert one_by_one[1] == together[1]
    for table, rows in one_by_one[0].items():
        assert rows == together[0][table]
    event(f"{together[1][0][0]} stored")


@pytest.mark.parametrize("order", [("1", "wide"), ("wide", "1")])
def test_names_lead_where_each_product_model_says(conn: psycopg.Connection, order: tuple[str, str]) -> None:
    """The same name in two runs: a slot of the one, nothing that the other has."""
    enrol_wide(conn)
    fleet.enrol(conn, ["1"])
    said = [{"runtime": 1.0, "carbon.left_h": 7.0}] * 2
    outcome = pipeline.take(conn, Directory(), [batch(1, said, serial=serial) for serial in order])
    assert (6, {"unknown_channel": 1}) == (outcome.stored, outcome.refused)
    assert ["acme.1"] == [device for (device,) in conn.execute("select device from quarantine")]


def test_a_unit_that_was_removed_meanwhile_is_refused_and_holds_up_nobody(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory remembers it for some seconds; its run is handed out again, and quarantined."""
    removed, _ = fleet.enrol(conn, ["1", "2"])
    lock = presence.lock
    monkeypatch.setattr(presence, "lock", lambda conn, units: lock(conn, set(units) - {removed.unit_id}))
    outcome = pipeline.take(conn, Directory(), [batch(2), batch(2, serial="2"), batch(3)])
    assert (1, {"unknown_unit": 2}) == (outcome.stored, outcome.refused)


def test_most_messages_are_taken_in_without_a_look_at_each(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three units, the one that tells an event is looked at, message by message; a state stands by itself."""
    fleet.enrol(conn, ["1", "2", "3"])
    filed: list[str] = []
    whole = pipeline.file

    def look(conn, haul, parcel, content):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        filed.append(parcel.sender.device)
        whole(conn, haul, parcel, content)

    monkeypatch.setattr(pipeline, "file", look)
    monkeypatch.setattr(opening, "HANDFUL", 4)
    told = [batch(q, serial=serial) for q in range(1, 9) for serial in "123"]
    told.insert(9, message("state", {"state": "online"}, serial="2"))
    told.insert(14, message("evt", RESET, serial="3"))
    assert 24 == pipeline.take(conn, Directory(), told).stored
    assert ["acme.2", *["acme.3"] * 9] == sorted(filed)


def test_what_is_no_number_is_judged_beside_a_run(conn: psycopg.Connection) -> None:
    """Its flags are its own, however many values a run brings before it."""
    fleet.enrol(conn, ["1", "2"])
    pipeline.take(conn, Directory(), [batch(1, [{"runtime": 3.0}] * 2), batch(1, [{"runtime": None}], serial="2")])
    rows = conn.execute(
        "select value, flags & 8 from reading join unit using (unit_id) order by device, seq"
    ).fetchall()
    assert [(3.0, 0), (3.0, 0)] == rows[:2]
    assert 8 == rows[2][1]


def test_a_run_that_goes_by_uptime_stands_on_its_session_s_zero(conn: psycopg.Connection) -> None:
    """Said once when uptime read zero, it holds for later messages, however late they come."""
    fleet.enrol(conn)
    for q, late in ((1, 0), (2, 3), (3, 9)):
        told = batch(q, c="relative", t=3600.0 * q, received=NOW + timedelta(hours=1 + late))
        assert 1 == pipeline.take(conn, Directory(), [told]).stored
    rows = conn.execute("select ts, clock from reading order by seq").fetchall()
    assert [(NOW + timedelta(hours=q), "r") for q in (1, 2, 3)] == rows


@pytest.mark.parametrize(
    ("marks", "redelivered", "resent"), [({"again": True}, 3, 0), ({"tried": True}, 3, 0), ({}, 0, 3)]
)
def test_who_sent_a_run_again_is_known(
    conn: psycopg.Connection, marks: dict[str, bool], redelivered: int, resent: int
) -> None:
    """Where only the store knows that it was here, as after a session's row was lost."""
    fleet.enrol(conn)
    told = [batch(q, at=NOW + timedelta(minutes=q)) for q in (1, 2, 3)]
    pipeline.take(conn, Directory(), told)
    conn.execute("delete from unit_session")
    outcome = pipeline.take(conn, Directory(), [one._replace(**marks) for one in told])  # type: ignore[arg-type]  # marks are flags
    assert (0, redelivered, resent) == (outcome.stored, outcome.redelivered, outcome.resent)


@pytest.mark.parametrize("other", [[], [batch(1, [{"runtime": 1.0}], serial="2")]])
def test_which_of_two_readings_is_the_newest_depends_on_no_other_unit(
    conn: psycopg.Connection, other: list[Envelope]
) -> None:
    """Placed at one moment by two clocks, the unit's clock is what its own words make it."""
    fleet.enrol(conn, ["1", "2"])
    at = NOW + timedelta(minutes=5)
    told = [
        batch(1, [{"pm25": 2.0}], c="none", t=0.0, received=at),
        batch(2, [{"runtime": 1.0}], at=NOW + timedelta(hours=9), received=at),
        message("evt", RESET | {"type": "button_pressed", "button": "ok"}, received=at),
    ]
    pipeline.take(conn, Directory(), [*told, *other])
    (stands,) = conn.execute("select clock, clock_off_s from unit where device = 'acme.1'").fetchall()
    assert ("w", 9 * 3600.0 - 300.0) == stands
