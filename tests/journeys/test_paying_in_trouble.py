"""Scenarios of commerce.md where something breaks between the tap and the money."""

import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from commerce.errors import AlreadyOrdered, QuoteExpired
from commerce.payments import Ask, Charge, ProviderError, Trouble
from commerce.stripe_payments import StripePayments
from tests.shop import Shop

SOON = timedelta()


def test_s11_two_taps_at_once_on_two_workers_are_one_order(shop: Shop) -> None:
    """S11: eight taps at the same moment: one order, one intent, and everyone is shown the same."""
    shop.save_card()
    quote, placed = shop.quote(), []
    gate = threading.Barrier(8)

    def tap() -> None:
        desk = shop.desk()
        gate.wait()
        placed.append(shop.tap(desk, quote))

    threads = [threading.Thread(target=tap) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len({p.order.order_id for p in placed})
    assert 7 == sum(p.again for p in placed)
    assert 1 == len(shop.standin.intents())
    assert 2880 == shop.standin.held()
    assert ["order_placed", "order_paid"] == shop.kinds()


def test_s11_a_double_tap_without_a_card_leads_both_to_the_same_page(shop: Shop) -> None:
    """S11: the second tap waits for the first one's page and is led to it."""
    quote = shop.quote()
    desk = shop.desk()
    assert shop.tap(desk, quote).go_to == shop.tap(shop.desk(), quote).go_to
    assert 1 == len(shop.standin.sessions())


def test_s12_two_people_of_a_household_order_once(shop: Shop) -> None:
    """S12: the second person is shown the first one's order."""
    shop.save_card()
    with shop.begin(shop.tenant_id) as conn:
        row = conn.execute(
            "insert into party (tenant_id, email, created_at) values (%s, 'second@example.com', %s) returning party_id",
            (shop.tenant_id, shop.now()),
        ).fetchone()
    assert row is not None
    first = shop.tap()
    second = shop.tap(party_id=row[0], email="second@example.com")
    assert (True, first.order.order_id) == (second.again, second.order.order_id)
    assert 1 == len(shop.standin.intents())


def test_s13_a_timeout_after_the_charge_is_asked_again_with_the_same_key(shop: Shop) -> None:
    """S13: the provider acts and its answer is lost; the same key finds the one charge."""
    shop.save_card()
    shop.standin.knobs.set({"timeout_after": 1, "hold_s": 4, "path": "/v1/payment_intents"})
    desk = shop.desk()
    placed = shop.tap(desk)
    assert ("paying", None) == (placed.order.state, placed.go_to)
    assert "Nothing will be charged twice" in (placed.note or "")
    assert ["indeterminate"] == [a.state for a in shop.attempts(placed)]
    assert 1 == desk.resume(shop.tenant_id, SOON)
    assert "paid" == shop.order(placed).state
    assert (1, 2880) == (len(shop.standin.intents()), shop.standin.held())
    assert 1 == len(shop.attempts(placed))


def test_s13_tapping_again_while_nobody_knows_charges_nothing_anew(shop: Shop) -> None:
    """S13: the owner taps again, with another price by now; the first tap's charge is found instead."""
    shop.save_card()
    shop.standin.knobs.set({"timeout_after": 1, "hold_s": 4, "path": "/v1/payment_intents"})
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.sql("update offer set price_minor = 2990")
    again = shop.tap(desk)
    assert (True, "paid", placed.order.order_id) == (again.again, again.order.state, again.order.order_id)
    assert (1, 2880) == (len(shop.standin.intents()), shop.standin.held())


@pytest.mark.parametrize("card", [True, False], ids=["saved card", "payment page"])
def test_s14_a_crash_between_the_charge_and_its_record_is_found_again(shop: Shop, card: bool) -> None:
    """S14: the process dies after the provider answered; another one finds the payment, and the order goes on."""
    if card:
        shop.save_card()
    quote = shop.quote()
    with pytest.raises(ConnectionError):
        shop.tap(shop.desk(payments=Dies(shop.payments)), quote)
    (order,) = shop.orders()
    assert "created" == order.state
    assert 1 == shop.desk().resume(shop.tenant_id, SOON)
    again = shop.tap(shop.desk(), quote)
    assert (True, "paid" if card else "paying") == (again.again, again.order.state)
    if again.go_to:
        shop.standin.pay(again.go_to)
        assert "paid" == shop.desk().refresh(shop.tenant_id, order.order_id).state
    assert (1, 2880) == (len(shop.standin.intents()), shop.standin.held())


def test_s14_a_crash_before_the_call_is_made_up_for_with_the_stored_key(shop: Shop) -> None:
    """S14: the key was stored and the provider never called: the same question is asked, under that key."""
    shop.save_card()
    with pytest.raises(ConnectionError):
        shop.tap(shop.desk(payments=Dies(shop.payments, before=True)))
    assert [] == shop.standin.intents()
    shop.desk().resume(shop.tenant_id, SOON)
    (order,) = shop.orders()
    assert "paid" == order.state
    assert [f"{order.number}:1"] == [i["metadata"]["key"] for i in shop.standin.intents()]


@pytest.mark.parametrize("knob", ["error_after", "error_before"])
def test_s15_a_500_is_neither_yes_nor_no_and_never_gets_a_new_key(shop: Shop, knob: str) -> None:
    """S15: the stored 500 is replayed for ever; what was charged is found in the provider's list, else nothing was."""
    shop.save_card()
    shop.standin.knobs.set({knob: 1, "path": "/v1/payment_intents"})
    desk = shop.desk()
    placed = shop.tap(desk)
    assert ["indeterminate"] == [a.state for a in shop.attempts(placed)]
    for _ in range(3):
        desk.resume(shop.tenant_id, SOON)
    happened = knob == "error_after"
    assert ("paid" if happened else "paying") == shop.order(placed).state
    assert (2880 if happened else 0) == shop.standin.held()
    shop.shift += timedelta(days=1)
    desk.resume(shop.tenant_id, SOON)
    assert ("released" if happened else "cancelled") == shop.order(placed).state
    assert 1 == len(shop.attempts(placed))


def test_s15_what_no_answer_came_for_is_settled_by_its_webhook(shop: Shop) -> None:
    """S15: the event names the key, and the order goes on without anybody asking again."""
    shop.save_card()
    shop.standin.knobs.set({"error_after": 1, "path": "/v1/payment_intents"})
    desk = shop.desk()
    placed = shop.tap(desk)
    shop.deliver(desk, shop.standin.events())
    assert "paid" == shop.order(placed).state


def test_s16_a_key_that_is_used_for_another_amount_charges_nothing(shop: Shop) -> None:
    """S16: the provider refuses the key, and says so."""
    shop.save_card()
    placed = shop.tap()
    ask = shop.attempts(placed)[0].ask
    other = {**{f: getattr(ask, f) for f in Ask.__slots__}, "amount_minor": ask.amount_minor + 100}
    with pytest.raises(ProviderError, match="another amount") as refused:
        shop.payments.ask(Ask(**other))
    assert Trouble.REFUSED is refused.value.trouble
    assert (1, 2880) == (len(shop.standin.intents()), shop.standin.held())


def test_s16_the_database_refuses_to_charge_what_was_not_shown(shop: Shop) -> None:
    """Charged is shown: neither an order nor an attempt can name another amount, and a quote never changes."""
    placed = shop.tap()
    order = placed.order.order_id
    for query in (
        "update purchase set total_minor = total_minor + 1 where order_id = %s",
        "update payment set amount_minor = 1 where order_id = %s",
        "update payment set currency = 'USD' where order_id = %s",
    ):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            shop.sql(query, order)
    with pytest.raises(psycopg.errors.RaiseException, match="immutable"):
        shop.sql("update quote set total_minor = 1 where quote_id = %s", placed.order.quote_id)


def test_s17_a_live_quote_is_honoured_after_the_price_moved(shop: Shop) -> None:
    """S17: what was shown is charged while the quote lives; a new look shows the new price."""
    shop.save_card()
    quote = shop.quote()
    shop.sql("update offer set price_minor = 2990")
    assert 3380 == shop.quote().total_minor
    shop.tap(quote=quote)
    assert 2880 == shop.standin.held()


def test_s17_an_expired_quote_charges_nothing(shop: Shop) -> None:
    """S17: nothing is placed and nothing charged; the new quote says the price of now."""
    shop.save_card()
    quote = shop.quote()
    shop.sql("update offer set price_minor = 2990")
    shop.shift += timedelta(hours=25)
    with pytest.raises(QuoteExpired):
        shop.tap(quote=quote)
    assert ([], []) == (shop.orders(), shop.standin.intents())
    assert 3380 == shop.quote().total_minor


class Dies(StripePayments):
    """A provider whose caller dies at the call, before or after it was made."""

    def __init__(self, payments: StripePayments, *, before: bool = False) -> None:
        self.__dict__.update(payments.__dict__)
        self._before = before

    def ask(self, ask: Ask) -> Any:
        if not self._before:
            super().ask(ask)
        raise ConnectionError("the process ends here")


def test_payments_that_the_provider_does_not_know_keep_no_other_from_being_found(shop: Shop) -> None:
    """A hundred attempts that nobody can look up are older: the one that was paid is found at the next look."""
    shop.save_card()
    dead = shop.tap()
    shop.sql(
        """insert into payment (tenant_id, order_id, attempt, key, request, amount_minor, currency, provider_id, kind,
                                state, created_at, updated_at)
           select tenant_id, order_id, n, 'dead:' || n, request, amount_minor, currency, 'cs_gone' || n, kind,
                  'requires_action', created_at - interval '3 days', updated_at - interval '3 days'
           from payment, generate_series(2, 101) n where attempt = 1"""
    )
    shop.desk().cancel(shop.tenant_id, dead.order.order_id, "owner")
    with pytest.raises(ConnectionError):
        shop.tap(shop.desk(payments=Dies(shop.payments)))
    for _ in range(2):
        shop.shift += timedelta(minutes=5)
        shop.desk().resume(shop.tenant_id)
    assert ["paid", "cancelled"] == [o.state for o in shop.orders()]


def test_what_never_arrived_and_is_refused_by_now_is_offered_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider was away until the page could open for too short a time only: the next tap opens another one."""
    desk, quote = shop.desk(), shop.quote(lifetime=timedelta(minutes=61))

    def away(asked: Ask) -> Charge:
        raise ProviderError(Trouble.INDETERMINATE, "No answer.")

    with monkeypatch.context() as patched:
        patched.setattr(shop.payments, "ask", away)
        placed = shop.tap(desk, quote)
    assert placed.go_to is None
    shop.shift += timedelta(minutes=40)
    desk.resume(shop.tenant_id)
    assert ["failed"] == [a.state for a in shop.attempts(placed)]
    assert shop.tap(desk).go_to is not None


def test_an_owner_whom_the_provider_forgot_pays_on_its_page(shop: Shop) -> None:
    """Their customer was deleted there: a new one is made, and the page asks for a card."""
    shop.save_card()
    ((gone,),) = shop.sql("select provider_id from customer")
    del shop.standin.books.things[gone]
    placed = shop.tap()
    assert placed.go_to is not None
    ((known, card),) = shop.sql("select provider_id, payment_method from customer")
    assert known != gone
    assert card is None
    shop.standin.pay(placed.go_to, keep="1")
    assert "paid" == shop.desk().refresh(shop.tenant_id, placed.order.order_id).state


def test_what_a_forgotten_customer_paid_is_not_asked_for_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was lost, then the customer deleted: that nothing is listed under it says nothing about the money."""
    shop.save_card()
    with pytest.raises(ConnectionError):
        shop.tap(shop.desk(payments=Dies(shop.payments)))

    def gone(asked: Ask, since: datetime) -> Charge | None:
        raise ProviderError(Trouble.CUSTOMER_GONE, "The payment provider no longer knows your card.")

    with monkeypatch.context() as patched:
        patched.setattr(shop.payments, "find", gone)
        shop.desk().resume(shop.tenant_id, SOON)
    assert [("created",)] == shop.sql("select state from payment")
    shop.desk().resume(shop.tenant_id, SOON)
    assert ["paid"] == [order.state for order in shop.orders()]


def test_nobody_is_told_of_a_strangers_order_as_theirs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody knows whether a guest's page was opened, its owner's tap orders nothing, and says so."""
    desk = shop.desk()

    def away(asked: Ask) -> Charge:
        raise ProviderError(Trouble.INDETERMINATE, "No answer.")

    monkeypatch.setattr(shop.payments, "ask", away)
    shop.guest(desk)
    with pytest.raises(AlreadyOrdered, match="by somebody else"):
        shop.tap(desk)
