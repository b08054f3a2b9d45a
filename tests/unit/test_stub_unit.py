"""The simulated unit: its life, its hidden wear, its answers."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_stubs import wire
from firmware_stubs.consumable import Consumable, SlotSpec
from firmware_stubs.household import HOURS_OF_WEEK, Habits, Household
from firmware_stubs.unit import Unit

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "protocol" / "schema.json").read_text())
BORN = 1_795_132_800.0  # Friday 2026-11-20, 00:00 UTC
DAY = 86_400.0
SLOTS = (SlotSpec("hepa", 450, 12.0, "WW-HEPA-2", senses_pressure=True), SlotSpec("carbon", 900))


def a_unit(**given: Any) -> Unit:
    return Unit(**{"device": "acme.A1", "born": BORN, "slots": SLOTS, **given})


def said(unit: Unit, limit: int = 200) -> list[wire.Message]:
    batches = []
    while batch := unit.outgoing(limit):
        batches.append(batch)
    return batches


def samples(unit: Unit) -> Iterator[wire.Sample]:
    return (sample for batch in said(unit) for sample in wire.samples(batch))


def receipt(unit: Unit, through: int, session: int = 1) -> None:
    assert [] == unit.hear("dn/receipt", {"v": 1, "s": session, "through": through})


def replay(unit: Unit, first: Any, last: Any, **more: Any) -> list[tuple[str, wire.Message]]:
    command = {"v": 1, "id": "r-1", "cmd": "replay", "s": 1, "from": first, "to": last, **more}
    return unit.hear("dn/cmd", command)


# ---- its life


@given(cuts=st.lists(st.floats(0, 20 * DAY), max_size=8))
@settings(max_examples=30)
def test_life_does_not_depend_on_how_it_is_cut(cuts: list[float]) -> None:
    """The same seed and birth give the same samples, lived in one step or in many."""
    whole, parts = a_unit(), a_unit()
    whole.advance(BORN + 20 * DAY)
    for cut in sorted(cuts):
        parts.advance(BORN + cut)
    parts.advance(BORN + 20 * DAY)
    assert list(whole.journal) == list(parts.journal)
    assert whole.wear("hepa") == parts.wear("hepa")


def test_units_and_seeds_differ() -> None:
    """Another device, or another seed, is another life."""
    lives = [a_unit(), a_unit(device="acme.A2"), a_unit(seed=1)]
    for unit in lives:
        unit.advance(BORN + 10 * DAY)
    assert 3 == len({unit.runtime_h for unit in lives})


def test_hidden_wear_only_grows() -> None:
    """A part's true wear never falls, and ends only with a new part."""
    unit = a_unit()
    wears = []
    for day in range(120):
        unit.advance(BORN + day * DAY)
        wears.append(unit.wear("hepa"))
    assert all(earlier <= later for earlier, later in pairwise(wears))
    unit.fit_part("hepa", "WW-HEPA-2")
    assert 0 == unit.wear("hepa") < unit.wear("carbon")


def test_wear_is_on_no_wire() -> None:
    """What the unit says never holds its true wear; its own percentage counts hours, whatever the dust."""
    unit = a_unit()
    unit.advance(BORN + 60 * DAY)
    last = list(samples(unit))[-1]
    assert {"runtime", "running", "pm25", "fan_rpm", "temperature", "hepa.left_pct", "carbon.left_pct"} <= set(
        last.values
    )
    assert "wear" not in json.dumps([dict(last.values), unit.birth()])
    assert round(100 * (1 - unit.runtime_h / 450)) == last.values["hepa.left_pct"]


def test_filters_last_between_two_and_four_months() -> None:
    """With a few running hours a day most filters of 450 rated hours reach their end between 60 and 120 days."""
    lives = []
    for k in range(60):
        unit, day = a_unit(device=f"acme.B{k}", sample_h=24), 0
        while unit.wear("hepa") < 1:
            day += 1
            unit.advance(BORN + day * DAY)
        lives.append(day)
    assert 75 < np.median(lives) < 105
    assert np.mean([60 <= life <= 120 for life in lives]) > 0.75
    assert np.std(lives) > 8


