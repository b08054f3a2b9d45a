"""Prompts: one per cycle, to somebody who wants it, and what an answer changes. S1, S9, S40 of commerce.md."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import clock
from gateway.db import pool
from gateway.errors import NotFound
from gateway.registry import owners
from gateway.replenish import candidates, cycles, prompts, reactions, score
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


@pytest.fixture
def due(conn: psycopg.Connection, house: House) -> tuple[int, int, datetime]:
    """An owned unit whose filter is due: unit, owner, now."""
    unit_id = fleet.enrol(conn, house)
    party_id = fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, 100)
    assert "due" == fleet.scored(conn, unit_id, now)["stage"]
    fleet.set_clock(now)
    return unit_id, party_id, now


def mails(conn: psycopg.Connection) -> list[tuple[str, dict[str, Any]]]:
    return conn.execute("select kind, payload from outbox where channel = 'email' order by message_id").fetchall()


def test_s1_crossing_the_order_date_prompts_once(conn: psycopg.Connection, house: House) -> None:
    """As a unit runs its owner hears nothing, then one prompt when the order date comes, and nothing more."""
    unit_id = fleet.enrol(conn, house)
    party_id = fleet.own(conn, house, unit_id)
    now, asked = BORN, []
    for _ in range(26):
        now = fleet.run(conn, unit_id, 5, since=now)
        fleet.set_clock(now)
        before = fleet.scored(conn, unit_id, now)
        found = prompts.speak(conn, now)
        assert (not found) or before["order_at"] <= now
        asked += found
    assert 1 == len(asked)
    prompt = prompts.get(conn, asked[0])
    assert (party_id, "open", f"replace:{prompt.cycle_id}") == (prompt.party_id, prompt.state, prompt.key)
    assert [("prompt", {"prompts": asked, "ask": []})] == mails(conn)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["flap", "score", "speak", "restart"]), st.integers(-40, 40)), min_size=3, max_size=14
    )
)
def test_s40_a_flapping_forecast_speaks_once(
    conn: psycopg.Connection, due: tuple[int, int, datetime], steps: list[tuple[str, int]]
) -> None:
    """Whatever order scoring, speaking and restarts come in, and however the order date jumps: one prompt a cycle."""
    unit_id, _, now = due
    with conn.transaction(force_rollback=True):
        spoken = []
        for step, days in steps:
            if step == "flap":
                moved = now + timedelta(days=days)
                conn.execute("update slot_state set order_at = %s where unit_id = %s", (moved, unit_id))
            elif step == "score":
                score.score_units(conn, [unit_id], now)
            else:
                killed = step == "restart"  # before the commit
                with conn.transaction(force_rollback=killed):
                    found = prompts.speak(conn, now)
                spoken += [] if killed else found
            now += timedelta(hours=7)
        score.score_units(conn, [unit_id], now)
        spoken += prompts.speak(conn, now)
        assert 1 == len(spoken)
        assert 1 == len(mails(conn))


def test_nobody_is_asked_without_consent(conn: psycopg.Connection, house: House) -> None:
    """An owner who did not agree, one who took it back, one without a channel, and a unit without an owner: silence."""
    parties = []
    for serial in ("A1", "A2", "A3", "A4"):
        unit_id = fleet.enrol(conn, house, serial)
        now = fleet.run(conn, unit_id, 100)
        fleet.scored(conn, unit_id, now)
        if serial == "A4":
            continue
        prompted = serial != "A1"
        parties.append(
            owners.register(conn, house.tenant_id, unit_id, email=f"{serial}@example.com", now=BORN, prompts=prompted)
        )
    owners.withdraw(conn, parties[1], "replacement_prompts", now)
    conn.execute("update party set channel = 'none' where party_id = %s", (parties[2],))
    assert [] == prompts.speak(conn, now)
    reasons = {verdict.silence for verdict in prompts.rehearse(conn, now)}
    assert {
        "nobody owns the unit",
        "the owner has not agreed to prompts",
        "the owner has no channel to be told on",
    } == reasons


def test_a_second_unit_gives_no_withdrawn_consent_back(conn: psycopg.Connection, house: House) -> None:
    """Who stopped the mails is registered for another unit: they stay stopped, for both."""
    party_id = fleet.own(conn, house, fleet.enrol(conn, house))
    owners.withdraw(conn, party_id, "replacement_prompts", BORN)
    assert party_id == fleet.own(conn, house, fleet.enrol(conn, house, "A2"))
    assert not owners.agreed(conn, party_id, "replacement_prompts")


def test_a_dry_run_says_who_would_be_asked_and_writes_nothing(
    conn: psycopg.Connection, due: tuple[int, int, datetime]
) -> None:
    """What would be said now has no silence; afterwards the reason is that it was said."""
    now = due[2]
    assert [None] == [verdict.silence for verdict in prompts.rehearse(conn, now)]
    assert [] == mails(conn)
    prompts.speak(conn, now)
    assert ["asked once in this cycle: the prompt is open"] == [v.silence for v in prompts.rehearse(conn, now)]


def test_an_order_under_way_or_a_spare_at_home_keeps_silence(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """Who has the part, or has ordered it, is not asked to order."""
    unit_id, _, now = due
    conn.execute("insert into spare values (%s, %s, %s, 2)", (house.tenant_id, unit_id, house.slot.slot_id))
    assert ["2 at home: the owner is asked whether it is fitted"] == [v.silence for v in prompts.rehearse(conn, now)]
    assert [] == prompts.speak(conn, now)
    conn.execute("delete from spare")
    assert 1 == len(prompts.speak(conn, now))


def test_who_has_a_spare_is_asked_once_whether_it_is_fitted(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """The second of a pack waits at home: its last day brings that question in place of the prompt, once a cycle."""
    unit_id, party_id, now = due
    conn.execute("insert into spare values (%s, %s, %s, 1)", (house.tenant_id, unit_id, house.slot.slot_id))
    asked = "select party_id, kind, payload, due_at from outbox where channel = 'email'"
    eol, running = fleet.standing(conn, unit_id)["eol_q50"], cycles.running(conn, unit_id, house.slot.slot_id)
    assert running is not None
    for when in (now, eol - timedelta(hours=1)):  # until then, the date may still move
        assert [] == prompts.speak(conn, when) == conn.execute(asked).fetchall()
    for days in (0, 1, 200):
        assert [] == prompts.speak(conn, eol + days * DAY)
    question = (party_id, "ask_if_fitted", {"cycle_id": running.cycle_id}, eol + prompts.ASK_AFTER)
    assert [question] == conn.execute(asked).fetchall()


def test_parts_due_together_share_a_mail_and_later_ones_wait_a_day(conn: psycopg.Connection, house: House) -> None:
    """Six units of one owner due on one day make one mail; a seventh a little later goes with the next day's."""
    now, unit_ids = BORN, [fleet.enrol(conn, house, f"A{i}") for i in range(7)]
    for unit_id in unit_ids:
        fleet.own(conn, house, unit_id)
        now = fleet.run(conn, unit_id, 100)
    fleet.set_clock(now)
    score.score_units(conn, unit_ids[:6], now)
    assert 6 == len(prompts.speak(conn, now))
    assert [6] == [len(payload["prompts"]) for _, payload in mails(conn)]
    score.score_units(conn, unit_ids[6:], now)
    assert [] == prompts.speak(conn, now + timedelta(hours=2))
    fleet.set_clock(now + DAY)
    assert 1 == len(prompts.speak(conn, now + DAY))
    assert 2 == len(mails(conn))


