"""Scenarios of commerce.md where an order ends otherwise: cancelled, paid twice, refunded, sold out, for a guest."""

from datetime import datetime, timedelta

import httpx
import pytest

from commerce import orders, parcels
from commerce.attempts import Attempt
from commerce.desk import Placed
from commerce.errors import AlreadyOrdered, CannotPay, NotAllowed, OutOfStock, RefundRefused
from commerce.no_payments import NoPayments
from commerce.orders import Order
from commerce.payments import Ask, Charge, ProviderError
from tests.shop import Shop

GUEST = {"name": "A guest", "line1": "2 Other Street", "postal_code": "20095", "city": "Hamburg", "country": "DE"}


def released(shop: Shop) -> Placed:
    shop.save_card()
    desk = shop.desk()
    placed = shop.tap(desk)
    desk.release(shop.tenant_id, placed.order.order_id)
    return placed


def delivered(shop: Shop) -> Placed:
    """An order that has arrived."""
    placed, desk = released(shop), shop.desk()
    desk.shipped(shop.tenant_id, placed.order.order_id)
    desk.delivered(shop.tenant_id, placed.order.order_id)
    return placed


def test_undoing_inside_the_window_costs_nothing(shop: Shop) -> None:
    """Cancelled before the release: the card holds nothing, nothing was taken, and the part is back in stock."""
    shop.save_card()
    desk = shop.desk()
    placed = shop.tap(desk)
    assert placed.order.updated_at + desk.undo == desk.undo_until(placed.order)
    assert [(4,)] == shop.sql("select stock from offer")
    assert "cancelled" == desk.cancel(shop.tenant_id, placed.order.order_id, "owner").state
    assert (0, 0) == (shop.standin.held(), shop.standin.taken())
    assert [(5,)] == shop.sql("select stock from offer")
    assert ["order_placed", "order_paid", "order_cancelled"] == shop.kinds()
    assert "cancelled" == desk.release(shop.tenant_id, placed.order.order_id).state
    assert 0 == shop.standin.taken()


def test_what_is_released_is_no_longer_cancelled(shop: Shop) -> None:
    """After the release it takes a refund."""
    placed = released(shop)
    with pytest.raises(NotAllowed, match="released"):
        shop.desk().cancel(shop.tenant_id, placed.order.order_id, "owner")
    assert 2880 == shop.standin.taken()


def test_a_release_that_got_no_answer_is_captured_later_once(shop: Shop) -> None:
    """The capture's answer is lost: the money is taken once, and the parcel waits until that is known."""
    shop.save_card()
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.standin.knobs.set({"timeout_after": 1, "hold_s": 4, "path": "/v1/payment_intents"})
    with pytest.raises(Exception, match="not answered"):
        desk.release(shop.tenant_id, placed.order.order_id)
    with pytest.raises(NotAllowed, match="not paid for"):
        desk.shipped(shop.tenant_id, placed.order.order_id)
    desk.resume(shop.tenant_id, timedelta())
    assert "shipped" == desk.shipped(shop.tenant_id, placed.order.order_id).state
    assert 2880 == shop.standin.taken()


def test_a_hold_that_ended_before_the_release_cancels_the_order(shop: Shop) -> None:
    """The bank let the money go meanwhile: nothing is shipped, and the owner is told."""
    shop.save_card()
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.payments.call_off(shop.standin.intents()[0]["id"])
    assert "cancelled" == desk.release(shop.tenant_id, placed.order.order_id).state
    assert "order_cancelled" == shop.kinds()[-1]


