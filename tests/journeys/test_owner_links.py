"""Scenarios of commerce.md around the link in a mail: who may look at it, and what it never does. S33, S35."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from gateway import clock
from tests import chromium
from tests.integration.test_web_owner import Forms, press
from tests.integration.web_house import SAME, WebHouse, code, open_house

TIMES = 20
SCRIPTED = """() => {
  for (const kind of ["mouseover", "focus", "touchstart"])
    document.querySelectorAll("a, button, summary").forEach(e => e.dispatchEvent(new Event(kind, {bubbles: true})));
  document.querySelectorAll("details").forEach(d => d.open = true);
  return [...document.querySelectorAll("a[href]")].map(a => a.href);
}"""


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened
    clock.accelerate(None)


def orders(house: WebHouse) -> int:
    row = house.conn.execute("select count(*) from purchase").fetchone()
    assert row
    return int(row[0])


def scan_scripted(program: str, base: str, links: list[str]) -> set[str]:
    """Look at links as a mail scanner with a browser does: run scripts, hover, unfold, follow; return what it met."""
    met: set[str] = set()
    with chromium.launched(program) as browser:
        for i in range(TIMES):
            page = browser.new_context().new_page()
            page.goto(base + links[i % len(links)], wait_until="networkidle")
            met.add(page.url)
            for found in page.evaluate(SCRIPTED):
                if found.startswith(base) and found not in met:
                    met.add(found)
                    page.goto(found)
            page.context.close()
    return met


def scan_plainly(base: str, links: list[str]) -> set[str]:
    """Look at links, and at what they lead to, by GET and HEAD."""
    met: set[str] = set()
    with httpx.Client(follow_redirects=True, trust_env=False) as scanner:
        for i in range(TIMES):
            url = base + links[i % len(links)]
            html = scanner.get(url).text
            met.add(url)
            scanner.head(url)
            for piece in html.split('href="')[1:]:
                found = urljoin(url, piece.split('"')[0])
                if found.startswith(base) and found not in met:
                    met.add(found)
                    scanner.get(found)
                    scanner.head(found)
    return met


@pytest.mark.parametrize("scanner", ["plain", "browser"])
def test_s33_a_scanner_orders_nothing_and_leaves_the_link_alive(house: WebHouse, scanner: str) -> None:
    """S33: twenty looks at every link of a mail, scripts run and links followed; then the owner's press orders."""
    unit, party_id, token = house.due()
    house.keep_card(party_id)
    links = [f"/p/{token}", f"/p/{token}#spare", f"/u/{token}", code(unit)]
    before = house.counts()
    if scanner == "browser":
        program = chromium.program()
        if program is None:
            pytest.skip("no Chromium on the PATH: the scanner that runs scripts is not tried, the plain one is")
        met = scan_scripted(program, house.settings.public_url, links)
    else:
        met = scan_plainly(house.settings.public_url, links)
    assert len(met) > len(links)
    assert before == house.counts()
    assert 0 == orders(house)
    owner = house.client()
    answer = press(owner, owner.get(f"/p/{token}").text, "/order")
    assert f"/p/{token}?said=ordered" == answer.headers["location"]
    assert 1 == orders(house)


def age(house: WebHouse, token: str) -> None:
    """Let a link have been made so long ago that it has ended."""
    house.conn.execute(
        "update owner_link set created_at = %s, expires_at = %s where token_hash = sha256(%s)",
        (clock.wall() - timedelta(days=61), clock.wall() - timedelta(days=1), token.encode()),
    )


def safe(house: WebHouse, token: str, form: dict[str, str]) -> str:
    """Look, press, answer and unsubscribe with a token; return the one safe page that all of it meets."""
    browser = house.client()
    answers = [
        browser.get(f"/p/{token}"),
        browser.post(f"/p/{token}/order", data=form, headers=SAME),
        browser.post(f"/p/{token}/answer", data=form | {"answer": "spare"}, headers=SAME),
        browser.post(f"/p/{token}/fitted", data=form, headers=SAME),
        browser.get(f"/u/{token}"),
        browser.post(f"/u/{token}", headers=SAME),
    ]
    assert {404} == {answer.status_code for answer in answers}
    (page,) = {answer.text for answer in answers}
    return page