def test_a_reminder_that_shares_its_mail_with_a_more_urgent_part_is_sent(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """A prompt asked again in one mail with a new one, which is the more urgent, is not taken for its first mail."""
    now = due[2]
    (first,) = prompts.speak(conn, now)
    prompts.answer(conn, first, "remind", now)
    later = fleet.enrol(conn, house, "A2")
    fleet.own(conn, house, later)
    fleet.run(conn, later, 110)
    now += 7 * DAY
    fleet.set_clock(now)
    fleet.scored(conn, later, now)
    conn.execute("update slot_state set eol_q50 = %s where unit_id = %s", (BORN, later))
    assert 2 == len(prompts.speak(conn, now))
    assert [1, 2] == [len(payload["prompts"]) for _, payload in mails(conn)]


def test_slots_that_are_kept_quiet_about_stand_in_nobodys_way(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """However many owners want no prompts, those who do are among the ones looked at."""
    unit_id, _, now = due
    quiet = fleet.enrol(conn, house, "A2")
    owners.register(conn, house.tenant_id, quiet, email="quiet@example.com", now=BORN, prompts=False)
    fleet.run(conn, quiet, 110)
    fleet.scored(conn, quiet, now)
    conn.execute("update slot_state set order_at = %s where unit_id = %s", (BORN, quiet))
    assert [unit_id] == [c.unit_id for c in candidates.find(conn, now, limit=1)]
    assert {unit_id, quiet} == {v.candidate.unit_id for v in prompts.rehearse(conn, now)}


def test_of_two_workers_one_speaks(
    dsn: str, conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """While one worker asks, another asks nobody: each with one unit, they would write to its owner twice on a day."""
    now, second = due[2], fleet.enrol(conn, house, "A2")
    fleet.own(conn, house, second)
    fleet.run(conn, second, 100)
    fleet.scored(conn, second, now)
    conn.commit()
    with pool.connect(dsn, pool.Role.GATEWAY) as other:
        cycles.hold(other, second)
        assert 1 == len(prompts.speak(conn, now))
        assert [] == prompts.speak(other, now)


def test_an_estimate_asks_instead_of_telling(conn: psycopg.Connection, house: House) -> None:
    """A unit without a radio, past its life by the calendar: its owner is asked to look."""
    unit_id = fleet.enrol(conn, house, "Q1", "04006381333948", radio=False)
    fleet.own(conn, house, unit_id)
    now = BORN + 70 * DAY
    fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    asked = prompts.speak(conn, now)
    assert [("prompt", {"prompts": asked, "ask": asked})] == mails(conn)


def test_a_counter_that_goes_mad_prompts_nobody(conn: psycopg.Connection, house: House) -> None:
    """A counter that went back, a clock that ran ahead and the same hours once more leave a young filter alone."""
    unit_id = fleet.enrol(conn, house)
    fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, 30)
    fleet.report(conn, unit_id, "runtime", [(now, 3.0), (now + timedelta(hours=1), 4.0)])
    fleet.report(conn, unit_id, "runtime", [(now + 300 * DAY, 9_000.0)])
    for hours in range(5):
        fleet.scored(conn, unit_id, now + timedelta(hours=2 + hours))
        assert [] == prompts.speak(conn, now + timedelta(hours=2 + hours))


@pytest.mark.parametrize(
    ("answer", "state"),
    [("remind", "snoozed"), ("spare", "answered"), ("changed", "answered"), ("elsewhere", "answered"),
     ("wrong", "answered"), ("order", "open")],
)  # fmt: skip
def test_s9_each_answer_is_data(
    conn: psycopg.Connection, due: tuple[int, int, datetime], answer: str, state: str
) -> None:
    """An answer is kept with its prompt and its forecast, orders nothing, and ends the asking in this cycle."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    given_back = prompts.answer(conn, prompt_id, answer, now)
    assert (state, answer) == (given_back.state, given_back.answer)
    prompts.answer(conn, prompt_id, answer, now)
    kept = conn.execute("select payload from event where type = 'prompt_answered'").fetchall()
    assert [({"prompt_id": prompt_id, "answer": answer, "forecast_id": given_back.forecast_id},)] == kept
    assert [(0,)] == conn.execute("select count(*) from purchase").fetchall()
    score.score_units(conn, [unit_id], now + 2 * DAY)
    fleet.set_clock(now + 2 * DAY)
    assert [] == prompts.speak(conn, now + 2 * DAY)


def test_s9_a_spare_is_counted_and_asked_after_when_its_time_comes(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """Who has a spare is asked at the end of the old part's life whether it is fitted."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    prompts.answer(conn, prompt_id, "spare", now)
    assert [(1,)] == conn.execute("select count from spare").fetchall()
    eol = fleet.standing(conn, unit_id)["eol_q50"]
    assert [(eol,)] == conn.execute("select due_at from outbox where kind = 'ask_if_fitted'").fetchall()


def test_s9_changed_closes_the_cycle(conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]) -> None:
    """Who changed it already ends the cycle with that answer; the next cycle may ask again, in its time."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    prompts.answer(conn, prompt_id, "changed", now)
    for (event_id,) in conn.execute("select event_id from event where handled_at is null order by event_id").fetchall():
        reactions.react(conn, event_id, fleet.desk(conn), now)
    closed = conn.execute("select removed_reason, label is not null from cycle where upper(period) is not null")
    assert [("worn", True)] == closed.fetchall()
    running = cycles.running(conn, unit_id, house.slot.slot_id)
    assert running is not None
    assert ("owner", now) == (running.source, running.began_at)
    assert "changed" == prompts.get(conn, prompt_id).answer


def test_who_asked_to_be_reminded_is_reminded_once(conn: psycopg.Connection, due: tuple[int, int, datetime]) -> None:
    """The same prompt opens again when its time has come, with one more mail; each new reminder is asked for anew."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    for round_ in (1, 2):
        prompts.answer(conn, prompt_id, "remind", now)
        now += 7 * DAY
        fleet.set_clock(now)
        score.score_units(conn, [unit_id], now)
        assert [prompt_id] == prompts.speak(conn, now)
        assert [] == prompts.speak(conn, now)
        assert 1 + round_ == len(mails(conn))


def test_a_cancelled_order_opens_its_prompt_without_a_second_mail(
    conn: psycopg.Connection, due: tuple[int, int, datetime]
) -> None:
    """The owner may order again from the same mail."""
    _, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    cycle_id = prompts.get(conn, prompt_id).cycle_id
    prompts.ordered(conn, cycle_id, now)
    assert ("ordered", "order") == (prompts.get(conn, prompt_id).state, prompts.get(conn, prompt_id).answer)
    prompts.order_gone(conn, cycle_id)
    assert ("open", None) == (prompts.get(conn, prompt_id).state, prompts.get(conn, prompt_id).answer)
    assert [] == prompts.speak(conn, now)


@pytest.mark.parametrize(("answer", "state"), [("remind", "snoozed"), ("elsewhere", "answered"), ("wrong", "answered")])
def test_an_order_that_comes_to_nothing_leaves_the_answer_given_before(
    conn: psycopg.Connection, due: tuple[int, int, datetime], answer: str, state: str
) -> None:
    """A payment page opened and left: who asked to be reminded is reminded, and who buys elsewhere is left alone."""
    _, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    before = prompts.answer(conn, prompt_id, answer, now)
    prompts.ordered(conn, before.cycle_id, now + DAY)
    assert "ordered" == prompts.get(conn, prompt_id).state
    prompts.order_gone(conn, before.cycle_id)
    assert before == prompts.get(conn, prompt_id)
    assert state == before.state
    later = now + 7 * DAY
    fleet.set_clock(later)
    assert ([prompt_id] if answer == "remind" else []) == prompts.speak(conn, later)
    prompts.ordered(conn, before.cycle_id, later)
    prompts.order_gone(conn, before.cycle_id)
    assert [] == prompts.speak(conn, later + 2 * DAY)


def test_an_order_that_was_fitted_is_the_answer(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """Who asked to be reminded and ordered in the end has ordered."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    cycle_id = prompts.answer(conn, prompt_id, "remind", now).cycle_id
    prompts.ordered(conn, cycle_id, now)
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, now, "owner"), now)
    assert ("closed", "order") == (prompts.get(conn, prompt_id).state, prompts.get(conn, prompt_id).answer)


def sold(conn: psycopg.Connection, house: House, unit_id: int, now: datetime) -> int:
    """Let the unit be sold on at `now`, and return the new owner's party id."""
    conn.execute("update ownership set period = tstzrange(lower(period), %s) where unit_id = %s", (now, unit_id))
    return owners.register(conn, house.tenant_id, unit_id, email="second@example.com", now=now)


@pytest.mark.parametrize("answer", [None, "remind", "elsewhere", "spare"])
def test_who_buys_a_unit_is_asked_once_whatever_its_former_owner_was(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime], answer: str | None
) -> None:
    """The same prompt, unanswered, with a mail of its own to the new owner; the former one's spares went with them."""
    unit_id, first, now = due
    (prompt_id,) = prompts.speak(conn, now)
    if answer:
        prompts.answer(conn, prompt_id, answer, now)
    second = sold(conn, house, unit_id, now + DAY)
    now += 2 * DAY
    fleet.set_clock(now)
    assert [prompt_id] == prompts.speak(conn, now)
    assert [] == prompts.speak(conn, now + 2 * DAY)
    asked = prompts.get(conn, prompt_id)
    assert (second, "open", None, None) == (asked.party_id, asked.state, asked.answer, asked.remind_at)
    to = conn.execute("select party_id from outbox where kind = 'prompt' order by message_id").fetchall()
    assert [(first,), (second,)] == to


def test_who_buys_a_unit_and_answers_on_its_page_has_been_asked(
    conn: psycopg.Connection, house: House, due: tuple[int, int, datetime]
) -> None:
    """The prompt is theirs with their answer: no mail comes after it."""
    unit_id, _, now = due
    (prompt_id,) = prompts.speak(conn, now)
    second = sold(conn, house, unit_id, now + DAY)
    assert second == prompts.answer(conn, prompt_id, "elsewhere", now + 2 * DAY).party_id
    assert [] == prompts.speak(conn, now + 3 * DAY)


def test_what_is_no_answer_is_refused(conn: psycopg.Connection, due: tuple[int, int, datetime]) -> None:
    """Words that are no answer, and prompts that do not exist, change nothing."""
    (prompt_id,) = prompts.speak(conn, due[2])
    with pytest.raises(prompts.NoAnswer, match="'maybe' is no answer"):
        prompts.answer(conn, prompt_id, "maybe", due[2])
    with pytest.raises(NotFound):
        prompts.answer(conn, 999, "spare", due[2])
