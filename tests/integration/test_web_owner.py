"""The owner page over HTTP: who sees what, what a press does, and what a look never does."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from commerce.payments import Ask, Charge
from gateway import clock
from gateway.events import Event, EventType
from gateway.notify import prompt_mail
from gateway.notify.recipient import Recipient, Sending
from gateway.registry import fleet, history, sessions
from gateway.replenish import candidates
from tests.integration.web_house import GTIN, SAME, WebHouse, code, open_house


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


class Forms(HTMLParser):
    """The forms of a page, as (action, fields)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        if tag == "form":
            self.found.append((given.get("action", ""), {}))
        if tag in ("input", "button") and given.get("name") and self.found:
            self.found[-1][1].setdefault(given["name"], given.get("value", ""))


def press(client: httpx.Client, html: str, act: str, **changed: str) -> Any:
    """Press the first button of a page that goes to an address ending so."""
    action, fields = next((a, f) for a, f in Forms(html).found if a.endswith(act))
    return client.post(action, data=fields | changed, headers=SAME)


def test_an_owner_reads_one_sentence_with_its_interval(house: WebHouse) -> None:
    """The page from the mail says what is due, how sure that is, and what it costs, before any press."""
    _, _, token = house.due()
    page = house.client().get(f"/p/{token}")
    assert 200 == page.status_code
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert "Filter: about 6 weeks left (4 to 9)" in text
    assert "Measured by the product itself. Last heard from 4 minutes ago." in text
    assert "€39.90" in text
    assert "Includes €6.37 tax" in text
    assert "Order with obligation to pay" in text
    assert "It has run 3,080 of about 4,000 rated hours." in text


def test_a_strangers_scan_shows_nothing_of_the_owner(house: WebHouse) -> None:
    """The code on the product opens what fits it; its wear, name and owner stay out (S7)."""
    unit, _, _ = house.due()
    page = house.client().get(code(unit)).text
    assert "HEPA filter H13" in page
    for private in ("Kitchen", "weeks left", "owner@example.com", "Sample Street", "% left"):
        assert private not in page


def test_a_serial_that_nobody_has_looks_like_one_that_somebody_has(house: WebHouse) -> None:
    """An unknown serial walks up to the model; the pages differ in nothing but the serial itself."""
    unit, _, _ = house.due()
    known = house.client().get(code(unit))
    unknown = house.client().get(f"/01/{GTIN}/21/NOSUCHSERIAL0000")
    assert 200 == known.status_code == unknown.status_code

    def plain(text: str, serial: str) -> str:
        return re.sub(r'name="page" value="[^"]*"', "", text.replace(serial, "SERIAL"))

    assert plain(known.text, unit.serial) == plain(unknown.text, "NOSUCHSERIAL0000")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/01/04006381333932/21/A", 400),  # wrong check digit
        ("/01/hello/21/A", 400),
        (f"/01/{GTIN}/21/{'A' * 21}", 400),
        (f"/01/{GTIN}/21/%C3%A4", 400),
        ("/01/00000000000000/21/A", 404),
        (f"/01/{GTIN}", 200),
        ("/01/4006381333931/21/A", 200),  # 13 digits are the same product
        (f"/01/{GTIN}/21/A%2FB%3Fc", 200),  # a serial may hold a slash
        ("/nothing", 404),
    ],
)
def test_codes_are_read_as_gs1_writes_them(house: WebHouse, path: str, status: int) -> None:
    """Bad syntax answers 400, a product that nobody makes 404, each with a page for people."""
    answer = house.client().get(path)
    assert status == answer.status_code
    assert "<h1" in answer.text
    assert "Traceback" not in answer.text


def test_a_forged_expired_or_sold_on_link_meets_the_same_page(house: WebHouse) -> None:
    """Whatever is wrong with a link, the answer is one and the same, and nothing happens (S35, S44)."""
    unit, party_id, live = house.due()
    expired = house.link(unit, party_id)
    house.conn.execute(
        "update owner_link set created_at = %s, expires_at = %s where token_hash = sha256(%s)",
        (clock.wall() - timedelta(days=61), clock.wall() - timedelta(days=1), expired.encode()),
    )
    forged = house.client().get("/p/forgedforgedforgedforgedforged00")
    late = house.client().get(f"/p/{expired}")
    house.conn.execute(
        "update ownership set period = tstzrange(lower(period), %s) where unit_id = %s", (clock.now(), unit.unit_id)
    )
    sold = house.client().get(f"/p/{live}")
    assert 404 == forged.status_code == late.status_code == sold.status_code
    assert forged.text == late.text == sold.text
    post = house.client().post(f"/p/{live}/order", data={"slot": house.slots["hepa"]}, headers=SAME)
    assert post.text == forged.text


