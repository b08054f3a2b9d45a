"""What can go wrong between a part and its forecast, each from the rows that it leaves to what the owner hears."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from gateway import clock
from gateway.bench import read
from gateway.events import Event, EventType
from gateway.registry import doubts, history
from gateway.registry.doubts import Doubt
from gateway.registry.models import Slot
from gateway.replenish import cycles, features, learn, prompts, reactions, score
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)
DUCT = "04006381333955"
FRESH, CLOGGED = 40.0, 110.0  # Pa
A_DAY = 8  # running hours
Course = Callable[[int], float | None]


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    yield fleet.build(conn)
    clock.accelerate(None)


@pytest.fixture
def duct(conn: psycopg.Connection, house: House) -> Slot:
    """The slot whose pressure drop is measured."""
    return fleet.slot_of(conn, DUCT)


def clogs(hours: float) -> float:
    """Pressure drop of a part that has run so long: it rises to the clogged one in 400 h."""
    return FRESH + (CLOGGED - FRESH) * min(hours / 400.0, 1.2)


class Unit:
    """A unit with a duct filter, told hour by hour what its sensors say."""

    def __init__(
        self, conn: psycopg.Connection, house: House, slot: Slot, serial: str = "D1", *, owned: bool = True
    ) -> None:
        self.conn, self.house, self.slot = conn, house, slot
        self.id = fleet.enrol(conn, house, serial, DUCT)
        self.party = fleet.own(conn, house, self.id) if owned else None
        self.now = BORN
        self.hours = 0
        self.noise = np.random.default_rng(len(serial) + ord(serial[-1]))

    def run(self, days: int, pressure: Course | None, left: Course | None = None, fan: Course | None = None) -> None:
        """Live some days; each course says what is read after so many running hours of this stretch, None nothing."""
        said: dict[str, list[tuple[datetime, float]]] = {name: [] for name in ("runtime", "dp", "left", "fan")}
        if not self.hours:
            said["runtime"].append((self.now, 0.0))
        for hour in range(days * A_DAY):
            at = self.now + timedelta(days=hour // A_DAY, hours=1 + hour % A_DAY)
            self.hours += 1
            said["runtime"].append((at, float(self.hours)))
            for name, course in (("dp", pressure), ("left", left), ("fan", fan)):
                value = course(hour) if course else None
                if value is not None:
                    wobble = 1 + 0.03 * self.noise.standard_normal() if name == "dp" else 1.0
                    said[name].append((at, value * wobble))
        self.now += days * DAY
        fleet.report(self.conn, self.id, "runtime", said["runtime"])
        for name, channel, slot_id in (("dp", "pressure_drop", 0), ("left", "left_pct", self.slot.slot_id),
                                       ("fan", "fan_rpm", 0)):  # fmt: skip
            if said[name]:
                fleet.report(self.conn, self.id, channel, said[name], slot_id=slot_id)

    def look(self, values: list[float]) -> Iterator[int]:
        """Say one pressure drop after another and be scored at each, as happens within seconds; yield how many."""
        for i, value in enumerate(values):
            self.now += timedelta(hours=1 if (self.hours + 1) % A_DAY else 25 - A_DAY)
            self.hours += 1
            wobble = 1 + 0.03 * self.noise.standard_normal()
            fleet.report(self.conn, self.id, "runtime", [(self.now, float(self.hours))])
            fleet.report(self.conn, self.id, "pressure_drop", [(self.now, value * wobble)])
            self.score()
            yield i + 1

    def score(self) -> dict[str, Any]:
        fleet.set_clock(self.now)
        return fleet.scored(self.conn, self.id, self.now)

    def react(self) -> None:
        waiting = self.conn.execute("select event_id from event where handled_at is null order by event_id").fetchall()
        for (event_id,) in waiting:
            reactions.react(self.conn, event_id, fleet.desk(self.conn), clock.now())

    def tell(self, kind: EventType, **payload: Any) -> None:
        where = (self.house.tenant_id, self.id, self.slot.slot_id)
        key = f"{kind}:{self.id}:{self.now.isoformat()}"
        history.record(self.conn, Event(*where, kind, key, self.now, payload))
        self.react()

    @property
    def noticed(self) -> list[Doubt]:
        return doubts.of_unit(self.conn, self.id)

    @property
    def cycles(self) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            "select source, lower(period), label from cycle where unit_id = %s order by lower(period)", (self.id,)
        ).fetchall()


@pytest.fixture
def worn(conn: psycopg.Connection, house: House, duct: Slot) -> Unit:
    """A unit whose filter has clogged for 40 days, 320 of 1000 rated hours, without its own counter."""
    unit = Unit(conn, house, duct)
    unit.run(40, clogs)
    unit.score()
    return unit


@pytest.fixture
def counting(conn: psycopg.Connection, house: House, duct: Slot) -> Unit:
    """The same with the unit's own percentage, which has come down to 36."""
    unit = Unit(conn, house, duct)
    unit.run(40, clogs, lambda hour: 100 - hour // 5)
    unit.score()
    return unit


def mails(conn: psycopg.Connection) -> list[str]:
    return [row[0] for row in conn.execute("select kind from outbox where channel = 'email' order by message_id")]


# Replacement, cleaning, reset.


def test_a_replacement_nobody_told_is_asked_about_once(worn: Unit) -> None:
    """The pressure drop falls to a fresh part's: the owner is asked, once, and the cycle stays open until they say."""
    worn.run(4, clogs)
    before = worn.score()
    assert ["replaced"] == [doubt.kind for doubt in worn.noticed]
    worn.run(1, lambda hour: clogs(32 + hour))
    worn.score()
    worn.score()
    (doubt,) = worn.noticed
    assert ("open", True) == (doubt.state, doubt.probability > 0.9)
    assert abs(doubt.happened_at - (BORN + 40 * DAY)) <= 2 * DAY
    assert ["ask_if_changed"] == mails(worn.conn)
    assert 1 == len(worn.cycles)
    assert ["changed"] == before["flags"]
    assert "look as if a new part was put in" in before["reasons"]["sentence"]


def test_scored_at_each_look_a_replacement_is_never_noted_as_a_cleaning(worn: Unit) -> None:
    """The first looks at a new part are too few to tell it from a cleaned one; the sixth tells, and is asked about."""
    for looks in worn.look([clogs(320 + hour) for hour in range(2)] + [clogs(hour) for hour in range(12)]):
        said = [(doubt.kind, doubt.state) for doubt in worn.noticed]
        assert ([] if looks < 2 + 6 else [("replaced", "open")]) == said, f"after {looks} looks"
    assert ["ask_if_changed"] == mails(worn.conn)
    assert worn.noticed[0].probability > 0.9


def test_what_was_noted_as_a_cleaning_is_asked_about_once_it_proves_a_new_part(worn: Unit) -> None:
    """Rinsed at first, exchanged two days later: judged by what is known by now, and asked about once."""
    for _ in worn.look([0.5 * (FRESH + clogs(320))] * 12):
        assert [] == mails(worn.conn)
    (noted,) = worn.noticed
    assert ("cleaned", "noted") == (noted.kind, noted.state)
    for _ in worn.look([clogs(hour) for hour in range(24)]):
        assert 1 == len(worn.noticed)
    (asked,) = worn.noticed
    assert ("open", noted.doubt_id) == (asked.state, asked.doubt_id)
    assert asked.kind in ("replaced", "unknown")  # two steps so near are not always told apart: enough to ask
    assert timedelta(0) <= asked.happened_at - noted.happened_at <= 3 * DAY
    assert noted.found_at < asked.found_at  # its owner has two weeks from the question on
    assert ["ask_if_changed"] == mails(worn.conn)


def test_a_cleaning_that_an_earlier_build_took_a_new_part_for_is_judged_anew(worn: Unit) -> None:
    """Noted after the second look, before there were looks enough: brought up to date by those that came since."""
    worn.run(4, clogs)
    worn.score()
    worn.conn.execute("update doubt set kind = 'cleaned', state = 'noted', probability = 0, evidence = '{}'")
    worn.conn.execute("delete from outbox")
    worn.score()
    assert [("replaced", "open", True)] == [(d.kind, d.state, d.probability > 0.9) for d in worn.noticed]
    assert ["ask_if_changed"] == mails(worn.conn)


@pytest.mark.parametrize(("answer", "state"), [("no", "denied"), ("yes", "confirmed")])
def test_more_looks_undo_no_answer(worn: Unit, answer: str, state: str) -> None:
    """What its owner said of the part stays said, whatever the next looks read like."""
    worn.run(1, clogs)
    worn.score()
    doubts.answer(worn.conn, worn.noticed[0].doubt_id, answer, worn.now)
    worn.react()
    for _ in worn.look([clogs(8 + hour) for hour in range(12)]):
        assert [state] == [doubt.state for doubt in worn.noticed]
    assert ["ask_if_changed"] == mails(worn.conn)


def test_until_it_is_answered_the_range_counts_with_both_parts(worn: Unit) -> None:
    """The interval reaches from where the old part would end to where a new one would."""
    known = worn.score()
    worn.run(4, clogs)
    doubted = worn.score()

    def width(state: dict[str, Any]) -> timedelta:
        found: timedelta = state["eol_q90"] - state["eol_q10"]
        return found

    assert width(doubted) > width(known)
    assert doubted["eol_q10"] < known["eol_q90"] < doubted["eol_q90"]


def test_while_it_is_in_doubt_nobody_is_prompted(conn: psycopg.Connection, worn: Unit) -> None:
    """However late the order date looks, nothing is asked or ordered but whether the part was changed."""
    worn.run(4, clogs)
    worn.score()
    conn.execute("update slot_state set order_at = %s", (worn.now - DAY,))
    assert [] == prompts.speak(conn, worn.now)
    (verdict,) = prompts.rehearse(conn, worn.now)
    assert "may have been changed already" in (verdict.silence or "")


def unanswered(worn: Unit, days: int = 14) -> dict[str, Any]:
    """Let a question stand for so many days, in which the unit runs on with what reads like a fresh part."""
    worn.run(4, clogs)
    worn.score()
    worn.run(days, lambda hour: clogs(32 + hour))
    return worn.score()


def test_a_question_nobody_answers_silences_prompts_for_two_weeks_only(conn: psycopg.Connection, worn: Unit) -> None:
    """On the thirteenth day nothing is said yet; on the fourteenth the mail asks, and says what is not known."""
    assert ["changed"] == unanswered(worn, 13)["flags"]
    conn.execute("update slot_state set order_at = %s", (worn.now - DAY,))
    assert [] == prompts.speak(conn, worn.now)
    worn.run(1, lambda hour: clogs(136 + hour))
    assert ["assumed_new"] == worn.score()["flags"]
    assert ["open"] == [doubt.state for doubt in worn.noticed]
    conn.execute("update slot_state set order_at = %s", (worn.now - DAY,))
    (verdict,) = prompts.rehearse(conn, worn.now)
    assert (None, True) == (verdict.silence, verdict.candidate.unsure)
    (prompt_id,) = prompts.speak(conn, worn.now)
    assert 1 == mails(conn).count("prompt")
    asked = conn.execute("select payload -> 'ask' from outbox where kind = 'prompt'").fetchone()
    assert ([prompt_id],) == asked
    said = conn.execute("select reasons from forecast order by forecast_id desc limit 1").fetchone()
    assert said
    assert "You have not told us whether it was changed" in said[0]["parts"][0]["text"]


def test_unanswered_it_goes_on_by_the_likelier_reading(worn: Unit) -> None:
    """The median is the new part's, the range still holds the old one's end, the order date weighs both."""
    before = unanswered(worn, 13)
    worn.run(1, lambda hour: clogs(136 + hour))
    after = worn.score()
    (doubt,) = worn.noticed
    doubts.answer(worn.conn, doubt.doubt_id, "yes", worn.now)
    worn.react()
    new = worn.score()
    assert doubt.probability > 0.8
    close = DAY * 0.1 * ((new["eol_q50"] - worn.now) / DAY)
    assert abs(after["eol_q50"] - new["eol_q50"]) < close
    assert abs(after["pct_left"] - new["pct_left"]) < 5
    assert after["pct_left"] > before["pct_left"] + 3
    assert after["eol_q10"] <= before["eol_q10"] + DAY
    assert after["eol_q90"] >= new["eol_q90"] - DAY
    assert before["order_at"] < after["order_at"] <= new["order_at"] + DAY


def test_an_answer_after_two_weeks_settles_it_still(conn: psycopg.Connection, worn: Unit) -> None:
    """A late no brings the old part's forecast back, without a word of doubt."""
    assert "assumed_new" in unanswered(worn)["flags"]
    (doubt,) = worn.noticed
    doubts.answer(conn, doubt.doubt_id, "no", worn.now)
    worn.react()
    assert ["denied"] == worn.score()["flags"]
    assert 1 == len(worn.cycles)


def test_a_yes_closes_the_cycle_when_it_happened(worn: Unit) -> None:
    """The new cycle begins at the moment in doubt, by the owner's word; a second press changes nothing."""
    worn.run(4, clogs)
    worn.score()
    (doubt,) = worn.noticed
    doubts.answer(worn.conn, doubt.doubt_id, "yes", worn.now)
    doubts.answer(worn.conn, doubt.doubt_id, "no", worn.now)
    worn.react()
    assert ["factory", "owner"] == [row[0] for row in worn.cycles]
    assert doubt.happened_at == worn.cycles[1][1]
    after = worn.score()
    assert ([], True) == (after["flags"], after["pct_left"] > 90)
    assert ["confirmed"] == [each.state for each in worn.noticed]


def test_a_no_goes_on_with_the_same_part_and_asks_no_more(conn: psycopg.Connection, worn: Unit) -> None:
    """The levels that the old signals crossed say nothing any more, exposure goes on, prompts are free again."""
    worn.run(4, clogs)
    worn.score()
    (doubt,) = worn.noticed
    doubts.answer(worn.conn, doubt.doubt_id, "no", worn.now)
    worn.react()
    assert conn.execute("select from rescore").fetchall()
    state = worn.score()
    assert ["denied"] == state["flags"]
    assert 1 == len(worn.cycles)
    assert 1 == len(worn.noticed)
    assert ["ask_if_changed"] == mails(conn)
    conn.execute("update slot_state set order_at = %s", (worn.now - DAY,))
    conn.execute("delete from outbox")
    assert 1 == len(prompts.speak(conn, worn.now))


def both_parts(unit: Unit, answer: str | None = None, after: Course = clogs) -> dict[str, Any]:
    """Run on with what may be another part, unanswered where no answer is given, be fitted anew, return the label."""
    unit.run(4, after)
    unit.score()
    if answer:
        doubts.answer(unit.conn, unit.noticed[0].doubt_id, answer, unit.now)
        unit.react()
    unit.run(26, lambda hour: after(32 + hour))
    unit.score()
    unit.tell(EventType.PART_FITTED, by="button")
    label: dict[str, Any] = unit.cycles[0][2]
    return label


def test_a_cycle_that_held_two_parts_teaches_the_first_ones_life(worn: Unit) -> None:
    """Nobody answered, and a new part was likelier: it is kept as the life that the first one had by then."""
    label = both_parts(worn)
    assert (True, True, 320) == (label["witnessed"], label["censored"], label["run_h"])
    assert label["age_d"] == pytest.approx(40, abs=0.1)
    assert label["indicator"] == pytest.approx(clogs(320), rel=0.1)
    record = read.record(worn.conn, worn.slot, worn.now + DAY)
    changed = record.day(datetime.fromisoformat(label["changed_at"]))
    assert [changed] == record.alive_until_d[:1].tolist() == record.cycles.removed_d[:1].tolist()
    assert record.snapshots.made_d[record.snapshots.cycle == 0].max() <= changed
    assert not record.ended.any()


def test_of_two_parts_in_a_cycle_the_first_ones_end_is_learned(conn: psycopg.Connection, worn: Unit) -> None:
    """It was at its end when a new one came, which nobody told: an end at the first one's hours, in label and bench."""
    conn.execute("update slot set indicator_eol = 90 where slot_id = %s", (worn.slot.slot_id,))
    worn.slot = fleet.slot_of(conn, DUCT)
    worn.score()
    label = both_parts(worn)
    assert (True, False, 320) == (label["witnessed"], label["censored"], label["run_h"])
    record = read.record(conn, worn.slot, worn.now + DAY)
    assert record.end_d[:1] == pytest.approx([40], abs=0.1)


@pytest.mark.parametrize(
    ("answer", "after"), [("no", clogs), (None, lambda hour: 0.5 * (FRESH + clogs(320)) + 0.05 * hour)]
)
def test_what_was_told_or_cleaned_is_one_part(worn: Unit, answer: str | None, after: Course) -> None:
    """Its owner says that it is the same part, or it was cleaned: its life is the whole cycle's."""
    label = both_parts(worn, answer, after)
    assert 320 + 30 * A_DAY == label["run_h"]
    assert "changed_at" not in label
    record = read.record(worn.conn, worn.slot, worn.now + DAY)
    assert record.cycles.removed_d[0] == pytest.approx(70, abs=0.1)


def test_while_two_parts_are_in_doubt_neither_the_gateway_nor_the_bench_learns_one_life(worn: Unit) -> None:
    """A running cycle with another part in it is no survivor of all its hours."""
    worn.run(4, clogs)
    worn.score()
    (doubt,) = worn.noticed
    worn.run(20, lambda hour: clogs(32 + hour))
    worn.score()
    learn.learn(worn.conn, worn.slot.slot_id, worn.now)
    note = "select note from model_version order by model_version_id desc limit 1"
    assert ("learned from 0 finished and 0 running cycles",) == worn.conn.execute(note).fetchone()
    record = read.record(worn.conn, worn.slot, worn.now)
    assert record.alive_until_d[0] <= record.day(doubt.happened_at)
    doubts.answer(worn.conn, doubt.doubt_id, "no", worn.now)
    worn.react()
    learn.learn(worn.conn, worn.slot.slot_id, worn.now + DAY)
    assert ("learned from 0 finished and 1 running cycles",) == worn.conn.execute(note).fetchone()
    assert read.record(worn.conn, worn.slot, worn.now + DAY).alive_until_d[0] > record.day(doubt.happened_at) + 20
    before = read.record(worn.conn, worn.slot, worn.now - timedelta(hours=1))
    assert before.alive_until_d[0] <= record.day(doubt.happened_at)  # the answer had not come yet


def test_counter_and_indicator_together_close_the_cycle(counting: Unit) -> None:
    """Two witnesses of one moment: reported by the unit's own signals, with the evidence kept in the label."""
    counting.run(4, clogs, lambda hour: 100 - hour // 5)
    counting.score()
    assert ["acted"] == [doubt.state for doubt in counting.noticed]
    counting.react()
    assert ["factory", "inferred"] == [row[0] for row in counting.cycles]
    label = counting.cycles[0][2]
    assert "the unit's own signals" == label["told_by"]
    assert label["evidence"]["counter_began_again"]
    assert label["evidence"]["indicator_before"] > 2 * label["evidence"]["indicator_after"]
    assert [] == [kind for kind in mails(counting.conn) if kind == "ask_if_changed"]
    assert [] == counting.score()["flags"]


def test_counter_reset_without_replacement_keeps_the_cycle(counting: Unit) -> None:
    """The percentage jumps to 100, the pressure drop does not fall: the same part, and the report is not gone by."""
    counting.run(4, lambda hour: clogs(320 + hour), lambda hour: 100 - hour // 5)
    state = counting.score()
    (doubt,) = counting.noticed
    assert ("reset", "noted") == (doubt.kind, doubt.state)
    assert 1 == len(counting.cycles)
    assert "reset_only" in state["flags"]
    assert state["pct_left"] == pytest.approx(100 * (1 - 0.352), abs=8)  # what its hours say
    assert [] == mails(counting.conn)


def test_a_reset_that_the_unit_tells_waits_for_the_indicator(counting: Unit) -> None:
    """The event comes at once; what it means the pressure drop says later, and till then nothing is closed."""
    counting.tell(EventType.COUNTER_RESET, channel="left_pct", value=100)
    counting.score()
    assert ([], 1) == (counting.noticed, len(counting.cycles))
    counting.run(3, lambda hour: clogs(320 + hour))
    counting.score()
    assert [("reset", "noted")] == [(doubt.kind, doubt.state) for doubt in counting.noticed]


def test_replacement_without_reset_is_asked_about(counting: Unit) -> None:
    """The pressure drop falls to a fresh part's, the percentage counts on; after a yes it is not gone by."""
    counting.run(5, clogs, lambda hour: 36 - hour // 5)
    counting.score()
    (doubt,) = counting.noticed
    assert ("unreset", "open") == (doubt.kind, doubt.state)
    doubts.answer(counting.conn, doubt.doubt_id, "yes", counting.now)
    counting.react()
    state = counting.score()
    assert ["not_reset"] == state["flags"]
    assert state["pct_left"] > 90


def test_a_part_fitted_without_a_reset_is_not_judged_by_the_old_counter(conn: psycopg.Connection, house: House) -> None:
    """The owner presses "I have changed it" and forgets the button: 3 % left is the old part's, until it is pressed."""
    unit_id, slot_id = fleet.enrol(conn, house), house.slot.slot_id
    now = fleet.run(conn, unit_id, 100)
    fleet.report(conn, unit_id, "left_pct", [(now - h * timedelta(hours=1), 3.0) for h in (3, 2, 1)], slot_id=slot_id)
    cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, now, "owner"), now)
    fleet.set_clock(now)
    later = fleet.run(conn, unit_id, 5, since=now)
    said = [(now + DAY + timedelta(hours=h), 2.0) for h in range(5)]
    fleet.report(conn, unit_id, "left_pct", said, slot_id=slot_id)
    state = fleet.scored(conn, unit_id, later)
    assert ["not_reset"] == state["flags"]
    assert state["pct_left"] > 90  # type: ignore[operator]  # a column as the database holds it
    pressed = [(later + timedelta(hours=h), 100.0) for h in range(1, 5)]
    fleet.report(conn, unit_id, "left_pct", pressed, slot_id=slot_id)
    fleet.set_clock(later + DAY)
    state = fleet.scored(conn, unit_id, later + DAY)
    assert ([], 100) == (state["flags"], state["inputs"]["left_pct"])  # type: ignore[index]  # a column as the database holds it
    assert 2 == len(conn.execute("select from cycle where unit_id = %s", (unit_id,)).fetchall())


def test_a_counter_alone_is_asked_about(conn: psycopg.Connection, house: House) -> None:
    """Without an indicator a percentage that begins again is probably a new part, and nobody else saw it."""
    unit_id, slot_id = fleet.enrol(conn, house), house.slot.slot_id
    fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, 60)
    fleet.report(
        conn, unit_id, "left_pct", [(now - h * timedelta(hours=1), 40.0) for h in range(9, 0, -1)], slot_id=slot_id
    )
    fleet.set_clock(now)
    fleet.scored(conn, unit_id, now)
    fleet.report(
        conn, unit_id, "left_pct", [(now + h * timedelta(hours=1), 100.0) for h in range(1, 5)], slot_id=slot_id
    )
    fleet.scored(conn, unit_id, now + DAY)
    (doubt,) = doubts.of_unit(conn, unit_id)
    assert ("replaced", "open") == (doubt.kind, doubt.state)
    assert 1 == len(conn.execute("select from cycle where unit_id = %s", (unit_id,)).fetchall())


def test_regeneration_and_partial_cleaning_keep_the_cycle(worn: Unit) -> None:
    """The pressure drop falls half of the way: noted as a cleaning, nobody asked, old levels not gone by."""
    worn.run(5, lambda hour: 0.5 * (FRESH + clogs(320)) + 0.05 * hour)
    state = worn.score()
    (doubt,) = worn.noticed
    assert ("cleaned", "noted") == (doubt.kind, doubt.state)
    assert ["cleaned"] == state["flags"]
    assert [] == mails(worn.conn)
    assert 1 == len(worn.cycles)


def test_a_part_that_regenerates_is_asked_about_once(worn: Unit) -> None:
    """After a no, a second drop of the pressure alone is noted, and its owner is left alone."""
    worn.run(5, clogs)
    worn.score()
    doubts.answer(worn.conn, worn.noticed[0].doubt_id, "no", worn.now)
    worn.react()
    worn.run(30, lambda hour: clogs(40 + 1.5 * hour))
    worn.score()
    worn.run(6, clogs)
    worn.score()
    assert {"noted", "denied"} == {doubt.state for doubt in worn.noticed}
    assert ["ask_if_changed"] == mails(worn.conn)


def test_a_part_somebody_told_of_is_not_asked_about(worn: Unit) -> None:
    """The button comes first: the drop that follows belongs to the fitting that was told."""
    worn.tell(EventType.PART_FITTED, by="button")
    worn.run(6, clogs)
    state = worn.score()
    assert ([], [], 2) == (worn.noticed, state["flags"], len(worn.cycles))


# Sensors.


def test_sensor_stuck_falls_back_to_exposure(worn: Unit) -> None:
    """The same value for days while running: the indicator is not used, and the forecast says so."""
    at = clogs(320)
    worn.noise = np.random.default_rng(0)
    worn.run(5, None)
    fixed = [(worn.now - 5 * DAY + timedelta(days=d, hours=h), at) for d in range(5) for h in range(1, A_DAY + 1)]
    fleet.report(worn.conn, worn.id, "pressure_drop", fixed)
    state = worn.score()
    assert ["sensor_stuck"] == state["flags"]
    assert "said the same for too long" in state["reasons"]["sentence"]
    assert ("measured", []) == (state["basis"], worn.noticed)


def test_sensor_swap_is_not_wear(worn: Unit) -> None:
    """A jump within an hour at no exposure: the sensor is not used in this cycle any more, also when it is long ago."""
    worn.run(5, lambda hour: 1.7 * clogs(320))
    state = worn.score()
    assert ["sensor"] == [doubt.kind for doubt in worn.noticed]
    assert ["sensor_jumped"] == state["flags"]
    assert state["stage"] == "ok"
    worn.run(60, lambda hour: 1.7 * clogs(320))
    assert ["sensor_jumped"] == worn.score()["flags"]


def test_sensor_bias_below_every_fresh_part_is_not_believed(worn: Unit) -> None:
    """A reading that no part can give says that the sensor is wrong, and no new part is asked about."""
    worn.run(5, lambda hour: 0.3 * FRESH)
    state = worn.score()
    assert "sensor_biased" in state["flags"]
    assert [] == [doubt for doubt in worn.noticed if doubt.state == "open"]
    assert [] == mails(worn.conn)


def test_sudden_failure_is_shown_and_asked_rather_than_told(conn: psycopg.Connection, worn: Unit) -> None:
    """Past the end all at once, which no level foretold: overdue, and the mail asks the owner to have a look."""
    worn.run(3, lambda hour: 260.0)
    state = worn.score()
    assert ("overdue", ["sudden"]) == (state["stage"], state["flags"])
    asked = prompts.speak(conn, worn.now)
    mail = conn.execute("select payload from outbox where kind = 'prompt'").fetchone()
    assert mail
    assert asked == mail[0]["ask"]


def test_pressure_drop_at_another_flow_is_no_new_part(conn: psycopg.Connection, house: House, duct: Slot) -> None:
    """A fan that turns slower reads less: normalised, nothing happened; else it would look like a new part."""
    conn.execute("update slot set flow_channel = 'fan_rpm', flow_ref = 1200 where slot_id = %s", (duct.slot_id,))
    for serial, declared in (("D1", True), ("D2", False)):
        if not declared:
            conn.execute("update slot set flow_channel = null, flow_ref = null where slot_id = %s", (duct.slot_id,))
        unit = Unit(conn, house, duct, serial, owned=False)
        unit.run(40, clogs, fan=lambda hour: 1200.0)
        unit.score()
        unit.run(5, lambda hour: clogs(320 + hour) * 0.55**1.6, fan=lambda hour: 660.0)
        state = unit.score()
        assert declared == (unit.noticed == [])
        if declared:
            assert state["inputs"]["indicator"] == pytest.approx(clogs(355), rel=0.05)


# Counters, gaps, late data.


def test_counter_rollover_adds_and_loses_nothing(conn: psycopg.Connection, house: House) -> None:
    """The hours counter begins at zero again: the part has run what it has, and no new part is seen in it."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 30)
    fleet.report(conn, unit_id, "runtime", [(now + timedelta(hours=h), float(h)) for h in range(9)])
    state = fleet.scored(conn, unit_id, now + DAY)
    assert (248, []) == (state["inputs"]["run_h"], state["flags"])  # type: ignore[index]  # a column as the database holds it
    assert [] == doubts.of_unit(conn, unit_id)


def test_offline_gaps_widen_and_flag(conn: psycopg.Connection, house: House) -> None:
    """A unit that says nothing for weeks is stale, then estimated; its interval grows; its first word narrows it."""
    unit_id = fleet.enrol(conn, house)
    now = fleet.run(conn, unit_id, 40)
    heard = fleet.scored(conn, unit_id, now)
    silent = fleet.scored(conn, unit_id, now + 35 * DAY)
    assert (True, "estimated") == (silent["stale"], silent["basis"])

    def relative(state: dict[str, Any], at: datetime) -> float:
        return float((state["eol_q90"] - state["eol_q10"]) / (state["eol_q50"] - at))

    assert relative(silent, now + 35 * DAY) > relative(heard, now)
    back = fleet.run(conn, unit_id, 2, since=now + 35 * DAY)
    again = fleet.scored(conn, unit_id, back)
    assert (False, "measured") == (again["stale"], again["basis"])


def test_a_part_changed_while_the_unit_was_off_is_noticed(worn: Unit) -> None:
    """Off for three weeks, then a fresh part's pressure drop: hours on both sides of the gap are compared."""
    worn.now += 21 * DAY
    worn.run(4, clogs)
    worn.score()
    assert ["replaced"] == [doubt.kind for doubt in worn.noticed]


def test_late_data_is_judged_as_if_it_had_come_in_time(conn: psycopg.Connection, house: House, duct: Slot) -> None:
    """The hours before the drop arrive after those behind it: the same doubt, once."""
    live, late = (Unit(conn, house, duct, serial, owned=False) for serial in ("D1", "E1"))
    for unit in (live, late):
        unit.noise = np.random.default_rng(9)
        unit.run(40, clogs)
        unit.run(4, clogs)
    hours = "unit_id = %s and hour >= %s and hour < %s"
    between = (late.id, BORN + 30 * DAY, BORN + 40 * DAY)
    conn.execute(f"create temp table held as select * from reading_hourly where {hours}", between)
    conn.execute(f"delete from reading_hourly where {hours}", between)
    late.score()
    conn.execute("insert into reading_hourly select * from held")
    late.score()
    live.score()
    assert [(d.kind, d.state) for d in live.noticed] == [(d.kind, d.state) for d in late.noticed]


def test_duplicate_scoring_notices_once(conn: psycopg.Connection, worn: Unit) -> None:
    """A unit scored twice at one moment, and again hours later, has one doubt and one mail."""
    worn.run(4, clogs)
    for _ in range(3):
        score.score_units(conn, [worn.id], worn.now)
    assert 1 == len(worn.noticed)


def test_change_of_use_is_no_event_and_moves_the_date(worn: Unit) -> None:
    """Nobody at home for a month, then half the hours: no doubt, a later date."""
    known = worn.score()
    worn.now += 30 * DAY
    worn.run(14, lambda hour: clogs(320 + hour) if hour % 2 else None)
    state = worn.score()
    assert [] == worn.noticed
    assert state["eol_q50"] > known["eol_q50"]


def in_season(day: datetime) -> float:
    """Hours of use on a day: ten in the middle of January, one in July, and every step between."""
    return float(10.0 ** (0.5 + 0.5 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365.25)))


