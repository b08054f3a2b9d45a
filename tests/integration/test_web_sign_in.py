"""Owners' sign-in: a mail, a press, a session; and their own products."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.registry import doors
from tests.integration.web_house import EMAIL, SAME, WebHouse, code, maker, open_house

LINK = re.compile(r"https?://\S+?(/sign-in/[A-Za-z0-9_-]{20,})")


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


def ask(house: WebHouse, email: str) -> httpx.Response:
    return house.client().post("/sign-in", data={"email": email}, headers=SAME)


def mails(house: WebHouse, wanted: int = 1) -> list[dict[str, Any]]:
    """Return the mails that were written; they are asked for after the answer is sent, so this waits for them."""
    until = time.monotonic() + 5
    while True:
        house.work()
        found = house.conn.execute(
            "select rendered from outbox where kind = 'sign_in' and rendered is not null order by message_id"
        ).fetchall()
        if len(found) >= wanted or time.monotonic() > until:
            return [row[0] for row in found]
        time.sleep(0.05)


def enter(client: httpx.Client, path: str) -> httpx.Response:
    page = client.get(path)
    field = re.findall(r'name="page" value="([0-9a-f]+)"', page.text)
    return client.post(path, data={"page": field[0] if field else ""}, headers=SAME)


def signed_in(house: WebHouse, email: str = EMAIL) -> httpx.Client:
    """Return the browser of an owner who pressed the button of the mail."""
    ask(house, email)
    client = house.client()
    for mail in mails(house, len(doors.owners(house.conn, email))):
        if mail["to"] == email and (found := LINK.search(mail["text"])):
            answer = enter(client, found[1])
            assert "/me" == answer.headers["location"]
    return client


def test_a_known_address_gets_a_link_that_works_once(house: WebHouse) -> None:
    """The mail's link shows a button; the button signs in; the same link again is over."""
    unit, _, _ = house.due()
    ask(house, EMAIL.upper())
    found = LINK.search(mails(house)[0]["text"])
    assert found
    client = house.client()
    assert "/me" == enter(client, found[1]).headers["location"]
    mine = client.get("/me").text
    assert "Kitchen" in mine
    assert "about 6 weeks left" in mine
    page = client.get(code(unit)).text
    assert "Filter: about 6 weeks left" in page
    assert "Order with obligation to pay" in page
    assert 404 == enter(house.client(), found[1]).status_code


def test_an_unknown_address_hears_the_same_and_gets_nothing(house: WebHouse) -> None:
    """The answer tells nobody who is an owner."""
    house.due()
    assert ask(house, EMAIL).text == ask(house, "stranger@example.com").text
    assert [EMAIL] == [mail["to"] for mail in mails(house)]


def test_mails_cannot_be_asked_for_without_end(house: WebHouse) -> None:
    """Three in a quarter of an hour are enough for one address."""
    house.due()
    answers = [ask(house, EMAIL) for _ in range(4)]
    assert [200, 200, 200, 429] == [answer.status_code for answer in answers]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert 3 == len(mails(house, 3))


def test_a_prompts_link_is_no_sign_in_and_the_other_way_round(house: WebHouse) -> None:
    """A link does what it was made for and nothing else."""
    _, _, token = house.due()
    assert 404 == house.client().get(f"/sign-in/{token}").status_code
    ask(house, EMAIL)
    found = LINK.search(mails(house)[0]["text"])
    assert found
    assert 404 == house.client().get(found[1].replace("/sign-in/", "/p/")).status_code


def test_an_owner_orders_by_session_and_sees_the_order(house: WebHouse) -> None:
    """Signed in, the code on the product orders with the same care as the mail's link."""
    unit, party_id, _ = house.due()
    house.keep_card(party_id)
    client = signed_in(house)
    page = client.get(code(unit)).text
    fields = {
        "page": re.findall(r'name="page" value="([0-9a-f]+)"', page)[0],
        "slot": str(house.slots["hepa"]),
        "shown": re.findall(r'name="shown" value="([^"]+)"', page)[0],
    }
    answer = client.post(f"{code(unit)}/order", data=fields, headers=SAME)
    assert f"{code(unit)}?said=ordered" == answer.headers["location"]
    number = house.conn.execute("select number from purchase").fetchone()[0]  # type: ignore[index]  # there is a row
    assert "HEPA filter H13" in client.get(f"/orders/{number}").text
    stranger = house.client().get(f"/orders/{number}")
    assert 404 == stranger.status_code
    assert stranger.text == house.client().get("/orders/WW-NOSUCH1").text


def test_another_owners_session_opens_nothing_of_mine(house: WebHouse) -> None:
    """Owner B with a session sees A's product as any stranger does, and cannot act on it."""
    unit, _, _ = house.due()
    theirs = house.unit("THEIRS0000000001")
    house.own(theirs, "other@example.com")
    client = signed_in(house, "other@example.com")
    page = client.get(code(unit)).text
    assert "weeks left" not in page
    answer = client.post(f"{code(unit)}/fitted", data={"slot": house.slots["hepa"], "cycle": 1}, headers=SAME)
    assert 403 == answer.status_code
    assert 0 == house.conn.execute("select count(*) from event").fetchone()[0]  # type: ignore[index]  # there is a row


def test_one_person_two_makers(house: WebHouse) -> None:
    """Products of two makers stand in one list, each opened by the session with its own maker."""
    house.due()
    tenant_id, slots = maker(house.conn, "other", "04006381333948")
    other = WebHouse(house.app, house.settings, house.conn, house.worker, house.desk, tenant_id, slots)
    jug = other.unit("JUG0000000000001", name="Jug", gtin="04006381333948")
    other.own(jug)
    client = signed_in(house)
    mine = client.get("/me").text
    assert "Kitchen" in mine
    assert "Jug" in mine
    assert "getting to know it" in client.get(code(jug)).text


def test_signing_out_ends_the_session_on_the_server(house: WebHouse) -> None:
    """The cookie is worthless afterwards, to a thief as well."""
    house.due()
    client = signed_in(house)
    kept = client.cookies["ww_owner"]
    field = re.findall(r'name="page" value="([0-9a-f]+)"', client.get("/me").text)[0]
    client.post("/sign-out", data={"page": field}, headers=SAME)
    thief = house.client()
    thief.cookies.set("ww_owner", kept)
    assert "/sign-in" == thief.get("/me").headers["location"]
