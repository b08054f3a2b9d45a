"""From a message to rows: once, in the right place, at the right time, with its reason where it is refused."""

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import clock
from gateway.db import pool
from gateway.errors import Conflict
from gateway.ingest import believe, gaps, pipeline, quarantine, recount, release
from gateway.ingest.clocks import Flag
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.outcome import Outcome
from gateway.ingest.settle import settle
from gateway.ingest.sheet import Sheet
from tests.faults import fleet
from tests.faults.fleet import NOW, batch, message

DYSON = Path(__file__).parents[3] / "shared" / "data" / "dyson-mqtt"
READINGS = """select slot_id > 0, c.name, r.value, r.flags from reading r join channel c using (channel_id)
    order by ts, session, seq, c.name"""


def take(conn: psycopg.Connection, *envelopes: Envelope) -> Outcome:
    with conn.transaction():
        return pipeline.take(conn, Directory(), envelopes)


def told(outcome: Outcome) -> list[dict[str, object]]:
    return [json.loads(one.payload) for one in outcome.messages]


def through(outcome: Outcome) -> list[object]:
    return [one["through"] for one in told(outcome) if "through" in one]


def values(conn: psycopg.Connection, channel: str) -> list[float]:
    rows = conn.execute(
        "select value from reading join channel using (channel_id) where name = %s order by ts, session, seq",
        (channel,),
    )
    return [row[0] for row in rows]


def test_readings_land_at_their_unit_and_slot(conn: psycopg.Connection) -> None:
    """A batch becomes rows of its unit, whole or slot, and is receipted."""
    fleet.enrol(conn)
    outcome = take(conn, batch(1, [{"runtime": 812.25, "hepa.left_pct": 41.5}, {"runtime": 812.27}]))
    assert [(True, "left_pct", 41.5, 0), (False, "runtime", 812.25, 0), (False, "runtime", 812.27, 0)] == conn.execute(
        READINGS
    ).fetchall()
    assert (3, [{"v": 1, "s": 7, "through": 2}]) == (outcome.stored, told(outcome))


def test_redelivery_is_silent_and_receipted_again(conn: psycopg.Connection) -> None:
    """The same batch again changes nothing, even re-cut and with its time moved; the unit hears again: safe."""
    fleet.enrol(conn)
    take(conn, batch(1, [{"runtime": 1.0}, {"runtime": 2.0}]))
    moved = batch(2, [{"runtime": 2.0}, {"runtime": 3.0}], at=NOW + timedelta(milliseconds=61_001))
    outcome = take(conn, moved, batch(1, [{"runtime": 1.0}]))
    assert [1.0, 2.0, 3.0] == values(conn, "runtime")
    assert (1, 2, [3]) == (outcome.stored, outcome.duplicates, through(outcome))


def test_gap_holds_up_the_receipt_until_it_is_filled(conn: psycopg.Connection) -> None:
    """Missing numbers are a row; receipts stop before them and move on when they arrive."""
    fleet.enrol(conn)
    first = take(conn, batch(1), batch(5, received=NOW))
    assert ([1], 1) == (through(first), first.gaps_opened)
    second = take(conn, batch(3, [{"runtime": 1.5}]))
    assert [1] == through(second)
    third = take(conn, batch(2), batch(4))
    assert ([5], 2) == (through(third), third.gaps_filled)
    assert 0 == gaps.open_count(conn)


def test_gap_is_asked_for_with_back_off_and_closed_as_lost(conn: psycopg.Connection) -> None:
    """A gap is asked for when it had time to fill, and later with a new id; once `lost`, no more, and it is closed."""
    fleet.enrol(conn)
    take(conn, batch(1), batch(5))
    assert [] == gaps.ask(conn, NOW - timedelta(days=1))
    later = datetime.now(UTC) + timedelta(minutes=1)
    [command] = gaps.ask(conn, later)
    asked = json.loads(command.payload)
    assert ("ww/v1/acme.1/dn/cmd", "replay", 7, 2, 4) == (
        command.topic, asked["cmd"], asked["s"], asked["from"], asked["to"],
    )  # fmt: skip
    assert [] == gaps.ask(conn, later + timedelta(seconds=gaps.FIRST - 1))
    [again] = gaps.ask(conn, later + timedelta(seconds=gaps.FIRST + 1))
    assert asked["id"] != json.loads(again.payload)["id"]
    give_up(conn, asked["id"])
    assert [] == gaps.ask(conn, later + timedelta(days=1))
    assert (1, [5]) == closed(conn)
    assert (0, []) == closed(conn)
    late = take(conn, batch(3))
    assert (1, [5]) == (late.stored, through(late))