def test_pressure_drop_has_a_knee() -> None:
    """The pressure drop grows little in the first half of a life and most in the last tenth."""
    part = Consumable(SLOTS[0], np.random.default_rng(1))

    def at(wear: float) -> float:
        part.exposure_h = wear * part.life_h
        return part.pressure_drop(1.0)

    assert at(0.5) - at(0) < 0.12 * (at(1) - at(0))
    assert at(1) - at(0.9) > 0.3 * (at(1) - at(0))
    assert at(1) == pytest.approx(4 * at(0))


def test_dust_wears_what_it_should() -> None:
    """Twice the dust wears a dust filter twice as fast, and a carbon filter no faster."""
    dusty, clean = ([Consumable(spec, np.random.default_rng(1)) for spec in SLOTS] for _ in range(2))
    for parts, pm25 in ((dusty, 24.0), (clean, 12.0)):
        for part in parts:
            part.run(10, pm25)
    assert 2 * clean[0].wear == dusty[0].wear
    assert clean[1].wear == dusty[1].wear


def test_household_has_a_week() -> None:
    """Use follows the hour of the week: evenings more than nights, and as much a day as the household is drawn for."""
    household = Household(np.random.default_rng(3), Habits())
    ran = np.array([hour.ran for hour in household.hours(BORN - 4 * DAY, 40 * HOURS_OF_WEEK)]).reshape(40, 7, 24)
    assert ran.min() >= 0
    assert ran.max() <= 1
    assert ran[:, :, 18:21].mean() > 3 * ran[:, :, 1:4].mean()
    assert ran[:, 5:, 9:16].mean() > 1.5 * ran[:, :5, 9:16].mean()
    assert ran.sum(axis=2).mean() == pytest.approx(household.run_h_per_day, rel=0.1)


def test_regular_household_repeats_its_week() -> None:
    """Without irregularity each week's use is the pattern itself."""
    household = Household(np.random.default_rng(3), Habits(irregular=0))
    ran = [hour.ran for hour in household.hours(BORN - 4 * DAY, 2 * HOURS_OF_WEEK)]
    assert ran[:HOURS_OF_WEEK] == ran[HOURS_OF_WEEK:] == household.pattern


def test_use_of_all_day_households_stays_within_the_hour() -> None:
    """A household that runs 23 hours a day has no hour of more than one."""
    household = Household(np.random.default_rng(3), Habits(run_h_per_day=23, run_spread=0))
    assert max(household.pattern) <= 1
    assert sum(household.pattern) == pytest.approx(7 * 23)


def test_runtime_never_falls_and_reboots_keep_it() -> None:
    """The runtime counter is cumulative over reboots and new parts."""
    unit = a_unit()
    unit.advance(BORN + 5 * DAY)
    unit.reboot()
    unit.fit_part("hepa", None)
    unit.advance(BORN + 10 * DAY)
    counters = [s.values["runtime"] for s in samples(unit)]
    assert sorted(counters) == counters
    assert 240 == len(counters)


def test_refit_ends_each_part_at_its_wear() -> None:
    """A household that refits at the end of life leaves finished cycles, told by events, in its history."""
    unit = a_unit(refit_at=1.0, sample_h=24)
    unit.advance(BORN + 400 * DAY)
    fitted = [event for event in unit.events.values() if event["slot"] == "hepa"]
    assert 3 <= len(fitted) <= 8
    assert {"WW-HEPA-2"} == {event["part"] for event in fitted}
    assert all(BORN < event["t"] <= BORN + 400 * DAY for event in fitted)


# ---- what it says


