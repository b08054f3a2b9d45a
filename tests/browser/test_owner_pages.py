"""The owner page as a person sees it: every state, both themes, small screens, no script, nothing from elsewhere."""

import gzip
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from commerce import fit, orders, quotes
from gateway import clock
from gateway.registry import owners, timeline, units
from gateway.web import owner_view
from tests.browser.conftest import Open
from tests.integration.test_web_doubts import in_doubt
from tests.integration.web_house import GTIN, WebHouse, code

pytestmark = pytest.mark.browser


def soon(house: WebHouse) -> str:
    return f"/p/{house.due()[2]}"


def fresh(house: WebHouse) -> str:
    unit = house.unit()
    party = house.own(unit)
    house.stand(unit, left_d=(320, 350, 380), pct=99, stage="ok", basis="estimated", fitted_d=2, reasons=())
    return f"/p/{house.link(unit, party)}"


def fine(house: WebHouse) -> str:
    unit = house.unit()
    party = house.own(unit)
    house.stand(unit, left_d=(120, 152, 190), pct=61, stage="ok")
    return f"/p/{house.link(unit, party)}"


def due(house: WebHouse) -> str:
    unit = house.unit()
    party = house.own(unit)
    cycle = house.stand(unit, left_d=(1, 4, 8), pct=4, stage="due")
    return f"/p/{house.link(unit, party, prompt_id=house.prompt(unit, party, cycle))}"


def overdue(house: WebHouse) -> str:
    unit = house.unit()
    party = house.own(unit)
    cycle = house.stand(unit, left_d=(-40, -19, -4), pct=0, stage="overdue")
    return f"/p/{house.link(unit, party, prompt_id=house.prompt(unit, party, cycle))}"


def ordered(house: WebHouse) -> str:
    unit, party, token = house.due()
    order_now(house, unit.unit_id, party)
    return f"/p/{token}"


def delivered(house: WebHouse) -> str:
    unit, party, token = house.due()
    order_id = order_now(house, unit.unit_id, party)
    house.desk.release(house.tenant_id, order_id)
    house.desk.shipped(house.tenant_id, order_id, "Sample Parcel", "1Z999")
    house.desk.delivered(house.tenant_id, order_id)
    return f"/p/{token}"


def order_now(house: WebHouse, unit_id: int, party_id: int) -> int:
    """Order the filter with a card on file, as a press would, and return the order's id."""
    house.keep_card(party_id)
    unit = units.get(house.conn, unit_id)
    place = owner_view.place(unit, house.slots["hepa"])
    found = fit.part_for(house.conn, place, clock.now())
    assert isinstance(found, fit.Fit)
    cycle = timeline.running_cycle(house.conn, unit_id, house.slots["hepa"])
    assert cycle
    quote = quotes.make(house.conn, unit_id=unit_id, cycle_id=cycle, place=place, fit=found, wall=clock.wall())
    owner = owners.owner_of(house.conn, unit_id, clock.now())
    assert owner
    placed = house.desk.tap(
        tenant_id=house.tenant_id,
        quote_id=quote.quote_id,
        party_id=party_id,
        site_id=owner.site_id,
        email=owner.email,
        return_url="http://127.0.0.1/return",
    )
    assert "paid" == orders.get(house.conn, placed.order.order_id).state
    return placed.order.order_id


def estimated(house: WebHouse) -> str:
    unit = house.unit(radio=False, name="Cellar")
    party = house.own(unit)
    why = ({"code": "age", "value": 290.0, "of": 365.0}, {"code": "no_radio", "value": None})
    cycle = house.stand(unit, left_d=(40, 75, 120), pct=21, basis="estimated", reasons=why)
    return f"/p/{house.link(unit, party, prompt_id=house.prompt(unit, party, cycle))}"


def offline(house: WebHouse) -> str:
    unit = house.unit()
    house.conn.execute("update unit set connection = 'lost', last_seen_at = last_seen_at - interval '19 days'")
    party = house.own(unit)
    why = ({"code": "used", "value": 2410.0, "of": 4000.0}, {"code": "silent", "value": 19.0})
    house.stand(unit, left_d=(50, 110, 180), pct=38, stage="ok", stale=True, reasons=why)
    return f"/p/{house.link(unit, party)}"


def no_part(house: WebHouse) -> str:
    house.conn.execute("update part set lifecycle = 'discontinued'")
    return soon(house)


def doubt(house: WebHouse) -> str:
    return f"/p/{in_doubt(house)[1]}"


def unanswered(house: WebHouse) -> str:
    token = in_doubt(house)[1]
    house.conn.execute("update slot_state set flags = '{assumed_new}'")
    return f"/p/{token}"


def public(house: WebHouse) -> str:
    return code(house.due()[0])


def unclaimed(house: WebHouse) -> str:
    unit = house.unit()
    house.stand(unit)
    return code(unit)


def model(house: WebHouse) -> str:
    house.unit()
    return f"/01/{GTIN}"


def ended(house: WebHouse) -> str:
    return "/p/nothing"


def sign_in(house: WebHouse) -> str:
    return "/sign-in"