def test_a_press_orders_once_and_a_replay_shows_the_order(house: WebHouse) -> None:
    """With a card on file the press orders at the price shown; pressed again, it is the same order (S2, S11)."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    page = client.get(f"/p/{token}").text
    first = press(client, page, "/order")
    assert (303, f"/p/{token}?said=ordered") == (first.status_code, first.headers["location"])
    again = press(client, page, "/order")
    assert f"/p/{token}?said=already" == again.headers["location"]
    orders = house.conn.execute("select total_minor, state, ship_to is not null from purchase").fetchall()
    assert [(3990, "paid", True)] == orders
    shown = client.get(f"/p/{token}?said=ordered").text
    assert "Thank you, your order is in." in shown
    assert "a new one is on order" in shown
    used = house.conn.execute("select used_at is not null from owner_link").fetchall()
    assert [(True,)] == used


def test_without_a_card_the_press_leads_to_the_payment_page(house: WebHouse) -> None:
    """No card on file: the hosted page takes it, and the way back is remembered here, not there (S3)."""
    _, _, token = house.due()
    client = house.client()
    answer = press(client, client.get(f"/p/{token}").text, "/order")
    assert 303 == answer.status_code
    assert answer.headers["location"].startswith(f"{house.settings.stripe_url}/pay/")
    kept = house.conn.execute("select request::text from payment").fetchall()
    assert token not in str(kept)
    back = client.get("/return")
    assert f"/p/{token}?said=payment" == back.headers["location"]
    assert "Go on to the payment" in client.get(back.headers["location"]).text


def test_cancelled_while_it_is_paid_the_page_says_so_and_the_link_lives(
    house: WebHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is cancelled elsewhere while the card is asked: the mail's link may order still."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    payments = house.desk._payments
    ask = payments.ask

    def cancelled_first(asked: Ask) -> Charge:
        house.desk.cancel(house.tenant_id, asked.order_id, f"party:{party_id}")
        return ask(asked)

    client = house.client()
    with monkeypatch.context() as patched:
        patched.setattr(payments, "ask", cancelled_first)
        answer = press(client, client.get(f"/p/{token}").text, "/order")
    assert f"/p/{token}?said=cancelled" == answer.headers["location"]
    assert "nothing is charged" in client.get(answer.headers["location"]).text
    assert f"/p/{token}?said=ordered" == press(client, client.get(f"/p/{token}").text, "/order").headers["location"]


def test_who_left_the_payment_page_reads_that_it_is_not_paid(house: WebHouse) -> None:
    """Neither the page nor the list of products calls an unpaid order a new part on order."""
    _, party_id, token = house.due()
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    client.cookies.set(
        "ww_owner", sessions.start(house.conn, tenant_id=house.tenant_id, party_id=party_id, wall=clock.wall())
    )
    for page in (f"/p/{token}", "/me"):
        shown = client.get(page).text
        assert "Not paid yet" in shown
        assert "on order" not in shown


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "For 30 minutes after paying you can cancel it"),
        ("de", "Nach dem Bezahlen können Sie sie 30 Minuten lang"),
    ],
)
def test_the_orders_mail_says_for_how_long_it_can_be_cancelled(house: WebHouse, locale: str, said: str) -> None:
    """The true time, which ends before the part is handed to shipping."""
    _, party_id, token = house.due()
    house.conn.execute("update party set locale = %s", (locale,))
    house.keep_card(party_id)
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    house.work()
    ((text,),) = house.conn.execute("select rendered->>'text' from outbox where kind = 'order_received'").fetchall()
    assert said in re.sub(r"\s+", " ", text)


def test_the_button_says_which_card_is_charged_and_where_the_part_goes(house: WebHouse) -> None:
    """With a card: its name; without: that the next page asks; without an address: that it asks for both."""
    unit, party_id, token = house.due()
    client = house.client()
    assert "to your address on file. You give your card on the next page" in client.get(f"/p/{token}").text
    house.keep_card(party_id)
    assert "charged to Visa 4242, to your address on file" in client.get(f"/p/{token}").text
    house.conn.execute("update ownership set site_id = null where unit_id = %s", (unit.unit_id,))
    page = client.get(f"/p/{token}").text
    assert "on file" not in page
    assert "You give your address and card on the next page" in page
    assert press(client, page, "/order").headers["location"].startswith(f"{house.settings.stripe_url}/pay/")


def test_a_moved_price_is_shown_before_it_is_charged(house: WebHouse) -> None:
    """The price changed between the look and the press: nothing is ordered, the new price is shown (S17)."""
    _, _, token = house.due()
    client = house.client()
    page = client.get(f"/p/{token}").text
    house.conn.execute("update offer set price_minor = 4490")
    answer = press(client, page, "/order")
    assert 409 == answer.status_code
    assert "€44.90" in answer.text
    assert "Nothing was ordered" in answer.text
    assert 0 == house.conn.execute("select count(*) from purchase").fetchone()[0]


@pytest.mark.parametrize(
    "change",
    [
        "update part set name = 'Carbon pre-filter' where sku = 'P-hepa'",
        "update part set pack_size = 2 where sku = 'P-hepa'",
        "update offer set tax_bp = 700",
        "update offer set delivery_d = 40",
    ],
)
def test_another_part_at_the_same_price_is_not_what_was_shown(house: WebHouse, change: str) -> None:
    """Name, pack size, tax or delivery moved between the look and the press: nothing is ordered."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    page = client.get(f"/p/{token}").text
    house.conn.execute(change.encode())
    answer = press(client, page, "/order")
    assert 409 == answer.status_code
    assert "the part has changed" in answer.text
    assert [] == house.conn.execute("select from purchase").fetchall()