def test_everything_it_says_is_valid() -> None:
    """Births, batches, events and replies of any clock are what the schema says they are."""
    unit = a_unit()
    unit.advance(BORN + 3 * DAY)
    told = [("state", unit.birth()), ("state", wire.state(unit.session, "lost"))]
    for clock in ("relative", "none", "synced"):
        unit.reboot(clock)
        unit.fit_part("hepa", "WW-HEPA-2", by="tag", tag="04A2")
        unit.press("filter")
        unit.advance(unit._now + DAY)
    told += [("tlm", batch) for batch in said(unit)]
    told += [("evt", event) for event in unit.outgoing_events()]
    told += [("tlm" if leaf == "tlm" else "reply", message) for leaf, message in replay(unit, 1, 5)]
    for kind, message in told:
        jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}).validate(message)
    assert {"synced", "relative", "none"} == {message["c"] for kind, message in told if kind == "tlm"}
    assert {1, 2, 3, 4} == {message["s"] for kind, message in told if kind == "tlm"}


def test_first_sample_after_power_on_warms_up() -> None:
    """The dust sensor says INIT once, and numbers after that."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    unit.reboot()
    unit.advance(BORN + 2 * DAY)
    dust = [(s.session, s.sequence) for s in samples(unit) if s.values["pm25"] == "INIT"]
    assert [(1, 1), (2, 1)] == dust


def test_window_waits_for_receipts() -> None:
    """No more than the window is under way without a receipt; a receipt lets the next out."""
    unit = a_unit()
    unit.advance(BORN + 10 * DAY)
    assert 24 == sum(len(unit.outgoing(10, window=24)["r"]) for _ in range(3))  # type: ignore[index]  # a message, not None
    assert unit.outgoing(10, window=24) is None
    receipt(unit, 20)
    assert 25 == unit.outgoing(10, window=24)["q"]  # type: ignore[index]  # a message, not None


def test_full_journal_uses_up_no_number() -> None:
    """A full journal takes no sample and no sequence number, so that nothing is missing when there is room again."""
    unit = a_unit(journal_cap=10)
    unit.advance(BORN + DAY)
    assert (10, 14) == (len(unit.journal), unit.unrecorded)
    said(unit)
    receipt(unit, 10)
    unit.advance(BORN + DAY + 3600)
    assert [11] == [s.sequence for s in samples(unit)]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("live"), st.integers(1, 40)),
            st.tuples(st.just("send"), st.integers(1, 15)),
            st.tuples(st.just("receipt"), st.integers(0, 300)),
            st.tuples(st.just("reconnect"), st.just(0)),
            st.tuples(st.just("replay"), st.integers(1, 300)),
        ),
        max_size=40,
    )
)
@settings(max_examples=60)
def test_nothing_is_lost_without_a_receipt(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, each sample is receipted or still in the journal."""
    unit, now, sent, safe = a_unit(), BORN, 0, 0
    for step, amount in steps:
        if step == "live":
            now += amount * 3600
            unit.advance(now)
        elif step == "send" and (batch := unit.outgoing(amount)):
            sent = max(sent, batch["q"] + len(batch["r"]) - 1)
        elif step == "receipt":
            receipt(unit, amount)
            safe = max(safe, amount if amount <= sent else 0)
        elif step == "reconnect":
            unit.reconnected()
        elif step == "replay":
            replay(unit, amount, amount + 5)
        lived = int((now - BORN) // 3600)
        assert list(range(safe + 1, lived + 1)) == [s.sequence for s in unit.journal]


# ---- what it hears


def test_event_is_told_until_its_receipt() -> None:
    """An event goes out once per connection until the gateway has it."""
    unit = a_unit()
    identity = unit.fit_part("hepa", "WW-HEPA-2")
    assert [identity] == [event["id"] for event in unit.outgoing_events()]
    assert [] == unit.outgoing_events()
    unit.reconnected()
    assert [identity] == [event["id"] for event in unit.outgoing_events()]
    unit.hear("dn/receipt", {"v": 1, "event": identity})
    unit.reconnected()
    assert [] == unit.outgoing_events()


def test_fitting_is_seen_in_the_next_birth() -> None:
    """The part that was fitted stands in the unit's state."""
    unit = a_unit()
    unit.fit_part("hepa", "WW-HEPA-3")
    assert {"hepa": {"part": "WW-HEPA-3"}, "carbon": {"part": None}} == unit.birth()["slots"]
    with pytest.raises(KeyError):
        unit.fit_part("bag", "WW-BAG-1")


def test_replay_from_the_journal() -> None:
    """A range that is still there is sent again, the same, and done."""
    unit = a_unit()
    unit.advance(BORN + 20 * DAY)
    first = [s for s in samples(unit) if 100 <= s.sequence <= 420]
    *batches, (leaf, answer) = replay(unit, 100, 420)
    assert ("up/reply", {"v": 1, "id": "r-1", "status": "done"}) == (leaf, answer)
    assert first == [s for _, batch in batches for s in wire.samples(batch)]


def test_replay_of_what_is_gone_is_lost() -> None:
    """What is left is sent, and the answer is failed, lost."""
    unit = a_unit()
    unit.advance(BORN + 2 * DAY)
    said(unit)
    receipt(unit, 30)
    (leaf, batch), (_, answer) = replay(unit, 25, 35)
    assert ("tlm", 31, 5) == (leaf, batch["q"], len(batch["r"]))
    assert {"v": 1, "id": "r-1", "status": "failed", "detail": "lost"} == answer


def test_command_is_done_once() -> None:
    """The same id again gets the same answer and no second replay."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    assert ["tlm", "up/reply"] == [leaf for leaf, _ in replay(unit, 1, 5)]
    assert [("up/reply", {"v": 1, "id": "r-1", "status": "done"})] == replay(unit, 1, 5)


def test_expired_command_does_nothing() -> None:
    """An expired command is answered timed_out; a unit without a clock cannot know, and obeys."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    assert ["timed_out"] == [m["status"] for _, m in replay(unit, 1, 5, expires=BORN)]
    unit.reboot("none")
    assert ["up/reply"] == [leaf for leaf, _ in replay(unit, 1, 5, expires=BORN)]  # the same id: the same answer
    assert "done" == replay(unit, 1, 5, expires=BORN, id="r-2")[-1][1]["status"]


@pytest.mark.parametrize(
    "command",
    [
        {"cmd": "dance"},
        {"cmd": "replay"},
        {"cmd": "replay", "s": 1, "from": 5, "to": 4},
        {"cmd": "replay", "s": 1, "from": "1", "to": 4},
        {"cmd": "replay", "s": True, "from": 1, "to": 4},
    ],
)
def test_command_it_cannot_do_is_rejected(command: dict[str, Any]) -> None:
    """What is unknown or incomplete is rejected with a sentence, and changes nothing."""
    [(leaf, answer)] = a_unit().hear("dn/cmd", {"v": 1, "id": "c-1", **command})
    assert ("up/reply", "c-1", "rejected") == (leaf, answer["id"], answer["status"])
    assert answer["detail"].endswith(".")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    leaf=st.sampled_from(["dn/receipt", "dn/cmd", "dn/forecast", "dn/new"]),
    message=st.dictionaries(
        st.sampled_from(["s", "q", "through", "event", "error", "detail", "id", "cmd", "from", "to", "expires"]),
        json_values,
    ),
)
def test_it_works_on_whatever_it_hears(leaf: str, message: dict[str, Any]) -> None:
    """No message of the gateway's makes it fail, or forget what was never sent."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    unit.hear(leaf, {"v": 1, **message})
    assert 24 == len(unit.journal)


def test_batch_that_was_refused_whole_is_set_aside() -> None:
    """A refusal of the message stops it from being sent again; the receipt that passes it takes it out."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    said(unit, limit=8)
    refusal = {"v": 1, "error": "wrong_shape", "detail": "…", "s": 1, "q": 9}
    unit.hear("dn/receipt", refusal)
    unit.reconnected()
    assert [1, 17] == [batch["q"] for batch in said(unit, limit=8)]
    assert {"failed"} == {m["status"] for _, m in replay(unit, 9, 16)}
    receipt(unit, 24)
    assert 0 == len(unit.journal)
    assert refusal == unit.last_refusal


