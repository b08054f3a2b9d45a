"""Wear cycles: begun, ended, kept as labels; one fitting told twice is one."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from commerce import fit, orders, parcels, quotes
from commerce.orders import Order, State
from gateway import clock
from gateway.errors import NotFound
from gateway.events import Event, EventType
from gateway.registry import history, units
from gateway.replenish import cycles, prompts, reactions
from gateway.replenish.cycles import Fitting
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


def told(conn: psycopg.Connection, house: House, unit_id: int, kind: EventType, at: datetime, **payload: Any) -> bool:
    """Record an event of the unit's slot and let it be handled; False when it was told before."""
    key = f"{kind}:{at.isoformat()}:{payload.get('by', '')}"
    event = Event(house.tenant_id, unit_id, house.slot.slot_id, kind, key, at, payload)
    event_id = history.record(conn, event)
    return event_id is not None and reactions.react(conn, event_id, fleet.desk(conn), clock.now())


def all_cycles(conn: psycopg.Connection, unit_id: int) -> list[tuple[Any, ...]]:
    return conn.execute(
        """select source, lower(period), upper(period), removed_reason, start_runtime_h, end_runtime_h from cycle
           where unit_id = %s order by lower(period)""",
        (unit_id,),
    ).fetchall()


def label(conn: psycopg.Connection, unit_id: int) -> dict[str, Any]:
    row = conn.execute("select label from cycle where unit_id = %s and label is not null", (unit_id,)).fetchone()
    assert row
    found: dict[str, Any] = row[0]
    return found


def test_a_fitted_part_ends_a_cycle_and_begins_the_next(conn: psycopg.Connection, house: House) -> None:
    """The device says that a part was fitted: the old cycle ends as a label, the new one begins at that counter."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 110)
    fleet.scored(conn, unit_id, now)
    conn.execute("delete from rescore")
    fleet.set_clock(now)
    assert told(conn, house, unit_id, EventType.PART_FITTED, now, by="button", part_sku="P-hepa")
    old, new = all_cycles(conn, unit_id)
    assert ("factory", BORN, now, "worn", 0, 880) == old
    assert ("device", now, None, None, 880, None) == new
    kept = label(conn, unit_id)
    assert (880, 880, 110, True) == (kept["run_h"], kept["load_h"], kept["age_d"], kept["censored"])
    state = fleet.standing(conn, unit_id)
    assert ("ok", None, None) == (state["stage"], state["pct_left"], state["forecast_id"])
    assert conn.execute("select unit_id from rescore").fetchall() == [(unit_id,)]
    part = conn.execute("select sku from cycle join part using (part_id)").fetchall()
    assert [("P-hepa",)] == part


@pytest.mark.parametrize(
    ("days", "left", "expected"),
    [
        (40, None, ("early", True, False)),
        (110, None, ("worn", True, False)),
        (40, 60.0, ("early", True, True)),
        (110, 2.0, ("worn", False, True)),
    ],
)
def test_an_end_of_life_is_seen_or_not(
    conn: psycopg.Connection, house: House, days: int, left: float | None, expected: tuple[str, bool, bool]
) -> None:
    """A part changed because we said so teaches no life; one whose unit calls it half full or empty does.

    Each is (reason, censored, witnessed).
    """
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, days)
    if left is not None:
        said = [(now - timedelta(hours=h), left) for h in (3, 2, 1)]
        fleet.report(conn, unit_id, "left_pct", said, slot_id=house.slot.slot_id)
    fleet.scored(conn, unit_id, now)
    cycles.fitted(conn, Fitting(unit_id, house.slot.slot_id, now, "owner"), now)
    kept = label(conn, unit_id)
    assert expected == (kept["reason"], kept["censored"], kept["witnessed"])


def test_a_cycle_that_nobody_forecast_ends_for_unknown_reasons(conn: psycopg.Connection, house: House) -> None:
    """Without a forecast nobody can say whether the part was worn."""
    unit_id = fleet.enrol(conn, house)
    cycles.fitted(conn, Fitting(unit_id, house.slot.slot_id, BORN + DAY, "owner"), BORN + DAY)
    assert ("unknown", True) == (label(conn, unit_id)["reason"], label(conn, unit_id)["censored"])


def test_button_and_owner_tell_of_one_fitting(conn: psycopg.Connection, house: House) -> None:
    """The unit's button, the same button again, and its owner a day later: one new cycle; a week later is another."""
    unit_id = fleet.enrol(conn, house)
    at = BORN + 50 * DAY
    fleet.set_clock(at + 10 * DAY)
    for moment, by in (
        (at, "button"),
        (at + timedelta(minutes=3), "button"),
        (at + DAY, "owner"),
        (at - timedelta(hours=2), "app"),
    ):
        told(conn, house, unit_id, EventType.PART_FITTED, moment, by=by)
    assert [BORN, at] == [row[1] for row in all_cycles(conn, unit_id)]
    told(conn, house, unit_id, EventType.PART_FITTED, at + 7 * DAY, by="owner")
    assert 3 == len(all_cycles(conn, unit_id))


def test_the_same_event_is_handled_once(conn: psycopg.Connection, house: House) -> None:
    """A job that runs twice changes nothing the second time."""
    unit_id = fleet.enrol(conn, house)
    event = Event(house.tenant_id, unit_id, house.slot.slot_id, EventType.PART_FITTED, "e1", BORN + 9 * DAY, {})
    fleet.set_clock(BORN + 9 * DAY)
    event_id = history.record(conn, event)
    assert event_id
    handled = [reactions.react(conn, event_id, fleet.desk(conn), clock.now()) for _ in range(2)]
    assert [True, False] == handled
    assert 2 == len(all_cycles(conn, unit_id))