def give_up(conn: psycopg.Connection, command: str, **changes: Any) -> Outcome:
    """Let the unit answer a replay: some or all of it is gone."""
    return take(conn, message("up/reply", {"id": command, "status": "failed", "detail": "lost"}, **changes))


def closed(conn: psycopg.Connection, after: float = gaps.FIRST + 1) -> tuple[int, list[object]]:
    """Close what was given up, so many seconds from now; return how many, and how far receipts go then."""
    lost, messages = gaps.close(conn, clock.now() + timedelta(seconds=after))
    return lost, [json.loads(one.payload)["through"] for one in messages]


def test_receipt_waits_for_what_another_process_has_yet_to_store(conn: psycopg.Connection) -> None:
    """A unit sends what it still has of a gap and says that the rest is lost; only the latter comes to us."""
    fleet.enrol(conn)
    take(conn, batch(1), batch(5))
    [command] = gaps.ask(conn, clock.now() + timedelta(minutes=1))
    assert [] == through(give_up(conn, json.loads(command.payload)["id"]))
    assert (0, []) == closed(conn, gaps.FIRST - 1)
    assert [1] == through(take(conn, batch(1)))
    assert ([1], 0) == (through(take(conn, batch(3))), closed(conn, gaps.FIRST - 1)[0])
    assert (2, [5]) == closed(conn)
    assert [(2, "lost"), (4, "lost")] == conn.execute("select lower(seqs), outcome from gap order by 1").fetchall()


def test_gap_that_fills_after_all_is_not_lost(conn: psycopg.Connection) -> None:
    """What another process stores meanwhile closes the gap as filled, and the receipt says so at once."""
    fleet.enrol(conn)
    take(conn, batch(1), batch(3))
    [command] = gaps.ask(conn, clock.now() + timedelta(minutes=1))
    give_up(conn, json.loads(command.payload)["id"])
    assert [3] == through(take(conn, batch(2)))
    assert (0, []) == closed(conn)


def test_receipt_past_a_lost_gap_waits_for_a_process_that_is_storing(conn: psycopg.Connection, dsn: str) -> None:
    """While one process has stored a reading of the gap and not committed, another does not close it."""
    fleet.enrol(conn)
    take(conn, batch(1), batch(5))
    [command] = gaps.ask(conn, clock.now() + timedelta(minutes=1))
    give_up(conn, json.loads(command.payload)["id"])
    conn.commit()
    pipeline.take(conn, Directory(), [batch(2, [{"runtime": 1.0}] * 3)])
    with pool.connect(dsn, pool.Role.GATEWAY) as other, ThreadPoolExecutor(1) as aside:
        closing = aside.submit(gaps.close, other, clock.now() + timedelta(minutes=1))
        with pytest.raises(TimeoutError):
            closing.result(0.5)
        conn.commit()
        assert (0, []) == closing.result(10)


def test_reply_of_another_unit_closes_no_gap(conn: psycopg.Connection) -> None:
    """A unit can give up its own gaps only."""
    fleet.enrol(conn, ["1", "2"])
    take(conn, batch(1), batch(5))
    [command] = gaps.ask(conn, datetime.now(UTC) + timedelta(minutes=1))
    give_up(conn, json.loads(command.payload)["id"], serial="2")
    assert (0, []) == closed(conn)
    assert 1 == gaps.open_count(conn)


def test_counter_that_goes_back_lifts_no_wear(conn: psycopg.Connection) -> None:
    """A rolled-back counter is kept and flagged; the hourly rise is the unit's own counter."""
    fleet.enrol(conn)
    take(conn, batch(1, [{"runtime": hours} for hours in (100.0, 101.0, 3.0, 4.0, 101.5)]))
    flags = [row[3] for row in conn.execute(READINGS)]
    assert [0, 0, Flag.BACK, Flag.BACK, 0] == flags
    assert (1.5, 3) == conn.execute("select rise, n from reading_hourly").fetchone()