def test_a_stranger_can_buy_but_not_order_for_the_owner(house: WebHouse) -> None:
    """A guest is led to the payment page; the owner's button needs the owner (S7)."""
    unit, _, _ = house.due()
    client = house.client()
    page = client.get(code(unit)).text
    assert "Order with obligation to pay" in page
    bought = press(client, page, "/checkout")
    assert bought.headers["location"].startswith(f"{house.settings.stripe_url}/pay/")
    refused = client.post(f"{code(unit)}/order", data={"slot": house.slots["hepa"]}, headers=SAME)
    assert 403 == refused.status_code
    parties = house.conn.execute("select party_id, ship_to from purchase").fetchall()
    assert [(None, None)] == parties


def test_a_guests_open_payment_page_does_not_stand_in_the_owners_way(house: WebHouse) -> None:
    """Somebody scanned and looked at the payment page: the owner neither sees it nor is kept from ordering."""
    unit, party_id, token = house.due()
    house.keep_card(party_id)
    stranger = house.client()
    press(stranger, stranger.get(code(unit)).text, "/checkout")
    client = house.client()
    page = client.get(f"/p/{token}").text
    assert "on order" not in page
    assert 303 == press(client, page, "/order").status_code
    states = dict(house.conn.execute("select party_id is null, state from purchase").fetchall())
    assert {True: "cancelled", False: "paid"} == states


def test_a_stranger_at_the_payment_page_takes_nothing_from_the_owner(house: WebHouse) -> None:
    """The last one in stock: the owner is still offered it, still asked, and gets it."""
    unit, party_id, token = house.due()
    house.keep_card(party_id)
    house.conn.execute("update offer set stock = 1")
    stranger = house.client()
    press(stranger, stranger.get(code(unit)).text, "/checkout")
    now = clock.now()
    house.conn.execute("update slot_state set order_at = %s where slot_id = %s", (now, house.slots["hepa"]))
    (asked,) = candidates.find(house.conn, now, everyone=True)
    assert asked.order_number is None
    rows = fleet.page(house.conn, fleet.Filter(), now=now).rows
    assert [None, None] == [row.order_state for row in rows]
    (due,) = prompt_mail.still_open(house.conn, [asked.prompt_id])
    to = Recipient(party_id, house.tenant_id, "owner@example.com", "en")
    assert "" == prompt_mail.offered(Sending(house.conn, to, "", now, clock.wall()), due)[1]
    assert "out of stock" in house.client().get(code(unit)).text
    client = house.client()
    answer = press(client, client.get(f"/p/{token}").text, "/order")
    assert f"/p/{token}?said=ordered" == answer.headers["location"]