def test_a_part_fitted_before_enrolment_is_the_running_one(conn: psycopg.Connection, house: House) -> None:
    """A fitting that lies before the unit's enrolment says that no factory part ever ran here."""
    unit_id = fleet.enrol(conn, house)
    told(conn, house, unit_id, EventType.PART_FITTED, BORN - 3 * DAY, by="app")
    assert [("device", BORN - 3 * DAY, None)] == [row[:3] for row in all_cycles(conn, unit_id)]


def test_a_part_taken_out_ends_nothing(conn: psycopg.Connection, house: House) -> None:
    """It may be rinsed and go back."""
    unit_id = fleet.enrol(conn, house)
    cycles.ensure_open(conn, [unit_id])
    told(conn, house, unit_id, EventType.PART_REMOVED, BORN + DAY, by="itself")
    assert 1 == len(all_cycles(conn, unit_id))


@pytest.mark.parametrize(("days", "expected"), [(20, 1), (110, 2)])
def test_a_reset_counter_means_a_new_part_only_when_the_old_was_worn(
    conn: psycopg.Connection, house: House, days: int, expected: int
) -> None:
    """A slot's own counter that starts again early is a reset without replacement."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, days)
    fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    told(conn, house, unit_id, EventType.COUNTER_RESET, now, channel="left_h", value=1000)
    assert expected == len(all_cycles(conn, unit_id))


def test_a_reset_is_weighed_by_what_was_known_before_it(conn: psycopg.Connection, house: House) -> None:
    """The next forecast may be quicker than the reaction, and already believe the new counter."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 110)
    fleet.scored(conn, unit_id, now)
    conn.execute("update slot_state set pct_left = 100 where unit_id = %s", (unit_id,))
    fleet.set_clock(now)
    told(conn, house, unit_id, EventType.COUNTER_RESET, now, channel="left_h", value=1000)
    assert 2 == len(all_cycles(conn, unit_id))


def test_a_slot_that_the_unit_does_not_have_is_refused(conn: psycopg.Connection, house: House) -> None:
    """A fitting in another model's slot changes nothing."""
    unit_id = fleet.enrol(conn, house)
    with pytest.raises(NotFound):
        cycles.fitted(conn, Fitting(unit_id, 999, BORN, "owner"), BORN)


def order(conn: psycopg.Connection, house: House, unit_id: int, party_id: int, at: datetime) -> Order:
    """Place an order and take it to `released`, as if paid."""
    unit = units.get(conn, unit_id)
    place = fit.Place(house.tenant_id, unit.model_id, house.slot.slot_id, unit.serial, unit.hw_rev, unit.region)
    found = fit.part_for(conn, place, at)
    assert isinstance(found, fit.Fit)
    running = cycles.running(conn, unit_id, house.slot.slot_id)
    assert running
    quote = quotes.make(conn, unit_id=unit_id, cycle_id=running.cycle_id, place=place, fit=found, wall=clock.wall())
    placed = orders.place(conn, quote, party_id=party_id, ship_to=None, at=at, cause="tap")
    assert placed
    for state in (State.PAID, State.RELEASED):
        placed = orders.advance(conn, placed.order_id, state, at, "test")
    return placed


def test_s8_delivered_then_fitted(conn: psycopg.Connection, house: House) -> None:
    """A delivered part is a spare at home and the owner is asked, when due, if it is fitted; fitting it closes all."""
    unit_id = fleet.enrol(conn, house)
    party_id = fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, 100)
    fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    desk = fleet.desk(conn)
    (prompt_id,) = prompts.speak(conn, now)
    placed = order(conn, house, unit_id, party_id, now)
    told(conn, house, unit_id, EventType.ORDER_PAID, now, order_id=placed.order_id)
    assert "ordered" == prompts.get(conn, prompt_id).state
    orders.advance(conn, placed.order_id, State.SHIPPED, now, "test")
    parcels.send(conn, placed, "A carrier", "T1", now)
    desk.delivered(house.tenant_id, placed.order_id)
    for (event_id,) in conn.execute("select event_id from event where handled_at is null").fetchall():
        reactions.react(conn, event_id, desk, now)
    assert 1 == parcels.spares(conn, unit_id, house.slot.slot_id)
    asks = "select due_at >= %s from outbox where kind = 'ask_if_fitted'"
    assert [(True,)] == conn.execute(asks, (fleet.standing(conn, unit_id)["eol_q50"],)).fetchall()

    later = now + 12 * DAY
    fleet.set_clock(later)
    told(conn, house, unit_id, EventType.PART_FITTED, later, by="button")
    told(conn, house, unit_id, EventType.PART_FITTED, later + timedelta(minutes=9), by="owner")
    assert (State.FITTED, 0) == (
        orders.get(conn, placed.order_id).state,
        parcels.spares(conn, unit_id, house.slot.slot_id),
    )
    assert "closed" == prompts.get(conn, prompt_id).state
    assert 100 + 12 == pytest.approx(label(conn, unit_id)["age_d"])
    assert 2 == len(all_cycles(conn, unit_id))
    assert ["order_received"] == [
        row[0] for row in conn.execute("select kind from outbox where kind like 'order%'").fetchall()
    ]