def test_reset_counter_may_begin_again(conn: psycopg.Connection) -> None:
    """A counter that its unit says was reset, or whose part was fitted, starts at nought and counts on."""
    fleet.enrol(conn)
    take(conn, batch(1, [{"runtime": 100.0, "hepa.volume": 9.0}]))
    events = [
        {
            "id": "a",
            "t": NOW.timestamp() + 60,
            "c": "synced",
            "type": "counter_reset",
            "channel": "runtime",
            "value": 0,
        },
        {"id": "b", "t": NOW.timestamp() + 60, "c": "synced", "type": "part_fitted", "slot": "hepa", "by": "button"},
    ]
    outcome = take(conn, *(message("evt", event) for event in events))
    assert (2, [{"v": 1, "event": "a"}, {"v": 1, "event": "b"}]) == (outcome.events, told(outcome))
    take(conn, batch(2, [{"runtime": 1.0, "hepa.volume": 1.0}], at=NOW + timedelta(minutes=2)))
    assert {0} == {row[3] for row in conn.execute(READINGS)}


def test_event_is_recorded_once_and_receipted_twice(conn: psycopg.Connection) -> None:
    """An event told twice is one row and one reaction; the unit hears twice that it is safe."""
    [unit] = fleet.enrol(conn)
    fitted = {"id": "x1", "t": NOW.timestamp(), "c": "synced", "type": "part_fitted", "slot": "hepa", "part": "F-1"}
    outcome = take(conn, message("evt", fitted), message("evt", fitted))
    assert (1, 2) == (outcome.events, len(outcome.messages))
    assert [("part_fitted", {"part_sku": "F-1"}, NOW)] == conn.execute(
        "select type, payload, occurred_at from event where unit_id = %s", (unit.unit_id,)
    ).fetchall()
    assert 1 == len(conn.execute("select from procrastinate_jobs where task_name = 'react'").fetchall())


def test_uptime_is_placed_once_and_for_all(conn: psycopg.Connection) -> None:
    """A unit without a clock is placed by its uptime; a redelivery hours later finds the same times."""
    fleet.enrol(conn)
    one = batch(1, [{"pm25": 1.0}, {"pm25": 2.0}], t=100.0, c="relative", received=NOW)
    take(conn, one)
    other = batch(3, [{"pm25": 3.0}], t=220.0, c="relative", received=NOW + timedelta(hours=3))
    take(conn, one._replace(received_at=NOW + timedelta(hours=2)), other)
    assert [NOW - timedelta(seconds=60), NOW, NOW + timedelta(seconds=60)] == [
        row[0] for row in conn.execute("select ts from reading order by seq")
    ]


def test_future_clock_is_flagged_and_placed_by_receipt(conn: psycopg.Connection) -> None:
    """A clock in 2106 is kept as the unit's word and placed when it was received."""
    fleet.enrol(conn)
    take(conn, batch(1, at=datetime(2106, 1, 1, tzinfo=UTC), received=NOW))
    assert [(NOW, datetime(2106, 1, 1, tzinfo=UTC), Flag.FUTURE)] == conn.execute(
        "select ts, device_ts, flags from reading"
    ).fetchall()


def test_sentinels_are_kept_with_their_reason_and_counted_nowhere(conn: psycopg.Connection) -> None:
    """A reading without a value is a row that says why, and no part of any sum."""
    fleet.enrol(conn)
    take(conn, batch(1, [{"pm25": "INIT"}, {"pm25": 65_535}, {"pm25": 4.0}]))
    reasons = [believe.why_no_value(row[3]) for row in conn.execute(READINGS)]
    assert ["INIT", "sentinel", None] == reasons
    assert (1, 4.0) == conn.execute("select n, mean from reading_hourly").fetchone()


def test_part_that_cannot_be_stored_is_quarantined_and_the_rest_stored(conn: psycopg.Connection) -> None:
    """An undeclared channel and an impossible value put their message into quarantine; their neighbours are stored."""
    fleet.enrol(conn)
    envelope = batch(1, [{"runtime": 1.0, "ozone": 3.0, "pm25": 1e9}])
    outcome = take(conn, envelope)
    assert [(False, "runtime", 1.0, 0)] == conn.execute(READINGS).fetchall()
    assert {"unknown_channel": 1, "unbelievable": 1} == quarantine.counted(conn)
    assert [1] == through(outcome)
    errors = [one["error"] for one in told(outcome) if "error" in one]
    assert {"unknown_channel", "unbelievable"} == set(errors)


