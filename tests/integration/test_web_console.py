"""The console over HTTP: who gets in, what each role may, the fleet as a table and as CSV."""

import re
import time
from collections.abc import Iterator
from statistics import median

import httpx
import pytest

from gateway import clock
from gateway.registry import fleet
from gateway.web.console_units import harmless
from tests.integration.test_web_owner import press
from tests.integration.web_house import PASSWORD, SAME, WebHouse, code, open_house


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


def log_in(house: WebHouse, email: str, password: str, client: httpx.Client | None = None) -> httpx.Response:
    fields = {"email": email, "password": password}
    return (client or house.client()).post("/console/login", data=fields, headers=SAME)


def csrf(client: httpx.Client) -> str:
    return re.findall(r'name="csrf" value="([0-9a-f]+)"', client.get("/console").text)[0]


def test_nobody_gets_in_without_signing_in(house: WebHouse) -> None:
    """Every page of the console leads to the sign-in, and from there to where one wanted to go."""
    answer = house.client().get("/console/units?stage=due")
    assert (303, "/console/login?next=/console/units%3Fstage%3Ddue") == (answer.status_code, answer.headers["location"])
    house.staff()
    fields = {"email": "staff@example.com", "password": PASSWORD, "next": "/console/units?stage=due"}
    assert (
        "/console/units?stage=due"
        == house.client().post("/console/login", data=fields, headers=SAME).headers["location"]
    )


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "/console//evil.example", "/p/x"]
)
def test_a_sign_in_leads_nowhere_else(house: WebHouse, to: str) -> None:
    """The way on is a page of the console, whatever the address says."""
    house.staff()
    fields = {"email": "staff@example.com", "password": PASSWORD, "next": to}
    assert "/console" == house.client().post("/console/login", data=fields, headers=SAME).headers["location"]


def test_a_wrong_password_and_an_unknown_address_look_alike(house: WebHouse) -> None:
    """Same answer, same work: neither the words nor the time tell which addresses exist."""
    house.staff()
    times: dict[str, list[float]] = {"staff@example.com": [], "nobody@example.com": []}
    texts = set()
    log_in(house, "warm@example.com", "up")  # the first comparison also makes the hash that nobody has
    for i in range(4):
        for email, took in times.items():
            house.conn.execute("delete from attempt")
            began = time.perf_counter()
            answer = log_in(house, email, f"wrong {i}")
            took.append(time.perf_counter() - began)
            assert 401 == answer.status_code
            texts.add(answer.text.replace(email, "…"))
    assert 1 == len(texts)
    known, unknown = (median(took) for took in times.values())
    assert 0.4 < known / unknown < 2.5


def test_guessing_is_slowed_down(house: WebHouse) -> None:
    """After five wrong passwords an account waits, even for the right one, and is told how long."""
    house.staff()
    for _ in range(5):
        assert 401 == log_in(house, "staff@example.com", "wrong").status_code
    answer = log_in(house, "staff@example.com", PASSWORD)
    assert 429 == answer.status_code
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert 5 == house.conn.execute("select count(*) from audit where action = 'staff_sign_in_refused'").fetchone()[0]  # type: ignore[index]  # there is a row


def test_a_session_is_new_at_each_sign_in_and_ends_on_the_server(house: WebHouse) -> None:
    """Signing in gives another token and ends the old session; signing out ends it for whoever copied the cookie."""
    client = house.at_desk("reader")
    first = client.cookies["ww_staff"]
    log_in(house, "reader@example.com", PASSWORD, client)
    second = client.cookies["ww_staff"]
    assert first != second
    assert 1 == house.conn.execute("select count(*) from web_session").fetchone()[0]  # type: ignore[index]  # there is a row
    client.post("/console/logout", data={"csrf": csrf(client)}, headers=SAME)
    thief = house.client()
    thief.cookies.set("ww_staff", second)
    assert 303 == thief.get("/console").status_code


def test_a_disabled_member_is_out_at_once(house: WebHouse) -> None:
    """Whoever leaves is signed out by the next request, and cannot come back."""
    client = house.at_desk("editor")
    house.conn.execute("update staff set disabled_at = %s", (clock.wall(),))
    assert 303 == client.get("/console").status_code
    assert 401 == log_in(house, "editor@example.com", PASSWORD).status_code


def test_each_role_does_what_it_may(house: WebHouse) -> None:
    """A reader looks, an editor ships, only an administrator reads mails, which carry their owners' links."""
    clients = {role: house.at_desk(role) for role in ("reader", "editor", "admin")}
    for client in clients.values():
        for path in ("/console", "/console/units", "/console/orders", "/console/outbox", "/console/quarantine"):
            assert 200 == client.get(path).status_code
    assert {"reader": 403, "editor": 403, "admin": 404} == {
        role: client.get("/console/outbox/1").status_code for role, client in clients.items()
    }
    shipped = {
        role: client.post("/console/orders/1/shipped", data={"csrf": csrf(client)}, headers=SAME).status_code
        for role, client in clients.items()
    }
    assert {"reader": 403, "editor": 404, "admin": 404} == shipped


def test_a_form_without_its_session_is_refused(house: WebHouse) -> None:
    """A change needs the session's own form value, not just its cookie."""
    client = house.at_desk("admin")
    for value in ("", "0" * 64):
        assert 403 == client.post("/console/orders/1/shipped", data={"csrf": value}, headers=SAME).status_code


