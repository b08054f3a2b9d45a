"""The owner's way over real HTTP: from the mail to the order, from the parcel to the next cycle."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from gateway import clock
from gateway.replenish import prompts, score
from tests.integration.test_web_console import csrf
from tests.integration.test_web_owner import Forms, press
from tests.integration.web_house import EMAIL, SAME, WebHouse, open_house

LINK = re.compile(r"https?://[^/\s]+(/p/[A-Za-z0-9_-]{20,})")


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened
    clock.accelerate(None)


def go_on(days: float) -> None:
    """Let the world's time jump ahead."""
    clock.accelerate(clock.Pace(clock.now() + timedelta(days=days), clock.wall(), 1.0))


def until(house: WebHouse, query: str, expected: object) -> None:
    """Let the worker work until the database says so."""
    limit = time.monotonic() + 10
    while (found := one(house, query)) != expected:
        assert time.monotonic() < limit, (query, found)
        house.work()
        time.sleep(0.05)


def one(house: WebHouse, query: str) -> object:
    row = house.conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def mailed(house: WebHouse, kind: str) -> str:
    """Return the path of the link in the latest mail of a kind, as it was sent to the owner."""
    house.work()
    row = house.conn.execute(
        "select rendered from outbox where kind = %s order by message_id desc limit 1", (kind,)
    ).fetchone()
    assert row
    assert EMAIL == row[0]["to"]
    found = LINK.search(row[0]["text"])
    assert found
    return found[1]


def test_s8_from_the_prompt_over_the_parcel_to_the_next_cycle(house: WebHouse) -> None:
    """S1, S3, S8: forecast, one mail, one press, paid, shipped by staff, delivered, changed, and it begins anew.

    Nothing here is set by hand: a unit without a radio ages until its order date, and every step is taken through
    the doors that people and machines use.
    """
    unit = house.unit("NORADIO000000001", radio=False)
    house.own(unit)
    score.score_units(house.conn, [unit.unit_id], clock.now())
    go_on(350)
    score.score_units(house.conn, [unit.unit_id], clock.now())
    with house.worker.begin() as conn:
        assert 2 == len(prompts.speak(conn, clock.now()))
    assert 1 == one(house, "select count(*) from outbox where kind = 'prompt'")

    link = mailed(house, "prompt")
    owner = house.client()
    page = owner.get(link).text
    assert "An estimate by the calendar: this product has no radio" in " ".join(page.split())
    answer = press(owner, page, "/order")
    httpx.post(answer.headers["location"], data={"card": "pm_card_visa"})
    until(house, "select state from purchase", "paid")
    assert f"{link}?said=payment" == owner.get("/return").headers["location"]

    order_id = one(house, "select order_id from purchase")
    assert isinstance(order_id, int)
    house.worker.release(house.tenant_id, order_id)  # the undo window is over
    staff = house.at_desk("editor")
    assert "Mark shipped" in staff.get("/console/orders").text
    fields = {"csrf": csrf(staff), "carrier": "Sample Parcel", "tracking": "1Z999"}
    assert 303 == staff.post(f"/console/orders/{order_id}/shipped", data=fields, headers=SAME).status_code
    assert "On its way" in owner.get(mailed(house, "order_shipped")).text
    go_on(3)
    fields = {"csrf": csrf(staff)}
    assert 303 == staff.post(f"/console/orders/{order_id}/delivered", data=fields, headers=SAME).status_code
    house.work()

    page = owner.get(link).text
    assert "the new one should be with you" in page
    press(owner, page, "/fitted")
    house.work()
    assert "fitted" == one(house, "select state from purchase")
    score.score_waiting(house.conn, clock.now())
    cycles = house.conn.execute(
        """select upper_inf(c.period), c.label is not null, st.pct_left > 95 from cycle c
           left join slot_state st on st.cycle_id = c.cycle_id
           where c.slot_id = (select slot_id from purchase) order by c.cycle_id"""
    ).fetchall()
    assert [(False, True, None), (True, False, True)] == cycles
    after = owner.get(link)
    assert after.status_code in (200, 404)  # a link may end with its cycle; it never orders again
    again = next((form for form in Forms(after.text).found if form[0] == f"{link}/order"), None)
    assert again is None or again[1]["slot"] != str(one(house, "select slot_id from purchase"))


def test_s11_a_double_tap_within_fifty_milliseconds_is_one_order(house: WebHouse) -> None:
    """S11, S12: eight presses at once, from two browsers of one household, make one order and one charge."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    presses = []
    for _ in range(2):
        browser = house.client()
        action, fields = next((a, f) for a, f in Forms(browser.get(f"/p/{token}").text).found if a.endswith("/order"))
        presses += [(browser, action, fields)] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda p: p[0].post(p[1], data=p[2], headers=SAME), presses))
    assert {303} == {answer.status_code for answer in answers}
    assert 1 == one(house, "select count(*) from purchase")
    assert 1 == one(house, "select count(*) from payment where state in ('authorised', 'captured')")
    assert all(f"/p/{token}?said=" in answer.headers["location"] for answer in answers)


def test_s7_a_stranger_buys_and_the_owner_learns_nothing_of_them(house: WebHouse) -> None:
    """S7: a guest pays on the hosted page; the order ships to the address given there, and no party is made."""
    unit = house.unit()
    house.stand(unit)
    guest = house.client()
    page = guest.get(f"/01/{unit.gtin}/21/{unit.serial}").text
    answer = press(guest, page, "/checkout")
    given = {
        "card": "pm_card_visa", "name": "A guest", "line1": "2 Sample Street", "postal_code": "10117",
        "city": "Berlin", "country": "DE", "email": "guest@example.com",
    }  # fmt: skip
    httpx.post(answer.headers["location"], data=given)
    until(house, "select state from purchase", "paid")
    assert (None, None) == house.conn.execute("select party_id, ship_to from purchase").fetchone()
    assert 0 == one(house, "select count(*) from party")
    assert "2 Sample Street" not in str(house.conn.execute("select * from provider_event").fetchall())


@pytest.mark.parametrize("answer", ["spare", "elsewhere", "wrong"])
def test_s9_another_answer_silences_the_question(house: WebHouse, answer: str) -> None:
    """S9: whoever has a spare, buys elsewhere, or says that it is wrong is not asked again in this cycle."""
    unit = house.unit("NORADIO000000001", radio=False)
    house.own(unit)
    score.score_units(house.conn, [unit.unit_id], clock.now())
    go_on(350)
    score.score_units(house.conn, [unit.unit_id], clock.now())
    with house.worker.begin() as conn:
        prompts.speak(conn, clock.now())
    owner = house.client()
    press(owner, owner.get(mailed(house, "prompt")).text, "/answer", answer=answer)
    house.work()
    go_on(2)
    score.score_units(house.conn, [unit.unit_id], clock.now())
    with house.worker.begin() as conn:
        assert [] == prompts.speak(conn, clock.now())
    assert 1 == one(house, "select count(*) from outbox where kind = 'prompt'")
    assert 0 == one(house, "select count(*) from purchase")