def test_released_message_stores_what_was_left_out(conn: psycopg.Connection) -> None:
    """Once the channel is declared, the message goes through: its new readings are stored, the others stay."""
    [unit] = fleet.enrol(conn)
    take(conn, batch(1, [{"runtime": 1.0, "ozone": 3.0}]))
    [kept] = quarantine.listed(conn)
    still = release.release(conn, Directory(), kept.quarantine_id, NOW)
    assert {"unknown_channel": 1} == still.refused
    conn.execute(
        "insert into channel (tenant_id, name, unit, kind) values (%s, 'ozone', 'ug/m3', 'gauge')", (unit.tenant_id,)
    )
    outcome = release.release(conn, Directory(), kept.quarantine_id, NOW)
    assert (1, 1, [3.0], [1.0]) == (outcome.stored, outcome.duplicates, values(conn, "ozone"), values(conn, "runtime"))
    with pytest.raises(Conflict):
        release.release(conn, Directory(), kept.quarantine_id, NOW)


@pytest.mark.parametrize("order", [1, -1])
def test_released_messages_that_were_cut_another_way_double_nothing(conn: psycopg.Connection, order: int) -> None:
    """Readings placed by their arrival stay where they are, and what was left out of them goes there too."""
    [unit] = fleet.enrol(conn)
    samples = [{"runtime": float(hours), "ozone": 1.0} for hours in range(1, 7)]
    take(conn, batch(1, samples[:4], c="none", t=0, received=NOW))
    take(conn, batch(3, samples[2:], c="none", t=0, received=NOW + timedelta(minutes=10)))
    conn.execute(
        "insert into channel (tenant_id, name, unit, kind) values (%s, 'ozone', 'ug/m3', 'gauge')", (unit.tenant_id,)
    )
    for kept in quarantine.listed(conn)[::order]:
        release.release(conn, Directory(), kept.quarantine_id, NOW + timedelta(hours=1))
    assert {} == quarantine.counted(conn)
    stands = """select name, array_agg(seq order by seq), max(ts) filter (where seq <= 4), max(ts)
        from reading join channel using (channel_id) group by name order by name"""
    newest = (NOW, NOW + timedelta(minutes=10))
    assert [(name, [1, 2, 3, 4, 5, 6], *newest) for name in ("ozone", "runtime")] == conn.execute(stands).fetchall()
    hours = "select name, sum(n), sum(rise) from reading_hourly join channel using (channel_id) group by 1 order by 1"
    assert [("ozone", 6, 0.0), ("runtime", 6, 5.0)] == conn.execute(hours).fetchall()
    assert [] == recount.differences(conn, [unit.unit_id])


def test_unknown_unit_waits_for_its_enrolment(conn: psycopg.Connection) -> None:
    """Messages from before the enrolment are kept, told apart, and stored when the unit is there."""
    envelopes = [batch(1), batch(2, [{"runtime": 2.0}], at=NOW + timedelta(minutes=1))]
    outcome = take(conn, *envelopes, envelopes[0])
    assert ({"unknown_unit": 3}, 0) == (outcome.refused, outcome.stored)
    assert {"unknown_unit": 2} == quarantine.counted(conn)
    assert 0 == release.release_enrolled(conn, Directory(), NOW).stored
    fleet.enrol(conn)
    released = release.release_enrolled(conn, Directory(), NOW)
    assert ([1.0, 2.0], {}, [2]) == (values(conn, "runtime"), quarantine.counted(conn), through(released)[-1:])


def test_product_model_decides_the_protocol(conn: psycopg.Connection) -> None:
    """A unit of one family cannot speak on another's topics."""
    fleet.enrol(conn, ["acme.1"], fleet.DYSON_GTIN)
    outcome = take(conn, batch(1))
    assert {"other_adapter": 1} == outcome.refused


def test_presence_follows_births_and_ignores_stale_wills(conn: psycopg.Connection) -> None:
    """A birth is online; the will of an earlier session changes nothing, that of this one says lost and is no word."""
    fleet.enrol(conn)
    birth = {"s": 8, "state": "online", "fw": "1.4.2", "hw": "B"}
    take(conn, message("state", birth))
    outcome = take(conn, message("state", {"s": 7, "state": "lost"}, received=NOW + timedelta(hours=1)))
    assert ({"stale_state": 1}, {}) == (outcome.dropped, outcome.refused)
    row = "select connection, connection_session, firmware, hw_rev, last_seen_at from unit"
    assert ("online", 8, "1.4.2", "B", NOW) == conn.execute(row).fetchone()
    take(conn, message("state", {"s": 8, "state": "lost"}, received=NOW + timedelta(hours=1)))
    assert ("lost", 8, "1.4.2", "B", NOW) == conn.execute(row).fetchone()
    assert {} == quarantine.counted(conn)