def test_a_season_is_carried_into_the_date(conn: psycopg.Connection, house: House) -> None:
    """Little use in summer, much in winter: what is left in September goes by the year's end, not in years."""
    unit_id, now = fleet.enrol(conn, house), BORN
    used = 0
    for _ in range(87):  # weeks, to the first days of September
        hours_a_day = round(in_season(now + 3 * DAY))
        used += 7 * hours_a_day
        now = fleet.run(conn, unit_id, 7, hours_a_day=hours_a_day, since=now)
    left = 600.0
    conn.execute("update slot set life_h = %s, life_d = 800 where slot_id = %s", (used + left, house.slot.slot_id))
    ahead = np.cumsum([in_season(now + d * DAY) for d in range(400)])
    expected = now + int(np.searchsorted(ahead, left)) * DAY
    state = fleet.scored(conn, unit_id, now)
    assert expected - now < 150 * DAY  # at the pace of the last weeks it would last for more than a year
    assert abs(state["eol_q50"] - expected) < 45 * DAY  # type: ignore[operator]  # a column as the database holds it
    assert state["eol_q10"] < expected < state["eol_q90"]  # type: ignore[operator]  # a column as the database holds it


# What a model knows, and does not.


def test_unseen_product_model_starts_from_its_declaration(conn: psycopg.Connection, house: House, duct: Slot) -> None:
    """The first unit of a model that nobody has learned of gets a date from its rated life, and a wide one."""
    unit = Unit(conn, house, duct)
    unit.run(5, clogs)
    state = unit.score()
    assert (None, "measured") == (state["inputs"]["left_pct"], state["basis"])
    rated_d = 1000 / A_DAY
    assert unit.now + 0.4 * rated_d * DAY < state["eol_q50"] < unit.now + 1.6 * rated_d * DAY
    assert state["eol_q90"] - state["eol_q10"] > 0.3 * (state["eol_q50"] - unit.now)