def test_a_new_owner_sees_nothing_of_the_former_ones_unpaid_order(house: WebHouse) -> None:
    """The unit was sold on while its payment page was open: the next owner orders as if nothing had been."""
    unit, _, token = house.due()
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    now = clock.now()
    past = (now - timedelta(days=30), now - timedelta(days=2))
    house.conn.execute("update ownership set period = tstzrange(%s, %s)", past)
    second = house.own(unit, "second@example.com")
    link = house.link(unit, second)
    buyer = house.client()
    page = buyer.get(f"/p/{link}").text
    assert "Go on to the payment" not in page
    assert "Cancel this order" not in page
    bought = press(buyer, page, "/order")
    assert bought.headers["location"].startswith(f"{house.settings.stripe_url}/pay/")
    states = dict(house.conn.execute("select party_id, state from purchase").fetchall())
    assert "paying" == states[second]


def test_an_owner_is_not_offered_to_cancel_what_a_guest_paid(house: WebHouse) -> None:
    """A guest's paid order stands on the owner's page, without a button that would be refused."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    assert "Cancel this order" in client.get(f"/p/{token}").text
    house.conn.execute("update purchase set party_id = null")
    assert "Cancel this order" not in client.get(f"/p/{token}").text
    house.conn.execute("update purchase set state = 'delivered'")
    page = client.get(f"/p/{token}").text
    assert "a new one went to somebody who ordered it" in page
    assert "should be with you" not in page


def test_nothing_can_be_bought_for_a_serial_that_does_not_exist(house: WebHouse) -> None:
    """The button on an unknown serial's page answers kindly and orders nothing."""
    client = house.client()
    answer = press(client, client.get(f"/01/{GTIN}/21/NOSUCH").text, "/checkout")
    assert 409 == answer.status_code
    assert 0 == house.conn.execute("select count(*) from quote").fetchone()[0]


def test_an_order_is_cancelled_while_it_costs_nothing(house: WebHouse) -> None:
    """Inside the undo window the owner cancels with two presses, and the prompt's link works again."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    answer = press(client, client.get(f"/p/{token}").text, "/cancel")
    assert f"/p/{token}?said=cancelled" == answer.headers["location"]
    assert "cancelled" == house.conn.execute("select state from purchase").fetchone()[0]


def test_fitted_begins_the_next_cycle_however_often_it_is_pressed(house: WebHouse) -> None:
    """“I have changed it” closes the cycle once; a second press finds the same event (S8)."""
    _, _, token = house.due()
    client = house.client()
    page = client.get(f"/p/{token}").text
    for _ in range(2):
        assert f"/p/{token}?said=fitted" == press(client, page, "/fitted").headers["location"]
    house.work()
    cycles = house.conn.execute(
        "select upper_inf(period), source from cycle where slot_id = %s order by cycle_id", (house.slots["hepa"],)
    ).fetchall()
    assert [(False, "factory"), (True, "owner")] == cycles
    after = client.get(f"/p/{token}")
    assert 200 == after.status_code
    assert "New" in after.text


def a_year_on(house: WebHouse) -> list[tuple[str, bool]]:
    """Let the filter's cycles have begun a year earlier, and return each one's source and whether it runs."""
    house.conn.execute(
        """update cycle set period = tstzrange(lower(period) - interval '1 year', upper(period) - interval '1 year')
           where slot_id = %s""",
        (house.slots["hepa"],),
    )
    return house.conn.execute(
        "select source, upper_inf(period) from cycle where slot_id = %s order by lower(period)", (house.slots["hepa"],)
    ).fetchall()


@pytest.mark.parametrize("first", ["owner", "button"])
def test_a_fitting_told_again_leaves_the_next_one_to_be_told(house: WebHouse, first: str) -> None:
    """Pressed once more on the page that comes back, or after the unit's own button: the next cycle still ends."""
    unit, _, token = house.due()
    client = house.client()
    if first == "button":
        at, where = clock.now() - timedelta(hours=20), (house.tenant_id, unit.unit_id, house.slots["hepa"])
        history.record(house.conn, Event(*where, EventType.PART_FITTED, "unit:1", at, {"by": "button"}))
    else:
        press(client, client.get(f"/p/{token}").text, "/fitted")
    house.work()
    press(client, client.get(f"/p/{token}").text, "/fitted")
    house.work()
    source = "owner" if first == "owner" else "device"
    assert [("factory", False), (source, True)] == a_year_on(house)
    press(client, client.get(f"/p/{token}").text, "/fitted")
    house.work()
    assert [("factory", False), (source, False), ("owner", True)] == a_year_on(house)