def test_s18_of_two_payments_for_one_order_the_second_goes_back(shop: Shop) -> None:
    """S18: the bank's page of the declined first attempt is paid after all, beside the second: one payment stays."""
    shop.save_card("pm_card_authenticationRequired")
    desk = shop.desk()
    placed = shop.tap(desk)
    first = placed.go_to or ""
    shop.sql("update payment set state = 'failed'")
    second = shop.tap(desk, quote=None).go_to or ""
    assert "/pay/" in second
    shop.standin.pay(second)
    httpx.post(first, data={"answer": "yes"}, trust_env=False)
    assert 2 * 2880 == shop.standin.held()
    shop.deliver(desk, shop.standin.events())
    assert 2880 == shop.standin.held()
    assert ["cancelled", "authorised"] == sorted((str(a.state) for a in shop.attempts(placed)), reverse=True)[::-1][
        ::-1
    ]
    desk.release(shop.tenant_id, placed.order.order_id)
    assert (2880, 0) == (shop.standin.taken(), shop.standin.held())


def test_s19_cancelling_closes_the_page(shop: Shop) -> None:
    """S19: the open page expires with the order."""
    desk = shop.desk()
    placed = shop.tap(desk)
    desk.cancel(shop.tenant_id, placed.order.order_id, "owner")
    assert ["expired"] == [s["status"] for s in shop.standin.sessions()]
    with httpx.Client(trust_env=False) as browser:
        assert "This page is closed" in browser.get(placed.go_to or "").text


def test_s19_a_payment_that_comes_after_the_cancellation_goes_back(shop: Shop) -> None:
    """S19: the page could not be closed in time and is paid: what the card holds is let go."""
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.standin.knobs.set({"error_before": 1, "path": "/v1/checkout/sessions"})
    assert "cancelled" == desk.cancel(shop.tenant_id, placed.order.order_id, "owner").state
    shop.standin.pay(placed.go_to or "")
    assert 2880 == shop.standin.held()
    shop.deliver(desk, shop.standin.events())
    assert (0, 0) == (shop.standin.held(), shop.standin.taken())
    assert "cancelled" == shop.order(placed).state


def test_s19_money_that_was_taken_for_a_cancelled_order_is_refunded_once(shop: Shop) -> None:
    """S19: it was even captured, at the provider's own pages: all of it goes back, once, and the ledger says so."""
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.standin.knobs.set({"error_before": 1, "path": "/v1/checkout/sessions"})
    desk.cancel(shop.tenant_id, placed.order.order_id, "owner")
    shop.standin.pay(placed.go_to or "")
    shop.payments.capture(shop.standin.sessions()[0]["id"])
    assert 2880 == shop.standin.taken()
    for _ in range(2):
        desk.resume(shop.tenant_id, timedelta())
        shop.deliver(desk, shop.standin.events())
    assert 0 == shop.standin.taken()
    assert [(2880, "done")] == shop.sql("select amount_minor, state from refund")


def test_s10_part_and_rest_are_refunded_and_the_ledger_balances(shop: Shop) -> None:
    """S10: a part first, then what is left; only then the order is refunded."""
    placed = released(shop)
    desk, order_id = shop.desk(), placed.order.order_id
    assert "released" == desk.refund(shop.tenant_id, order_id, "goodwill", 500).state
    assert "refunded" == desk.refund(shop.tenant_id, order_id, "withdrawal").state
    assert 0 == shop.standin.taken()
    assert [(500,), (2380,)] == shop.sql("select amount_minor from refund order by refund_id")


def test_s20_too_much_or_twice_is_refused_before_the_provider_hears_of_it(shop: Shop) -> None:
    """S20: no refund beyond what is left of the charge reaches the provider."""
    placed = released(shop)
    desk, order_id = shop.desk(), placed.order.order_id
    desk.refund(shop.tenant_id, order_id, "goodwill", 2000)
    asked = len(shop.standin.books.answers)
    with pytest.raises(RefundRefused, match=r"€8\.80"):
        desk.refund(shop.tenant_id, order_id, "goodwill", 881)
    desk.refund(shop.tenant_id, order_id, "goodwill", 880)
    with pytest.raises(RefundRefused):
        desk.refund(shop.tenant_id, order_id, "again")
    assert asked + 1 == len(shop.standin.books.answers)
    assert 0 == shop.standin.taken()