def test_zero_failures_teach_what_they_can_and_break_nothing(conn: psycopg.Connection, house: House) -> None:
    """A fleet in which no part has ended yet is not learned from, and is forecast from its declaration."""
    for i in range(6):
        fleet.run(conn, fleet.enrol(conn, house, f"Z{i}"), 30)
    assert [] == learn.ripe(conn)
    assert learn.learn(conn, house.slot.slot_id, BORN + 30 * DAY) is not None
    state = fleet.scored(conn, fleet.enrol(conn, house, "Z9"), BORN + 30 * DAY)
    assert state["eol_q50"] > BORN + 60 * DAY  # type: ignore[operator]  # a column as the database holds it


def test_informative_censoring_teaches_no_shorter_life(conn: psycopg.Connection, house: House) -> None:
    """Owners who change early because we told them to: the fleet's life does not shrink by it."""
    slot_id = house.slot.slot_id
    fresh = fleet.scored(conn, fleet.enrol(conn, house, "F0"), BORN)
    for i in range(8):
        unit_id = fleet.enrol(conn, house, f"E{i}")
        now = fleet.run(conn, unit_id, 60)
        said = [(now - timedelta(hours=h), 55.0) for h in (3, 2, 1)]
        fleet.report(conn, unit_id, "left_pct", said, slot_id=slot_id)
        fleet.scored(conn, unit_id, now)
        cycles.fitted(conn, cycles.Fitting(unit_id, slot_id, now, "owner"), now)
    learn.learn(conn, slot_id, now)
    after = fleet.scored(conn, fleet.enrol(conn, house, "F1"), BORN)
    assert after["eol_q50"] >= fresh["eol_q50"] - DAY  # type: ignore[operator]  # a column as the database holds it


