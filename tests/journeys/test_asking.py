"""Scenarios of commerce.md around the question: when it is asked, what it says, what an answer ends. S1, S2, S9."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import clock
from gateway.registry.units import Unit
from tests.integration import replenish_fleet as fleet
from tests.integration.test_web_owner import press
from tests.integration.web_house import EMAIL, WebHouse, open_house
from tests.journeys.test_owner_way import LINK

BORN = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    """A house at BORN, in which only the filter wears within a year."""
    with open_house(dsn) as opened:
        fleet.set_clock(BORN)
        opened.conn.execute("update slot set life_h = 90000, life_d = 9000 where code = 'carbon'")
        yield opened
    clock.accelerate(None)


def owned(house: WebHouse, serial: str, email: str = EMAIL) -> Unit:
    """Enrol a unit that begins to run at BORN, and give it to somebody who agreed to be asked."""
    unit = house.unit(serial, name="Kitchen purifier")
    house.own(unit, email)
    return unit


def live(house: WebHouse, *units: Unit, days: int) -> None:
    """Let units run for some days, ten at a time, with the worker at work: forecasts, questions, mail."""
    for _ in range(days // 10):
        since = clock.now().replace(minute=0, second=0, microsecond=0)
        for unit in units:
            fleet.run(house.conn, unit.unit_id, 10, hours_a_day=20, since=since)
        fleet.set_clock(since + 10 * DAY)
        work(house)


def work(house: WebHouse) -> None:
    """Do what the worker does now and then, and the jobs that wait."""
    with house.worker.begin() as conn:
        conn.execute("insert into rescore (unit_id, tenant_id, since) select unit_id, tenant_id, now() from unit")
    house.work()
    house.worker.score()
    house.worker.speak()
    house.work()


def rows(house: WebHouse, query: str, *values: object) -> list[tuple[Any, ...]]:
    return house.conn.execute(query.encode(), values).fetchall()


def sent(house: WebHouse, kind: str) -> list[dict[str, Any]]:
    """Return the mails of a kind that went out, as they were written."""
    return [row[0] for row in rows(house, "select rendered from outbox where kind = %s and sent_at is not null", kind)]


def asked(house: WebHouse) -> tuple[Unit, str]:
    """Return a unit whose owner was asked, and the path of the link in the mail."""
    unit = owned(house, "7Q4T2M9XKD3F8A1B")
    live(house, unit, days=190)
    (mail,) = sent(house, "prompt")
    found = LINK.search(mail["text"])
    assert found
    return unit, found[1]


def test_s1_the_order_date_brings_exactly_one_prompt_on_the_channel_of_choice(house: WebHouse) -> None:
    """S1: part, price, interval and reason in the mail itself; whoever wants no mail gets none; then silence."""
    unit, quiet = owned(house, "7Q4T2M9XKD3F8A1B"), owned(house, "QUIET00000000001", "quiet@example.com")
    house.conn.execute("update party set channel = 'none' where email = 'quiet@example.com'")
    live(house, unit, quiet, days=100)
    assert [] == rows(house, "select * from prompt")
    live(house, unit, quiet, days=150)

    (prompt,) = rows(house, "select unit_id, key, state, created_at, forecast_id from prompt")
    cycle_id = rows(
        house, "select cycle_id from slot_state where unit_id = %s and slot_id = %s", unit.unit_id, house.slots["hepa"]
    )[0][0]
    assert (unit.unit_id, f"replace:{cycle_id}", "open") == prompt[:3]
    order_at = rows(house, "select order_at from forecast where forecast_id = %s", prompt[4])[0][0]
    assert order_at <= prompt[3] < order_at + 10 * DAY  # as soon as anybody looked
    assert [("email", EMAIL)] == rows(
        house, "select m.channel, p.email from outbox m join party p using (party_id) where m.kind = 'prompt'"
    )

    (mail,) = sent(house, "prompt")
    assert EMAIL == mail["to"]
    assert re.fullmatch(r"Filter in Kitchen purifier: about \d+ (days|weeks) left", mail["subject"])
    for body in (mail["text"], re.sub(r"<[^>]+>", " ", mail["html"])):
        words = " ".join(body.split())
        assert "HEPA filter H13" in words
        assert "€39.90" in words
        assert re.search(r"About \d+ (days|weeks) left \(\d+ to \d+\)", words), words
        assert re.search(r"It has run [\d,]+ of about 4,000 rated hours", words), words
        assert "Opening the page orders nothing." in words
    assert LINK.search(mail["text"])


def test_s2_one_tap_with_a_saved_card_is_one_charge_of_what_was_shown_and_a_receipt(house: WebHouse) -> None:
    """S2: one intent, its amount the one in the mail, released, and a mail that says what was bought."""
    unit, link = asked(house)
    house.keep_card(rows(house, "select party_id from party")[0][0])
    owner = house.client()
    page = owner.get(link).text
    assert "€39.90" in page
    answer = press(owner, page, "/order")
    assert f"{link}?said=ordered" == answer.headers["location"]
    house.work()
    (order_id, number, state, total) = rows(house, "select order_id, number, state, total_minor from purchase")[0]
    assert ("paid", 3990) == (state, total)
    assert 1 == len(rows(house, "select * from purchase"))
    assert "released" == house.desk.release(house.tenant_id, order_id).state
    with house.books.lock:
        assert [(3990, 3990)] == [(i["amount"], i["amount_received"]) for i in house.books.every("payment_intent")]

    (receipt,) = sent(house, "order_received")
    assert EMAIL == receipt["to"]
    assert f"Order {number}: HEPA filter H13" == receipt["subject"]
    for said in (number, "HEPA filter H13", "Kitchen purifier", "€39.90, tax and shipping included", "1 Sample Street"):
        assert said in receipt["text"], said
    assert unit.serial not in receipt["subject"]


def remembered(house: WebHouse, unit: Unit, owner: Any, link: str) -> None:
    """Let the owner ask to be reminded, and that reminder wait to be sent."""
    press(owner, owner.get(link).text, "/answer", answer="remind")
    since = clock.now().replace(minute=0, second=0, microsecond=0)
    fleet.set_clock(fleet.run(house.conn, unit.unit_id, 8, hours_a_day=20, since=since))
    with house.worker.begin() as conn:
        conn.execute("insert into rescore (unit_id, tenant_id, since) select unit_id, tenant_id, now() from unit")
    house.worker.score()
    house.worker.speak()
    assert [(2,)] == rows(house, "select count(*) from outbox where kind = 'prompt'")
    assert 1 == len(sent(house, "prompt"))


@pytest.mark.parametrize("answer", ["spare", "changed"])
def test_s9_a_spare_or_a_change_ends_the_question_everywhere(house: WebHouse, answer: str) -> None:
    """S9: no order, the reminder that waits is not sent, no page asks any more, and the model is told."""
    unit, link = asked(house)
    owner, slot_id = house.client(), house.slots["hepa"]
    remembered(house, unit, owner, link)
    page = owner.get(link).text
    assert "Order with obligation to pay" in page
    if answer == "spare":
        press(owner, page, "/answer", answer="spare")
    else:
        press(owner, page, "/fitted")
    work(house)

    assert [(0, 0)] == rows(house, "select (select count(*) from purchase), (select count(*) from payment)")
    assert 1 == len(sent(house, "prompt"))
    (dropped,) = rows(
        house, "select error from outbox where kind = 'prompt' and sent_at is null and failed_at is not null"
    )
    assert "every prompt of this mail is answered or closed" in dropped[0]

    assert [] == rows(house, "select * from prompt where state in ('open', 'snoozed')")
    after = owner.get(link).text
    assert "Or tell us why not" not in after
    assert "I have a spare" not in after
    desk = house.at_desk("reader")
    assert "open" not in {row[0] for row in rows(house, "select state from prompt")}
    assert 200 == desk.get(f"/console/units/{unit.unit_id}").status_code
    live(house, unit, days=20)
    assert 1 == len(rows(house, "select * from prompt"))
    assert 1 == len(sent(house, "prompt"))

    assert [(0,)] == rows(house, "select count(*) from event where handled_at is null")
    told = "select payload ->> 'answer' from event where type = 'prompt_answered' and payload ? 'forecast_id'"
    assert [("remind",), (answer,)] == rows(house, f"{told} order by event_id")
    if answer == "spare":
        assert [(1,)] == rows(house, "select count from spare where slot_id = %s", slot_id)
    else:
        old, new = rows(
            house,
            "select upper_inf(period), removed_reason, source, label from cycle where slot_id = %s order by cycle_id",
            slot_id,
        )
        assert (False, "worn") == (old[0], old[1])
        assert ("worn", "measured") == (old[3]["reason"], old[3]["basis"])
        assert 3_000 < old[3]["run_h"] < 4_500
        assert (True, "owner", None) == (new[0], new[2], new[3])


def test_an_order_whose_money_is_gone_is_told_of(house: WebHouse) -> None:
    """The bank let the hold go before the release: no charge, no parcel, one mail that says so and leads back."""
    _, link = asked(house)
    house.keep_card(rows(house, "select party_id from party")[0][0])
    owner = house.client()
    press(owner, owner.get(link).text, "/order")
    house.work()
    (order_id, number) = rows(house, "select order_id, number from purchase")[0]
    with house.books.lock:
        (intent,) = house.books.every("payment_intent")
    house.desk._payments.call_off(intent["id"])
    house.worker.release(house.tenant_id, order_id)
    house.work()
    assert [("cancelled",)] == rows(house, "select state from purchase")
    (mail,) = sent(house, "order_lost")
    assert (EMAIL, f"Order {number} was cancelled: it could not be paid") == (mail["to"], mail["subject"])
    assert "Nothing is charged, and nothing is on its way." in mail["text"]
    back = LINK.search(mail["text"])
    assert back
    assert "Order with obligation to pay" in owner.get(back[1]).text


def test_an_owner_who_cancels_is_not_told_what_they_did(house: WebHouse) -> None:
    """The page says it at once; a mail about it would look like trouble."""
    _, link = asked(house)
    house.keep_card(rows(house, "select party_id from party")[0][0])
    owner = house.client()
    press(owner, owner.get(link).text, "/order")
    house.work()
    press(owner, owner.get(link).text, "/cancel")
    house.work()
    assert [("cancelled",)] == rows(house, "select state from purchase")
    assert [] == rows(house, "select * from outbox where kind = 'order_lost'")