def test_a_refund_without_an_answer_is_asked_again_with_its_key(shop: Shop) -> None:
    """The provider gave it back and its answer was lost: it goes back once."""
    placed = released(shop)
    shop.standin.knobs.set({"timeout_after": 1, "hold_s": 4, "path": "/v1/refunds"})
    with pytest.raises(Exception, match="not answered"):
        shop.desk().refund(shop.tenant_id, placed.order.order_id, "withdrawal")
    shop.desk().resume(shop.tenant_id, timedelta())
    assert "refunded" == shop.order(placed).state
    assert (0, 1) == (shop.standin.taken(), len(list(shop.standin.books.every("refund"))))


def test_s42_the_last_one_is_sold_once_and_the_other_buyer_is_told_before_a_charge(shop: Shop) -> None:
    """S42: both saw one in stock; the second learns so before anything is charged."""
    shop.save_card()
    quote = shop.quote()
    shop.sql("update offer set stock = 0")
    with pytest.raises(OutOfStock, match="Nothing was charged"):
        shop.tap(quote=quote)
    assert ([], []) == (shop.orders(), shop.standin.intents())


def test_s7_a_guest_pays_on_the_page_and_it_ships_to_the_guest(shop: Shop) -> None:
    """S7: nobody is known; the page asks for the address, which only the provider keeps."""
    desk = shop.desk()
    placed = shop.guest(desk)
    assert [] == shop.kinds()
    asked = shop.standin.pay(placed.go_to or "")
    assert "Please say where to ship to." in asked.text
    shop.standin.pay(placed.go_to or "", **GUEST)
    shop.deliver(desk, shop.standin.events())
    order = shop.order(placed)
    assert ("paid", None, None) == (order.state, order.party_id, order.ship_to)
    assert GUEST == desk.address(shop.tenant_id, order.order_id)
    assert ["order_placed", "order_paid"] == shop.kinds()
    stored = shop.sql("select payload::text from provider_event")
    assert stored
    assert not [row for row in stored if "Hamburg" in row[0] or "A guest" in row[0]]


def test_a_guest_who_went_away_does_not_stand_in_the_owners_way(shop: Shop) -> None:
    """An unpaid guest's page is closed when the owner taps; a guest cannot do the same to the owner."""
    desk = shop.desk()
    left = shop.guest(desk)
    placed = shop.tap(desk)
    assert left.order.order_id != placed.order.order_id
    assert "cancelled" == shop.order(left).state
    with pytest.raises(AlreadyOrdered):
        shop.guest(desk)


def test_a_page_nobody_paid_on_ends_with_its_quote(shop: Shop) -> None:
    """The order is given up, and whoever was told of it is told so."""
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.shift += timedelta(hours=26)
    desk.resume(shop.tenant_id)
    assert "cancelled" == shop.order(placed).state
    assert ["order_placed", "order_cancelled"] == shop.kinds()
    assert [(5,)] == shop.sql("select stock from offer")


def test_without_a_provider_nothing_is_ordered_and_it_says_so(shop: Shop) -> None:
    """The null adapter refuses before anything is written."""
    desk = shop.desk(payments=NoPayments())
    assert "Nothing can be ordered here yet" in (desk.closed or "")
    with pytest.raises(Exception, match="no payment provider"):
        shop.tap(desk)
    assert [] == shop.orders()