def test_threshold_edited_mid_life_is_judged_anew(worn: Unit) -> None:
    """The maker lowers the end of life below what is read: overdue at the next look, under the same cycle."""
    assert "overdue" != worn.score()["stage"]
    worn.conn.execute("update slot set indicator_eol = 80 where slot_id = %s", (worn.slot.slot_id,))
    worn.slot = fleet.slot_of(worn.conn, DUCT)
    state = worn.score()
    assert ("overdue", 1, []) == (state["stage"], len(worn.cycles), worn.noticed)
    worn.conn.execute("update slot set indicator_eol = 300 where slot_id = %s", (worn.slot.slot_id,))
    assert "overdue" != worn.score()["stage"]


def test_bad_input_gets_a_calendar_forecast_with_a_flag(conn: psycopg.Connection, house: House, duct: Slot) -> None:
    """A dead sensor and no counter, beside a sound unit: an estimate by the calendar that says so."""
    bad, good = Unit(conn, house, duct, "B1", owned=False), Unit(conn, house, duct, "G1", owned=False)
    good.run(20, clogs)
    bad.now = good.now
    conn.execute("update unit set last_seen_at = %s where unit_id = %s", (good.now, bad.id))
    zeros = [(BORN + timedelta(hours=h), 0.0) for h in range(60)]
    fleet.report(conn, bad.id, "pressure_drop", zeros)
    score.score_units(conn, [bad.id, good.id], good.now)
    assert ("estimated", "measured") == tuple(
        row[0] for row in conn.execute("select basis from slot_state order by unit_id = %s", (good.id,))
    )
    state = fleet.standing(conn, bad.id)
    assert ["sensor_stuck"] == state["flags"]


def test_no_verdict_looks_beyond_its_moment(worn: Unit) -> None:
    """Scored as of a day, what was read later changes nothing."""
    at = worn.now
    worn.run(6, clogs)
    seen = features.read(worn.conn, worn.slot, [worn.id], at)
    fleet.set_clock(at)
    score.score_units(worn.conn, [worn.id], at)
    assert [] == worn.noticed
    assert [worn.id] == seen.unit_ids