def test_telemetry_asks_for_a_forecast_and_notes_the_unit(conn: psycopg.Connection) -> None:
    """New readings leave the unit on the scoring list and its last word noted; a duplicate does not."""
    [unit] = fleet.enrol(conn)
    conn.execute("delete from rescore")
    take(conn, batch(1))
    assert [(unit.unit_id,)] == conn.execute("delete from rescore returning unit_id").fetchall()
    take(conn, batch(1))
    assert [] == conn.execute("select from rescore").fetchall()
    assert (NOW + timedelta(minutes=5),) == conn.execute("select last_seen_at from unit").fetchone()


def test_poison_does_not_hold_up_its_neighbours(conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that our own code chokes on is found and quarantined; the other ninety-nine are stored."""
    fleet.enrol(conn)
    whole = Sheet.readings

    def choke(sheet, *told):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
        if 42 in sheet.first:
            raise ZeroDivisionError("planted")
        return whole(sheet, *told)

    monkeypatch.setattr(Sheet, "readings", choke)
    conn.commit()
    outcome = settle(conn, Directory(), [batch(q, at=NOW + timedelta(minutes=q)) for q in range(1, 101)])
    assert (99, {"indigestible": 1}) == (outcome.stored, outcome.refused)
    assert {"indigestible": 1} == quarantine.counted(conn)


def test_clockless_unnumbered_message_is_stored_once(conn: psycopg.Connection) -> None:
    """Without sequence and clock, only a redelivery is a duplicate; the same words said again are news."""
    fleet.enrol(conn, ["AB1"], fleet.DYSON_GTIN)
    raw = b'{"msg":"CURRENT-STATE","time":"0000-00-00T00:00:00.000Z","product-state":{"filf":"2899"}}'
    one = Envelope("455/AB1/status/current", raw, NOW)
    take(conn, one)
    again = take(conn, one._replace(received_at=NOW + timedelta(hours=1), again=True))
    assert (0, 1) == (again.stored, again.duplicates)
    assert 1 == take(conn, one._replace(received_at=NOW + timedelta(hours=2))).stored


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=80) | st.text(max_size=80).map(str.encode), topic=st.text(max_size=20))
def test_any_message_is_stored_or_quarantined(conn: psycopg.Connection, raw: bytes, topic: str) -> None:
    """Whatever comes, on whatever topic, lies in the store or in quarantine afterwards, with a reason."""
    for name in (topic, "ww/v1/acme.1/tlm", "ww/v1/acme.1/evt"):
        with conn.transaction(force_rollback=True):
            outcome = settle(conn, Directory(), [Envelope(name, raw, NOW)])
            assert 1 == sum(outcome.refused.values()) == sum(quarantine.counted(conn).values())


@pytest.mark.skipif(not DYSON.is_dir(), reason="the recorded messages are not on this machine")
def test_real_dyson_messages_land(conn: psycopg.Connection) -> None:
    """A real unit's messages: hours left, running, times that go backwards; redelivered, they change nothing."""
    fleet.enrol(conn, ["AB1"], fleet.DYSON_GTIN)
    raws = [line for line in (DYSON / "455.jsonl").read_bytes().splitlines() if line.startswith(b"{")]
    envelopes = [Envelope("455/AB1/status/current", raw, NOW + timedelta(days=365)) for raw in raws]
    outcome = take(conn, *envelopes)
    again = take(conn, *(envelope._replace(again=True) for envelope in reversed(envelopes)))
    assert {2899.0, 2898.0, 2877.0} <= set(values(conn, "left_h"))
    assert {0.0, 1.0} == set(values(conn, "running"))
    assert outcome.stored > 100
    assert 0 == again.stored
    assert {"nothing_to_store"} >= set(outcome.dropped)
    assert outcome.refused == quarantine.counted(conn)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("ww/v1/acme.1/tlm", b"{"),
        ("ww/v1/acme.1/tlm", b'{"v":1}'),
        ("ww/v1/acme.1/tlm", b"\xa1\x01"),
        ("ww/v1/acme.1/tlm", b""),
        ("ww/v1/acme.1/evt", b"[]"),
        ("ww/v1/nobody/tlm", batch(1).payload),
        ("elsewhere", b"{}"),
    ],
)
def test_what_is_refused_is_let_go_at_once(conn: psycopg.Connection, topic: str, payload: bytes) -> None:
    """No circle of exception, frames and message waits for the collector, which looks once in a million objects."""
    fleet.enrol(conn)
    take(conn, Envelope(topic, payload, NOW))
    gc.collect()
    gc.disable()
    try:
        assert 100 == take(conn, *[Envelope(topic, payload, NOW)] * 100).refused.total()
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_more_gaps_than_anybody_would_load_lose_nothing(conn: psycopg.Connection) -> None:
    """Every second number first, then the others: each is stored, and the receipt never passes what is missing."""
    fleet.enrol(conn)
    assert 1500 == take(conn, *(batch(q) for q in range(2, 3002, 2))).stored
    assert (1500,) == conn.execute("select count(*) from gap where closed_at is null").fetchone()
    outcome = take(conn, *(batch(q) for q in range(1, 1001, 2)))
    assert (500, 0, [1002 - 2]) == (outcome.stored, outcome.duplicates, through(outcome))
    outcome = take(conn, *(batch(q) for q in range(1999, 3001, 2)))
    assert (501, 0, [1000]) == (outcome.stored, outcome.duplicates, through(outcome))
    outcome = take(conn, *(batch(q) for q in range(1001, 1999, 2)))
    assert (499, 0, [3000]) == (outcome.stored, outcome.duplicates, through(outcome))
    assert (0,) == conn.execute("select count(*) from gap where closed_at is null").fetchone()