@pytest.mark.parametrize("code", ["unbelievable", "unknown_channel", "unknown_unit", "a_code_of_some_later_version"])
def test_other_refusals_set_nothing_aside(code: str) -> None:
    """A refusal of single readings, or one that will pass, changes nothing about the journal."""
    unit = a_unit()
    unit.advance(BORN + DAY)
    said(unit, limit=8)
    unit.hear("dn/receipt", {"v": 1, "error": code, "detail": "…", "s": 1, "q": 9})
    unit.reconnected()
    assert [1, 9, 17] == [batch["q"] for batch in said(unit, limit=8)]


def test_refused_event_is_given_up() -> None:
    """An event that the gateway keeps in quarantine is not told again."""
    unit = a_unit()
    identity = unit.press("filter")
    unit.hear("dn/receipt", {"v": 1, "error": "unknown_event", "detail": "…", "id": identity})
    assert {} == unit.events


def test_forecast_switches_nothing_off() -> None:
    """An overdue part is shown and the unit runs on."""
    unit, untold = a_unit(), a_unit()
    unit.hear("dn/forecast", {"v": 1, "slots": {"hepa": {"left_pct": 0, "stage": "overdue"}}})
    for one in (unit, untold):
        one.advance(BORN + 30 * DAY)
    assert "overdue" == unit.forecast["slots"]["hepa"]["stage"]  # type: ignore[index]  # a message, not None
    assert untold.runtime_h == unit.runtime_h