def test_a_fitted_part_comes_from_the_delivery_else_from_the_cupboard(shop: Shop) -> None:
    """S8: a pack of two is delivered, one is fitted and ends the order, one waits; the next fitting takes that."""
    shop.sql("update part set pack_size = 2")
    placed = released(shop)
    desk, order_id = shop.desk(), placed.order.order_id
    desk.shipped(shop.tenant_id, order_id, "Parcel", "1Z")
    desk.delivered(shop.tenant_id, order_id)
    ended = []
    for _ in range(2):
        with shop.begin(shop.tenant_id) as conn:
            ended.append(desk.fitted(conn, shop.unit_id, shop.slot_id, shop.now()))
    assert ["fitted", None] == [order and str(order.state) for order in ended]
    assert [(0,)] == shop.sql("select count from spare")
    assert ["order_placed", "order_paid", "order_shipped", "order_delivered"] == shop.kinds()


def test_a_part_fitted_while_nobody_said_the_parcel_came_ends_the_order(shop: Shop) -> None:
    """The part can only have come in the parcel."""
    placed = released(shop)
    desk = shop.desk()
    desk.shipped(shop.tenant_id, placed.order.order_id)
    with shop.begin(shop.tenant_id) as conn:
        desk.fitted(conn, shop.unit_id, shop.slot_id, shop.now())
    assert ["created", "paid", "released", "shipped", "delivered", "fitted"] == shop.states(placed)
    assert [(0,)] == shop.sql("select count from spare")


def test_a_part_fitted_before_it_was_ordered_is_no_part_of_the_order(shop: Shop) -> None:
    """A unit that was offline tells late of another part: the delivered one is still at home."""
    placed = delivered(shop)
    desk = shop.desk()
    with shop.begin(shop.tenant_id) as conn:
        assert desk.fitted(conn, shop.unit_id, shop.slot_id, placed.order.created_at - timedelta(days=20)) is None
    assert "delivered" == shop.order(placed).state
    assert [(1,)] == shop.sql("select count from spare")


def test_a_spare_fitted_before_the_next_order_and_told_late_is_no_spare_any_more(shop: Shop) -> None:
    """The cupboard's part went in before the order: what the order brought stays counted, and the other does not."""
    with shop.begin(shop.tenant_id) as conn:
        parcels.add_spares(conn, shop.tenant_id, shop.unit_id, shop.slot_id, 1)
    placed = delivered(shop)
    assert [(2,)] == shop.sql("select count from spare")
    with shop.begin(shop.tenant_id) as conn:
        shop.desk().fitted(conn, shop.unit_id, shop.slot_id, placed.order.created_at - timedelta(days=1))
    assert ("delivered", [(1,)]) == (shop.order(placed).state, shop.sql("select count from spare"))


def test_what_a_guest_bought_is_no_spare_of_the_owners(shop: Shop) -> None:
    """It went to the guest's address: the owner has nothing at home."""
    desk = shop.desk()
    placed = shop.guest(desk)
    shop.standin.pay(placed.go_to or "", **GUEST)
    desk.refresh(shop.tenant_id, placed.order.order_id)
    desk.release(shop.tenant_id, placed.order.order_id)
    desk.shipped(shop.tenant_id, placed.order.order_id)
    assert "delivered" == desk.delivered(shop.tenant_id, placed.order.order_id).state
    assert [] == shop.sql("select from spare where count > 0")


@pytest.mark.parametrize("fitted", [False, True])
def test_what_was_refunded_in_full_is_no_spare_any_more(shop: Shop, *, fitted: bool) -> None:
    """A pack of two goes back, or the one of it that is not fitted; what was at home before stays."""
    shop.sql("update part set pack_size = 2")
    with shop.begin(shop.tenant_id) as conn:
        parcels.add_spares(conn, shop.tenant_id, shop.unit_id, shop.slot_id, 1)
    placed = delivered(shop)
    desk, order_id = shop.desk(), placed.order.order_id
    if fitted:
        with shop.begin(shop.tenant_id) as conn:
            desk.fitted(conn, shop.unit_id, shop.slot_id, shop.now())
    desk.refund(shop.tenant_id, order_id, "goodwill", 500)
    assert [(3 - fitted,)] == shop.sql("select count from spare")
    assert "refunded" == desk.refund(shop.tenant_id, order_id, "withdrawal").state
    assert [(1,)] == shop.sql("select count from spare")