def test_s35_a_link_that_is_forged_expired_or_of_a_former_owner_meets_the_safe_page(house: WebHouse) -> None:
    """S35: whatever is wrong with a token, look or press, the page is the same, says nothing, and changes nothing."""
    unit, party_id, live = house.due()
    house.keep_card(party_id)
    action, form = next((a, f) for a, f in Forms(house.client().get(f"/p/{live}").text).found if a.endswith("/order"))
    assert f"/p/{live}/order" == action
    expired, forged = house.link(unit, party_id), "x" * 32
    age(house, expired)
    sold_on, _, theirs = house.due("SOLDON0000000001")
    house.conn.execute(
        "update ownership set period = tstzrange(%s, %s) where unit_id = %s",
        (clock.now() - timedelta(days=9), clock.now() - timedelta(days=2), sold_on.unit_id),
    )
    house.own(sold_on, "next@example.com")

    before = house.counts()
    tokens = (forged, live[:-1] + ("A" if live[-1] != "A" else "B"), live.swapcase(), expired, theirs)
    pages = {safe(house, token, form) for token in tokens}
    assert 1 == len(pages)
    page = pages.pop()
    assert "This link has ended" in page
    assert "Nothing was ordered or changed" in page
    for private in (unit.serial, sold_on.serial, "Kitchen", "owner@example.com", "HEPA", "€"):
        assert private not in page
    assert before == house.counts()


def test_s35_a_replayed_press_shows_the_order_that_stands(house: WebHouse) -> None:
    """S35: the press of the same page again, by the same browser, is one order; a used link offers no second."""
    _, party_id, token = house.due()
    house.keep_card(party_id)
    owner = house.client()
    page = owner.get(f"/p/{token}").text
    assert f"/p/{token}?said=ordered" == press(owner, page, "/order").headers["location"]
    for _ in range(3):
        assert f"/p/{token}?said=already" == press(owner, page, "/order").headers["location"]
    shown = owner.get(f"/p/{token}").text
    assert "Order with obligation to pay" not in shown.split("slot-")[1]
    assert "a new one is on order" in shown
    assert 1 == orders(house)


def test_s35_a_link_of_someone_else_orders_in_nobodys_name(house: WebHouse) -> None:
    """S35: another's link does not take my page's form, mine does not reach their unit, and no slot but its own."""
    _, mine_party, mine = house.due()
    house.keep_card(mine_party)
    unit = house.unit("NEIGHBOUR0000001")
    party_id = house.own(unit, "neighbour@example.com")
    cycle_id = house.stand(unit)
    house.stand(unit, "carbon")
    theirs = house.link(unit, party_id, prompt_id=house.prompt(unit, party_id, cycle_id))
    me = house.client()
    forms = Forms(me.get(f"/p/{mine}").text).found
    form = next(f for a, f in forms if a.endswith("/order"))
    prompt = next(f for a, f in forms if a.endswith("/answer"))
    for path, fields in (
        (f"/p/{theirs}/order", form),  # their link, my page
        (f"/p/{theirs}/answer", prompt | {"answer": "spare"}),
        (f"/p/{mine}/order", form | {"slot": str(house.slots["carbon"])}),  # my link, a slot it is not about
    ):
        answer = me.post(path, data=fields, headers=SAME)
        assert 409 == answer.status_code, path
        assert "owner@example.com" not in answer.text
    foreign = house.conn.execute("select prompt_id from prompt where party_id = %s", (party_id,)).fetchone()
    assert foreign
    answer = me.post(f"/p/{mine}/answer", data=prompt | {"answer": "wrong", "prompt": str(foreign[0])}, headers=SAME)
    assert (303, f"/p/{mine}") == (answer.status_code, urlsplit(answer.headers["location"]).path)
    assert 0 == orders(house)
    assert [("open", None)] * 2 == house.conn.execute("select state, answer from prompt").fetchall()