# ---- what it keeps


def test_memory_survives_a_power_cut() -> None:
    """Switched off and on, a unit has its journal, events, counters and worn parts, and a new session."""
    unit, again = a_unit(), a_unit()
    unit.advance(BORN + 20 * DAY)
    unit.fit_part("carbon", "WW-CARB-1")
    said(unit)
    receipt(unit, 100)
    again.recall(json.loads(json.dumps(unit.memory())))
    assert list(unit.journal) == list(again.journal)
    assert unit.events == again.events
    assert (unit.runtime_h, unit.wear("hepa"), 2) == (again.runtime_h, again.wear("hepa"), again.session)
    assert unit.birth()["slots"] == again.birth()["slots"]
    receipt(again, 480)
    assert 0 == len(again.journal)


def test_old_memory_brings_no_session_back() -> None:
    """A unit made with a greater session than its memory holds does not use one again that came after the memory."""
    unit, again = a_unit(), a_unit(session=50)
    again.recall(unit.memory())
    assert 50 == again.session


def test_memory_of_some_seconds_ago_is_emptied_by_receipts_for_what_came_after_it() -> None:
    """What was sent since cannot be known: the gateway has it, and its receipt covers what is remembered."""
    unit, again = a_unit(), a_unit()
    unit.advance(BORN + 4 * DAY)
    memory = json.loads(json.dumps(unit.memory()))
    unit.advance(BORN + 5 * DAY)
    again.recall(memory)
    again.outgoing()
    receipt(again, 120)
    assert 0 == len(again.journal) == again.journal.outstanding


def test_life_goes_on_as_it_would_have() -> None:
    """A power cut changes neither the household nor the parts that are still to be drawn."""
    unit, again = a_unit(), a_unit()
    unit.advance(BORN + 20 * DAY)
    again.recall(json.loads(json.dumps(unit.memory())))
    for one in (unit, again):
        one.advance(BORN + 40 * DAY)
        one.fit_part("hepa", None)
    assert unit.runtime_h == again.runtime_h
    assert unit.slots["hepa"].life_h == again.slots["hepa"].life_h
    assert (2, 1) == min((s.session, s.sequence) for s in again.journal if s.session > 1)
