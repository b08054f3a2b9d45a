"""The stand-in's pages, as a browser gets them."""

import httpx
import pytest

from tests.shop import Shop, StandIn

MARKUP = "<script>alert(1)</script>"


def test_every_page_says_that_no_money_moves(shop: Shop) -> None:
    """The hosted page, 3-D Secure, and the ledger."""
    page = shop.tap().go_to or ""
    secure = shop.standin.pay(page, "pm_card_authenticationRequired").headers["location"]
    for url in (page, secure, shop.standin.url):
        assert "No money moves here" in httpx.get(url, trust_env=False).text


def test_the_page_shows_what_is_paid_and_offers_the_way_back(shop: Shop) -> None:
    """Part, shipping and total, the box to keep the card unticked, the address only where there is none on file."""
    placed = shop.tap()
    html = httpx.get(placed.go_to or "", trust_env=False).text
    for word in ("HEPA filter", "€24.90", "Shipping", "€3.90", "<h1>€28.80</h1>"):
        assert word in html
    assert f'href="https://shop.example.com/orders/{placed.order.number}"' in html
    assert 'name="keep" value="1">' in html
    assert "Ship to" not in html


def test_3d_secure_on_the_page_leads_back_to_it_or_on(shop: Shop) -> None:
    """Refused: the page again, with the reason; confirmed: back to the shop."""
    page = shop.tap().go_to or ""
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        secure = browser.post(page, data={"card": "pm_card_authenticationRequired"})
        refused = browser.post(secure.url, data={"answer": "no"})
    assert page == str(refused.url)
    assert "could not confirm that it is you" in refused.text
    secure_url = shop.standin.pay(page, "pm_card_authenticationRequired").headers["location"]
    back = httpx.post(secure_url, data={"answer": "yes"}, trust_env=False)
    assert back.headers["location"].startswith("https://shop.example.com/orders/WW-")
    assert ["complete"] == [s["status"] for s in shop.standin.sessions()]


def test_a_paid_page_is_closed(shop: Shop) -> None:
    """It can be paid once, and says so after that."""
    page = shop.tap().go_to or ""
    shop.standin.pay(page)
    assert "It was paid already." in shop.standin.pay(page).text
    assert 2880 == shop.standin.held()


def test_names_are_text_on_the_page(shop: Shop) -> None:
    """Markup in a part's name or in an address is shown, not obeyed; and no script could run."""
    shop.sql("update part set name = %s", MARKUP)
    page = shop.guest().go_to or ""
    answer = httpx.post(page, data={"card": "pm_card_visa", "name": MARKUP}, trust_env=False)
    assert MARKUP not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["pay/cs_test_nothing", "secure/pi_nothing"])
def test_an_unknown_page_is_a_404(standin: StandIn, path: str) -> None:
    """Nothing is told about what is not there."""
    assert 404 == httpx.get(f"{standin.url}/{path}", trust_env=False).status_code