def test_the_fleet_is_paged_by_key_and_every_row_comes_once(house: WebHouse) -> None:
    """Rows without a forecast come last; however the pages are cut, nothing is missing and nothing twice."""
    for i in range(9):
        unit = house.unit(f"U{i}")
        if i % 3:
            house.stand(unit, left_d=(1, 10 + i % 2, 20))
    whole = [(row.unit_id, row.slot_id) for row in fleet.every(house.conn, fleet.Filter(), clock.now())]
    assert 18 == len(set(whole)) == len(whole)
    for size in (1, 2, 5, 6, 18, 50):
        seen, after = [], None
        while True:
            page = fleet.page(house.conn, fleet.Filter(), after=after, limit=size, now=clock.now())
            seen += [(row.unit_id, row.slot_id) for row in page.rows]
            after = page.after
            if after is None:
                break
        assert whole == seen


def test_a_character_that_no_text_has_is_refused_wherever_it_stands(house: WebHouse) -> None:
    """In a search, a path or a form: the answer says so, and is no fault on our side."""
    house.staff()
    client = house.client()
    log_in(house, "staff@example.com", PASSWORD, client)
    answers = [client.get("/console/units?q=a%00"), client.get("/p/a%00b"), log_in(house, "a\0@example.com", PASSWORD)]
    assert all(400 <= answer.status_code < 500 for answer in answers), answers
    assert "holds a character that no text has" in answers[0].text


def test_a_search_takes_signs_literally(house: WebHouse) -> None:
    """A percent sign or an underscore in the search is a sign, not a wildcard."""
    house.unit("A_1", name=None)
    house.unit("AB1", name=None)
    client = house.at_desk("reader")
    found = client.get("/console/units", params={"q": "A_"}).text
    assert "A_1" in found
    assert "AB1" not in found
    assert "No unit matches." in client.get("/console/units", params={"q": "%%"}).text
    for after in ("nonsense", "~~", "-~x~y", "2026-13-45~1~1"):
        assert 200 == client.get("/console/units", params={"after": after}).status_code


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(a1)", "\tx", "\r=x"])
def test_csv_cells_are_no_formulas(text: str) -> None:
    """A cell that a spreadsheet would run is made text."""
    assert f"'{text}" == harmless(text)


def test_the_fleet_as_csv(house: WebHouse) -> None:
    """The download has the filters of the table, a header, and hostile names made harmless."""
    house.stand(house.unit("U1", name="=cmd|' /C calc'!A0"))
    house.unit("U2")
    answer = house.at_desk("reader").get("/console/units.csv?stage=soon")
    lines = answer.text.strip().split("\r\n")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 2 == len(lines)
    assert lines[0].startswith("serial,device,model")
    assert ",'=cmd|" in lines[1] or ",\"'=cmd" in lines[1]


def test_what_needs_attention_comes_first(house: WebHouse) -> None:
    """Silent units, overdue slots and failed mail are counted; a quiet fleet says that nothing is wanted."""
    client = house.at_desk("reader")
    assert "Nothing needs you now" in client.get("/console").text
    unit = house.unit()
    house.stand(unit, left_d=(-9, -5, -1), stage="overdue")
    house.conn.execute("update unit set last_seen_at = last_seen_at - interval '5 days'")
    wants = fleet.wants(house.conn, clock.now())
    assert (1, 1, 0) == (wants.silent, wants.overdue, wants.failed_mail)
    page = client.get("/console").text
    assert "Units silent for three days or more" in page
    assert "nothing ordered" in page


def test_the_code_of_a_unit_is_its_digital_link(house: WebHouse) -> None:
    """The QR code is drawn here, as SVG, for the address that an owner scans."""
    unit = house.unit("A/B?1", radio=False)
    client = house.at_desk("reader")
    answer = client.get(f"/console/units/{unit.unit_id}/qr.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert (
        f"{house.settings.public_url}/01/{unit.gtin}/21/A%2FB%3F1" in client.get(f"/console/units/{unit.unit_id}").text
    )


def test_who_ships_sees_where_to(house: WebHouse) -> None:
    """The address stands on the page of an order to ship: on file, or asked of the provider; a reader sees neither."""
    unit, party_id, token = house.due()
    house.keep_card(party_id)
    client = house.client()
    press(client, client.get(f"/p/{token}").text, "/order")
    ((order_id,),) = house.conn.execute("select order_id from purchase").fetchall()
    page = f"/console/orders/{order_id}"
    desks = {role: house.at_desk(role) for role in ("reader", "editor")}
    assert "Sample Street" not in desks["editor"].get(page).text
    house.desk.release(house.tenant_id, order_id)
    assert page in desks["editor"].get("/console/orders?show=ship").text
    assert "1 Sample Street" in desks["editor"].get(page).text
    assert 403 == desks["reader"].get(page).status_code
    assert page not in desks["reader"].get("/console/orders?show=ship").text
    house.conn.execute("update purchase set state = 'fitted'")
    house.conn.execute("update offer set price_minor = 4190")  # another quote, which nobody has ordered by
    guest = house.client()
    bought = press(guest, guest.get(code(unit)).text, "/checkout")
    given = {"name": "A guest", "line1": "2 Other Street", "postal_code": "20095", "city": "Hamburg", "country": "DE"}
    httpx.post(bought.headers["location"], data={"card": "pm_card_visa", **given})
    ((order_id,),) = house.conn.execute("select order_id from purchase where party_id is null").fetchall()
    house.desk.refresh(house.tenant_id, order_id)
    house.desk.release(house.tenant_id, order_id)
    assert "2 Other Street" in desks["editor"].get(f"/console/orders/{order_id}").text