@pytest.mark.parametrize(
    ("answer", "state"),
    [("remind", "snoozed"), ("spare", "answered"), ("elsewhere", "answered"), ("wrong", "answered")],
)
def test_every_other_answer_is_kept_and_orders_nothing(house: WebHouse, answer: str, state: str) -> None:
    """The owner may say something else than order; each is data (S9)."""
    _, _, token = house.due()
    client = house.client()
    done = press(client, client.get(f"/p/{token}").text, "/answer", answer=answer)
    assert f"/p/{token}?said={answer}" == done.headers["location"]
    assert (state, answer) == house.conn.execute("select state, answer from prompt").fetchone()
    assert 0 == house.conn.execute("select count(*) from purchase").fetchone()[0]
    assert 200 == client.get(f"/p/{token}?said={answer}").status_code


def test_looking_never_orders_and_leaves_the_link_alive(house: WebHouse) -> None:
    """Twenty looks by GET and HEAD, as a mail scanner makes them, change no row of any table (S33)."""
    unit, party_id, token = house.due()
    house.keep_card(party_id)
    before = house.counts()
    scanner = house.client()
    for path in (f"/p/{token}", code(unit), f"/u/{token}"):
        for _ in range(10):
            assert 200 == scanner.get(path).status_code
            head = scanner.head(path)
            assert (200, b"") == (head.status_code, head.content)
    assert before == house.counts()
    client = house.client()
    assert 303 == press(client, client.get(f"/p/{token}").text, "/order").status_code


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a scanner that posts
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        SAME | {"origin": "https://evil.example"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        SAME | {"sec-fetch-mode": "cors"},  # a script's request
        SAME | {"sec-ch-ua": '"Chromium";v="156"', "sec-fetch-mode": "navigate"},  # a script's submit: no gesture
    ],
)
def test_a_post_without_a_persons_press_is_refused(house: WebHouse, headers: dict[str, str]) -> None:
    """A form sent by a scanner, another site, or a script orders nothing (S34)."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    action, fields = next((a, f) for a, f in Forms(client.get(f"/p/{token}").text).found if a.endswith("/order"))
    answer = client.post(action, data=fields, headers=headers)
    assert answer.status_code in (403, 409)
    assert 0 == house.conn.execute("select count(*) from purchase").fetchone()[0]


def test_a_form_of_another_browser_or_another_page_is_refused(house: WebHouse) -> None:
    """The nonce binds a button to the browser and the page that it was shown on."""
    _, _, token = house.due()
    _, _, other = house.due("SECOND0000000001")
    client = house.client()
    action, fields = next((a, f) for a, f in Forms(client.get(f"/p/{token}").text).found if a.endswith("/order"))
    assert 409 == house.client().post(action, data=fields, headers=SAME).status_code
    assert 409 == client.post(f"/p/{other}/order", data=fields, headers=SAME).status_code
    assert 409 == client.post(action, data=fields | {"page": ""}, headers=SAME).status_code


def test_a_link_orders_for_its_own_slot_only(house: WebHouse) -> None:
    """The mail was about the filter: the carbon filter is shown, and ordered after signing in."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    page = client.get(f"/p/{token}").text
    answer = press(client, page, "/order", slot=str(house.slots["carbon"]))
    assert 409 == answer.status_code
    assert 0 == house.conn.execute("select count(*) from purchase").fetchone()[0]


def test_one_click_unsubscription_is_a_post(house: WebHouse) -> None:
    """A mail program's POST, with no origin, stops the prompts; looking stops nothing (S37)."""
    _, _, token = house.due()
    client = house.client()
    assert "Stop these mails?" in client.get(f"/u/{token}").text
    live = "select count(*) from consent where withdrawn_at is null"
    assert 1 == house.conn.execute(live).fetchone()[0]
    assert 200 == client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code
    assert 0 == house.conn.execute(live).fetchone()[0]
    assert 200 == client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code