def test_a_paid_order_whose_release_was_lost_is_released(shop: Shop) -> None:
    """No hold on a card runs out because a job went missing: an hour after the undo window it is released anyway."""
    shop.save_card()
    placed, desk = shop.tap(), shop.desk()
    shop.shift += timedelta(minutes=80)
    desk.resume(shop.tenant_id)
    assert "paid" == shop.order(placed).state
    shop.shift += timedelta(minutes=20)
    desk.resume(shop.tenant_id)
    assert ("released", placed.order.total_minor) == (shop.order(placed).state, shop.standin.taken())


def test_one_order_that_cannot_be_worked_on_keeps_no_other_from_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong with the first is raised when everything else was resumed."""
    desk, first = shop.desk(), shop.tap()
    shop.sql("update purchase set state = 'fitted'")  # out of the way of the second
    shop.sql("update offer set price_minor = 2500")
    second = shop.tap(desk)
    shop.sql("update payment set state = 'indeterminate', provider_id = null")
    look = shop.payments.find

    def broken(ask: Ask, since: datetime) -> Charge | None:
        if ask.order_id == first.order.order_id:
            raise RuntimeError("out of order")
        return look(ask, since)

    monkeypatch.setattr(shop.payments, "find", broken)
    shop.shift += timedelta(minutes=5)
    with pytest.raises(ExceptionGroup, match="1 open payments"):
        desk.resume(shop.tenant_id)
    assert ["indeterminate", "requires_action"] == [shop.attempts(p)[0].state for p in (first, second)]


def test_abandoned_orders_are_given_up_oldest_first(shop: Shop) -> None:
    """However many unpaid orders are younger, the oldest have their turn."""
    placed = shop.tap()
    shop.shift += timedelta(hours=26)
    shop.sql("update payment set state = 'failed'")
    with shop.begin(shop.tenant_id) as conn:
        assert [placed.order.order_id] == orders.abandoned(conn, shop.tenant_id, shop.wall() - timedelta(hours=1))
        assert [] == orders.abandoned(conn, shop.tenant_id, shop.wall() - timedelta(hours=3))


def test_a_payment_page_is_shown_to_the_person_it_was_opened_for_only(shop: Shop) -> None:
    """It knows that person's card, and ships to their address: somebody else's tap closes it and opens their own."""
    first = shop.tap()
    (party_id,) = shop.sql(
        "insert into party (tenant_id, email, created_at) values (%s, 'second@example.com', %s) returning party_id",
        shop.tenant_id,
        shop.now(),
    )[0]
    second = shop.tap(party_id=party_id, site_id=None, email="second@example.com")
    assert first.go_to != second.go_to
    assert ("cancelled", party_id) == (shop.order(first).state, second.order.party_id)


def test_a_refund_that_the_provider_refused_is_not_taken_for_done(shop: Shop) -> None:
    """The ledger keeps the refusal, the order stays as it was, and the amount may be asked for again."""
    placed = released(shop)
    shop.sql("update payment set provider_id = 'pi_nothing'")
    with pytest.raises(CannotPay):
        shop.desk().refund(shop.tenant_id, placed.order.order_id, "withdrawal")
    shop.sql("update payment set provider_id = %s", shop.standin.intents()[0]["id"])
    assert "released" == shop.order(placed).state
    assert "refunded" == shop.desk().refund(shop.tenant_id, placed.order.order_id, "withdrawal").state
    assert [("failed",), ("done",)] == shop.sql("select state from refund order by refund_id")
    assert 0 == shop.standin.taken()


def test_a_page_that_was_closed_and_paid_all_the_same_gives_the_money_back(shop: Shop) -> None:
    """The provider said expired, and then that the card holds the money: it is let go, if need be later."""
    desk = shop.desk()
    placed = shop.tap(desk)
    desk.cancel(shop.tenant_id, placed.order.order_id, "owner")
    session = shop.standin.sessions()[0]
    session["status"] = "open"
    shop.standin.pay(placed.go_to or "")
    shop.standin.knobs.set({"error_before": 1, "path": "/v1/payment_intents"})
    shop.deliver(desk, shop.standin.events()[-1:])
    assert (2880, ["indeterminate"]) == (shop.standin.held(), [a.state for a in shop.attempts(placed)])
    desk.resume(shop.tenant_id, timedelta())
    assert (0, ["cancelled"]) == (shop.standin.held(), [a.state for a in shop.attempts(placed)])


def test_a_page_that_ran_out_is_no_order(shop: Shop) -> None:
    """The owner comes back after the page closed: the next tap opens a page of its own."""
    desk, quote = shop.desk(), shop.quote()
    shop.tap(desk, quote)
    shop.payments._client.v1.checkout.sessions.expire(shop.standin.sessions()[0]["id"])
    again = shop.tap(desk, quote)
    assert again.go_to is not None
    assert ["paying", "cancelled"] == [o.state for o in shop.orders()]


def test_what_was_refunded_can_be_ordered_again(shop: Shop) -> None:
    """A refunded order stands in nobody's way, though its quote still lives."""
    placed = released(shop)
    desk = shop.desk()
    desk.refund(shop.tenant_id, placed.order.order_id, "sent back")
    again = shop.tap(desk)
    assert ("paid", False) == (again.order.state, again.again)