@given(st.lists(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=6), max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_batch_sees_the_gaps_that_it_meets(conn: psycopg.Connection, told: list[list[tuple[int, int]]]) -> None:
    """However numbers come, what is stored, receipted and missing is what a set of them says."""
    with conn.transaction(force_rollback=True):
        fleet.enrol(conn)
        here: set[int] = set()
        for messages in told:
            outcome = take(conn, *(batch(q, [{"runtime": 1.0}] * n) for q, n in messages))
            came = {number for q, n in messages for number in range(q, q + n)}
            assert len(came - here) == outcome.stored
            here |= came
            assert [min(set(range(1, 50)) - here) - 1] == through(outcome)
        missing = "select coalesce(sum(upper(seqs) - lower(seqs)), 0) from gap where closed_at is null"
        assert (max(here, default=0) - len(here),) == conn.execute(missing).fetchone()


def test_only_undeclared_channels_are_refused_as_such_by_who_knows_nothing_yet(conn: psycopg.Connection) -> None:
    """The message has its number and its receipt; it is no fault of the gateway's."""
    fleet.enrol(conn)
    outcome = take(conn, batch(1, [{"ozone": 1.0}]))
    assert {"unknown_channel": 1} == outcome.refused
    assert [1] == through(outcome)


def test_names_that_units_make_up_are_not_kept(conn: psycopg.Connection) -> None:
    """Whatever a unit calls its values, only what is declared stays in memory."""
    unit = fleet.enrol(conn)[0]
    directory = Directory()
    with conn.transaction():
        pipeline.take(conn, directory, [batch(1, [{"runtime": 1.0, "x" * 60_000: 1.0}])])
    assert ["runtime"] == list(directory.shelf(conn, unit).codes)


def test_what_an_adapter_did_not_expect_is_its_message_s_fault_alone(conn: psycopg.Connection) -> None:
    """It is refused where it is read: nobody halves the batch to find it."""
    fleet.enrol(conn, ["S1"], gtin=fleet.DYSON_GTIN)
    choke = json.dumps({"msg": "CURRENT-STATE", "time": "2025-06-01T12:00:00Z", "batteryChargeLevel": 10**400})
    outcome = take(conn, Envelope("475/S1/status/current", choke.encode(), NOW), batch(1, serial="nobody"))
    assert {"indigestible": 1, "unknown_unit": 1} == outcome.refused


def test_a_gap_that_was_asked_for_a_thousand_times_is_asked_for_again(conn: psycopg.Connection) -> None:
    """However long a unit does not answer, the others are asked."""
    fleet.enrol(conn)
    take(conn, batch(5))
    conn.execute("update gap set asks = 5000, asked_at = %s", (clock.now(),))
    assert 1 == len(gaps.ask(conn, clock.now() + timedelta(days=1, seconds=1)))
