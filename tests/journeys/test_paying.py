"""Scenarios of commerce.md around paying: real HTTP, the real SDK, a real database."""

from datetime import timedelta

import httpx

from tests.shop import HOME, Shop


def test_s2_one_tap_with_a_saved_card_pays_once_what_was_shown(shop: Shop) -> None:
    """S2: one intent, its amount the one shown, nothing taken before the release, everything told once."""
    shop.save_card()
    desk, quote = shop.desk(), shop.quote()
    placed = shop.tap(desk, quote)
    assert ("paid", None) == (placed.order.state, placed.go_to)
    (intent,) = shop.standin.intents()
    assert (quote.total_minor, "eur", "requires_capture") == (intent["amount"], intent["currency"], intent["status"])
    assert (0, 2880) == (shop.standin.taken(), shop.standin.held())
    released = desk.release(shop.tenant_id, placed.order.order_id)
    assert "released" == desk.release(shop.tenant_id, released.order_id).state
    assert (2880, 0) == (shop.standin.taken(), shop.standin.held())
    assert ["created", "paid", "released"] == shop.states(placed)
    assert ["order_placed", "order_paid"] == shop.kinds()
    assert ["captured"] == [a.state for a in shop.attempts(placed)]


def test_s3_the_first_order_keeps_the_card_with_consent_and_the_next_needs_one_tap(shop: Shop) -> None:
    """S3: no card, so the hosted page; the box is ticked there, so the next order is paid by the tap."""
    desk = shop.desk()
    placed = shop.tap(desk)
    assert placed.go_to is not None
    assert "paying" == placed.order.state
    back = shop.standin.pay(placed.go_to, keep="1")
    assert f"https://shop.example.com/orders/{placed.order.number}" == back.headers["location"]
    shop.deliver(desk, shop.standin.events())
    assert "paid" == shop.order(placed).state
    assert ["Visa ••4242"] == [e.card_kept for e in shop.told if e.type == "order_paid"]
    desk.release(shop.tenant_id, placed.order.order_id)
    desk.shipped(shop.tenant_id, placed.order.order_id, "Parcel", "1Z")
    desk.delivered(shop.tenant_id, placed.order.order_id)
    with shop.begin(shop.tenant_id) as conn:
        fitted = desk.fitted(conn, shop.unit_id, shop.slot_id, shop.now())
    assert fitted is not None
    assert "fitted" == fitted.state
    shop.shift += timedelta(days=2)
    second = shop.tap(desk)
    assert ("paid", None, False) == (second.order.state, second.go_to, second.again)


def test_s3_without_consent_the_card_is_not_kept(shop: Shop) -> None:
    """S3: the box is left alone, so the next order goes through the page again."""
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.standin.pay(placed.go_to or "")
    desk.refresh(shop.tenant_id, placed.order.order_id)
    assert "paid" == shop.order(placed).state
    assert [(None, None)] == shop.sql("select payment_method, card from customer")


def test_s4_a_tap_that_meets_3d_secure_goes_on_there_with_the_same_intent(shop: Shop) -> None:
    """S4: the redirect leads to the bank, and the same intent is paid."""
    shop.save_card("pm_card_authenticationRequired")
    desk = shop.desk()
    placed = shop.tap(desk)
    assert placed.go_to is not None
    assert "/secure/" in placed.go_to
    back = httpx.post(placed.go_to, data={"answer": "yes"}, trust_env=False)
    assert back.headers["location"].startswith(f"https://shop.example.com/orders/{placed.order.number}")
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    assert 1 == len(shop.standin.intents())


def test_3d_secure_refused_leads_to_the_payment_page(shop: Shop) -> None:
    """S4, S31: the bank says no; the next tap opens the page for another card, on the same order."""
    shop.save_card("pm_card_authenticationRequired")
    desk = shop.desk()
    placed = shop.tap(desk)
    httpx.post(placed.go_to or "", data={"answer": "no"}, trust_env=False)
    assert "paying" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    again = shop.tap(desk)
    assert again.order.order_id == placed.order.order_id
    assert again.note is not None
    assert "another card" in again.note
    shop.standin.pay(again.go_to or "")
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    assert 2880 == shop.standin.held()


def test_s31_a_declined_card_says_why_and_opens_the_page(shop: Shop) -> None:
    """S31: the saved card has no funds: the owner reads so, and pays on the page with another."""
    shop.save_card("pm_card_chargeDeclinedInsufficientFunds")
    desk = shop.desk()
    placed = shop.tap(desk)
    assert "Your card has insufficient funds." == placed.note
    assert placed.go_to is not None
    assert ["failed", "requires_action"] == [a.state for a in shop.attempts(placed)]
    declined = shop.standin.pay(placed.go_to, "pm_card_chargeDeclined")
    assert "Your card was declined." in declined.text
    shop.standin.pay(placed.go_to)
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state


def test_s31_a_card_that_is_gone_is_forgotten_and_the_page_takes_another(shop: Shop) -> None:
    """S31: detached at the provider; the tap opens the page, and the next one does not try that card again."""
    card = shop.save_card()
    shop.payments._client.v1.payment_methods.detach(card)
    desk = shop.desk()
    placed = shop.tap(desk)
    assert "The card you kept is no longer there." == placed.note
    shop.standin.pay(placed.go_to or "")
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    assert [(None, None)] == shop.sql("select payment_method, card from customer")


def test_s31_a_card_that_was_saved_and_pays_no_more_is_asked_once_for_each_order(shop: Shop) -> None:
    """S31: bounded: one attempt with the saved card, then the page."""
    desk = shop.desk()
    shop.standin.pay(shop.tap(desk).go_to or "", "pm_card_chargeCustomerFail", keep="1")
    shop.deliver(desk, shop.standin.events())
    desk.cancel(shop.tenant_id, shop.orders()[0].order_id, "owner")
    placed = shop.tap(desk)
    assert "Your card was declined." == placed.note
    assert placed.go_to == shop.tap(desk).go_to
    assert ["failed", "requires_action"] == [a.state for a in shop.attempts(placed)]


def test_a_saved_card_alone_says_not_where_to_ship_to(shop: Shop) -> None:
    """No address is on file: the page asks for it, so nothing is ever paid that cannot be sent."""
    shop.save_card()
    placed = shop.tap(site_id=None)
    assert "Please say where to ship to." in shop.standin.pay(placed.go_to or "").text
    shop.standin.pay(placed.go_to or "", **HOME)
    desk = shop.desk()
    assert "paid" == desk.refresh(shop.tenant_id, placed.order.order_id).state
    assert HOME == desk.address(shop.tenant_id, placed.order.order_id)