def test_cancelled_while_the_bank_is_asked_it_is_not_ordered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner cancels in another tab: the tap is told so, the card holds nothing."""
    shop.save_card()
    desk, ask = shop.desk(), shop.payments.ask

    def cancelled_first(asked: Ask) -> Charge:
        desk.cancel(shop.tenant_id, asked.order_id, "owner")
        return ask(asked)

    monkeypatch.setattr(shop.payments, "ask", cancelled_first)
    placed = shop.tap(desk)
    assert ("cancelled", False, None) == (placed.order.state, placed.order.paid, placed.go_to)
    assert 0 == shop.standin.held()


def test_no_page_is_opened_for_an_order_that_was_cancelled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is declined, and cancelled in another tab before the page opens: nobody can pay for it any more."""
    shop.save_card("pm_card_chargeCustomerFail")
    desk = shop.desk()
    declined = desk._till.declined

    def cancelled_then(attempt: Attempt, error: ProviderError, cause: str) -> Order:
        order = declined(attempt, error, cause)
        desk.cancel(shop.tenant_id, order.order_id, "owner")
        return order

    monkeypatch.setattr(desk._till, "declined", cancelled_then)
    placed = shop.tap(desk)
    assert ("cancelled", None, []) == (placed.order.state, placed.go_to, shop.standin.sessions())


def test_an_order_keeps_the_part_that_was_shown(shop: Shop) -> None:
    """The catalogue is edited after the tap: the order's name and the spares that it brings stay what they were."""
    shop.sql("update part set pack_size = 2")
    placed = released(shop)
    shop.sql("update part set pack_size = 1, name = 'Carbon filter'")
    desk = shop.desk()
    desk.shipped(shop.tenant_id, placed.order.order_id)
    assert "HEPA filter" == desk.delivered(shop.tenant_id, placed.order.order_id).part_name
    assert [(2,)] == shop.sql("select count from spare")


def test_a_guest_holds_a_part_for_half_an_hour(shop: Shop) -> None:
    """Their page closes after the shortest time that the provider allows, and the part is back in stock."""
    desk = shop.desk()
    placed = shop.guest(desk)
    shop.shift += timedelta(minutes=32)
    desk.resume(shop.tenant_id)
    assert ("cancelled", [(5,)]) == (shop.order(placed).state, shop.sql("select stock from offer"))