@pytest.mark.parametrize(
    "change",
    [
        None,
        "update prompt set state = 'snoozed', answer = 'remind', remind_at = now()",
        "update prompt set state = 'answered', answer = 'wrong'",
        "update prompt set state = 'open'",
        "update consent set withdrawn_at = now()",
        "update party set channel = 'none'",
    ],
)
def test_the_page_promises_a_mail_only_where_one_will_come(house: WebHouse, change: str | None) -> None:
    """Nobody writes to who stopped it, nor a second time in a cycle whose one prompt is used up."""
    _, _, token = house.due()
    house.conn.execute("update slot_state set stage = 'ok'")
    house.conn.execute("delete from slot_state where slot_id = %s", (house.slots["carbon"],))
    house.conn.execute("update owner_link set prompt_id = null")
    if change is None:
        house.conn.execute("delete from prompt")
    else:
        house.conn.execute(change.encode())
    promised = "We write to you around" in house.client().get(f"/p/{token}").text
    assert (change is None or "remind" in change) == promised


def test_the_question_whether_it_is_fitted_is_not_asked_after_a_stop(house: WebHouse) -> None:
    """The mail waits for the part's end; who stops these mails before it gets none."""
    _, _, token = house.due()
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/answer", answer="elsewhere")
    client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
    row = house.conn.execute("select message_id from outbox where kind = 'ask_if_fitted'").fetchone()
    assert row
    house.worker.send(row[0])
    said = house.conn.execute("select sent_at, error from outbox where message_id = %s", row).fetchone()
    assert (None, "not sent: the person agreed to no prompts, or took it back") == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("elsewhere", "you buy the new part elsewhere"),
        ("spare", "you have a new part at home"),
        ("guest", "it was delivered to them"),
    ],
)
def test_the_question_whether_it_is_fitted_says_what_is_so(house: WebHouse, answer: str, said: str) -> None:
    """Its words are true of who bought elsewhere, of who has a spare, and where a guest ordered; its links lead on."""
    _, party_id, token = house.due()
    client = house.client()
    if answer == "guest":
        house.keep_card(party_id)
        press(client, client.get(f"/p/{token}").text, "/order")
        house.conn.execute("update purchase set party_id = null, state = 'shipped'")
        ((order_id,),) = house.conn.execute("select order_id from purchase").fetchall()
        house.desk.delivered(house.tenant_id, order_id)
        house.work()
    else:
        press(client, client.get(f"/p/{token}").text, "/answer", answer=answer)
    row = house.conn.execute("select message_id from outbox where kind = 'ask_if_fitted'").fetchone()
    assert row
    house.worker.send(row[0])
    mail = house.conn.execute("select rendered from outbox where message_id = %s", row).fetchone()[0]
    assert said in mail["text"]
    assert "is with you" not in mail["text"]
    assert "List-Unsubscribe=One-Click" == mail["headers"]["List-Unsubscribe-Post"]
    assert 200 == client.get(re.findall(r"/u/[\w-]+", mail["text"])[0]).status_code
    ((page, part),) = re.findall(r"(/p/[\w-]+)#([\w-]+)", mail["text"])
    assert f'id="{part}"' in client.get(page).text


def test_where_nothing_can_be_ordered_the_page_says_so(dsn: str) -> None:
    """Without a payment provider the part is shown with its price and a sentence in place of the button."""
    with open_house(dsn, pay=False) as closed:
        _, _, token = closed.due()
        page = closed.client().get(f"/p/{token}").text
        assert "Nothing can be ordered here yet" in page
        assert "obligation to pay" not in page


def test_hostile_words_stay_words(house: WebHouse) -> None:
    """Names that look like markup are shown as text."""
    unit, _, token = house.due()
    for words in ("<script>alert(1)</script>", "{{ 7*7 }}", '"><img src=x>', "'; drop table unit; --"):
        house.conn.execute("update unit set name = %s where unit_id = %s", (words, unit.unit_id))
        page = house.client().get(f"/p/{token}").text
        assert "<script" not in page
        assert "<img" not in page
        assert "49" not in page.split("<h1>")[1].split("</h1>")[0]