STATES = {
    "soon": (soon, "Filter: about 6 weeks left (4 to 9)"),
    "new": (fresh, "New"),
    "fine": (fine, "Nothing to do."),
    "due": (due, "Filter: about 4 days left (1 to 8)"),
    "overdue": (overdue, "Filter: past its end by about 3 weeks"),
    "ordered": (ordered, "Filter: a new one is on order"),
    "delivered": (delivered, "I have changed it"),
    "estimated": (estimated, "this product has no radio"),
    "offline": (offline, "We last heard from it 3 weeks ago"),
    "no_part": (no_part, "no longer made"),
    "doubt": (doubt, "Did you change it around"),
    "unanswered": (unanswered, "so we go on as if a new one were in"),
    "public": (public, "Is it yours?"),
    "unclaimed": (unclaimed, "Is it yours?"),
    "model": (model, "scan the code on your product"),
    "ended": (ended, "This link has ended"),
    "sign_in": (sign_in, "there is no password"),
}
HERS = {
    "soon",
    "new",
    "fine",
    "due",
    "overdue",
    "ordered",
    "delivered",
    "estimated",
    "offline",
    "no_part",
    "doubt",
    "unanswered",
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_readable_on_a_small_screen(
    house: WebHouse,
    open_page: Open,
    accessible: Callable[[Page], list[str]],
    shots: Path,
    state: str,
    *,
    dark: bool,
) -> None:
    """Each state at 360 by 640 says what it should, passes axe-core, and never scrolls sideways, even at 320."""
    make, says = STATES[state]
    page = open_page(house.settings.public_url + make(house), dark=dark)
    text = " ".join(page.locator("body").inner_text().split())
    assert says in text
    page.screenshot(path=shots / f"owner-{state}-{'dark' if dark else 'light'}.png", full_page=True)
    assert [] == accessible(page)
    page.set_viewport_size({"width": 320, "height": 568})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.locator("h1").count() == 1
    small = "(e) => e.map(b => b.getBoundingClientRect()).filter(r => r.height > 0 && r.height < 44).length"
    assert 0 == page.locator("button, a.button, summary").evaluate_all(small)


def test_the_page_is_light_and_asks_nobody_else(house: WebHouse, open_page: Open) -> None:
    """HTML and CSS stay under 30 KB compressed; all requests go to our own address; nothing is blocked."""
    path = soon(house)
    problems: list[str] = []
    page = open_page("about:blank")
    page.on("console", lambda message: problems.append(message.text))
    page.on("requestfailed", lambda request: problems.append(request.url))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(house.settings.public_url + path)
    page.wait_for_load_state("networkidle")
    own = urlsplit(house.settings.public_url).netloc
    assert {own} == {urlsplit(url).netloc for url in asked}
    assert [] == problems
    client = house.client()
    sent = [client.get(urlsplit(url).path).content for url in asked if "icon" not in url]
    assert sum(len(gzip.compress(body)) for body in sent) <= 30 * 1024


def test_the_whole_way_works_without_script(house: WebHouse, open_page: Open) -> None:
    """With JavaScript off: read, press, pay on the hosted page, come back, and find the order (S3)."""
    page = open_page(house.settings.public_url + soon(house), script=False)
    page.get_by_role("button", name="Order with obligation to pay").click()
    assert page.url.startswith(str(house.settings.stripe_url))
    page.locator("form button").first.click()
    page.wait_for_url(f"{house.settings.public_url}/**")
    house.work()
    page.reload()
    assert "a new one is on order" in page.locator("h2").first.inner_text()
    page.get_by_text("Cancel this order").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    assert "Your order is cancelled" in page.get_by_role("status").inner_text()


def test_a_scripts_submit_is_no_press(house: WebHouse, open_page: Open) -> None:
    """A scanner that runs scripts and submits the form has made no gesture: nothing is ordered (S34)."""
    page = open_page("about:blank")
    page.add_init_script(
        """addEventListener("load", () => {
          const form = document.querySelector('form[action$="/order"]');
          if (form && !sessionStorage.sent) { sessionStorage.sent = "yes"; form.submit(); }
        })"""
    )
    page.goto(house.settings.public_url + soon(house))
    page.wait_for_url("**/order")
    assert "nothing was done" in page.get_by_role("status").inner_text()
    assert 0 == house.conn.execute("select count(*) from purchase").fetchone()[0]  # type: ignore[index]  # there is a row
    page.get_by_role("button", name="Order with obligation to pay").click()
    assert 1 == house.conn.execute("select count(*) from purchase").fetchone()[0]  # type: ignore[index]  # there is a row


def test_the_keyboard_reaches_the_button(house: WebHouse, open_page: Open) -> None:
    """Tab and Enter are enough to order."""
    page = open_page(house.settings.public_url + soon(house))
    for _ in range(12):
        page.keyboard.press("Tab")
        if "obligation to pay" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"{house.settings.stripe_url}/**")
    assert 1 == house.conn.execute("select count(*) from purchase").fetchone()[0]  # type: ignore[index]  # there is a row


def test_answers_of_the_mail_lead_to_their_place(house: WebHouse, open_page: Open) -> None:
    """The mail's other answers are links to places on this page; the one inside a fold opens it."""
    path = soon(house)
    for answer in ("remind", "spare", "changed", "elsewhere", "wrong"):
        page = open_page(f"{house.settings.public_url}{path}#{answer}")
        assert page.locator(f"#{answer}").is_visible()
