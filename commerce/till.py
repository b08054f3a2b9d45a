"""The till: every exchange with the payment provider, so that a crash at any point is found again.

Each exchange has three parts: a transaction that stores what will be asked and its key, the call outside any
transaction, and a transaction that records the answer. What the second one is missing, `poll` finds.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from commerce import attempts, customers, orders, parcels, refunds
from commerce.attempts import Attempt
from commerce.errors import CannotPay, NotAllowed, Unsettled
from commerce.order_events import OrderEvent, about
from commerce.orders import Order, State
from commerce.payments import Charge, Payments, ProviderError, Standing, Trouble

Begin = Callable[[int], AbstractContextManager[psycopg.Connection[Any]]]
Tell = Callable[[psycopg.Connection[Any], OrderEvent], None]
Clock = Callable[[], datetime]

DECLINES = frozenset({Trouble.DECLINED, Trouble.CARD_GONE, Trouble.CUSTOMER_GONE})  # another attempt may pay
NEVER_ARRIVED = "The payment provider never heard of it."
GIVEN_BACK = "Given back in full."


class Till:
    """Exchanges with the provider; `begin` opens one transaction for a tenant, `tell` records an event in it."""

    def __init__(self, payments: Payments, begin: Begin, tell: Tell, now: Clock, wall: Clock) -> None:
        self.payments = payments
        self.begin = begin
        self.tell = tell
        self.now = now
        self.wall = wall

    def poll(self, attempt: Attempt, cause: str, hint: str | None = None) -> Order:
        """Ask the provider how an attempt stands, and act on it; asks again under the same key where it never heard it.

        `hint` is where a webhook says that the attempt is. A provider that does not answer changes nothing.
        """
        try:
            charge = self._truth(attempt, hint)
        except ProviderError as error:
            if error.trouble in DECLINES:
                return self.declined(attempt, error, cause)
            return self.order(attempt)
        if charge is None:
            return self._never_arrived(attempt, cause)
        if charge.key != attempt.key:  # somebody else's: nothing of it is ours to act on
            return self.order(attempt)
        return self.settle(attempt, charge, cause)

    def settle(self, attempt: Attempt, charge: Charge, cause: str) -> Order:
        """Record how an attempt stands and move its order; money that is not owed goes back at once."""
        with self.begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            attempt = attempts.by_key(conn, attempt.key)
            surplus = _surplus(conn, order, attempt, charge)
            if surplus:  # unclear until it went back, so that a crash in between is found again
                attempts.found_at(conn, attempt, charge.provider_id, self.wall())
                if attempt.state in (Standing.CANCELLED, Standing.EXPIRED):
                    attempts.mark(conn, attempt, Standing.INDETERMINATE, self.wall())
            elif attempt.state not in attempts.OVER:
                self._advance(conn, order, attempt, charge, cause)
        if surplus:
            self.give_back(attempt, charge, cause)
        return self.order(attempt)

    def declined(self, attempt: Attempt, error: ProviderError, cause: str) -> Order:
        """Record that this card does not pay; the order waits for another one."""
        with self.begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            if error.charge is not None:
                attempts.found_at(conn, attempt, error.charge.provider_id, self.wall())
            attempts.mark(conn, attempt, Standing.FAILED, self.wall(), str(error))
            if error.trouble is Trouble.CARD_GONE and order.party_id is not None:
                customers.forget_card(conn, order.party_id, attempt.ask.payment_method)
            if error.trouble is Trouble.CUSTOMER_GONE and order.party_id is not None:
                customers.forget(conn, order.party_id, attempt.ask.customer)
            if order.state is State.CREATED:
                orders.advance(conn, order.order_id, State.PAYING, self.now(), cause)
        return self.order(attempt)

    def unclear(self, attempt: Attempt, cause: str) -> Order:
        """Record that nobody knows whether the provider acted; only the same key will ask again."""
        with self.begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            if attempts.by_key(conn, attempt.key).state is Standing.CREATED:
                attempts.mark(conn, attempt, Standing.INDETERMINATE, self.wall())
            if order.state is State.CREATED:
                orders.advance(conn, order.order_id, State.PAYING, self.now(), cause)
        return self.order(attempt)

    def cancel(self, tenant_id: int, order_id: int, cause: str) -> Order:
        """Cancel an order that is not released yet, and let go of what is held; raises NotAllowed afterwards."""
        with self.begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state is not State.CANCELLED:
                if order.state not in (State.CREATED, State.PAYING, State.PAID):
                    raise NotAllowed(f"Order {order.number} is {order.state} and can no longer be cancelled.")
                order = self.end(conn, order, cause)
            live = [a for a in attempts.of_order(conn, order_id) if a.pending or a.state is Standing.AUTHORISED]
        for attempt in live:
            self.call_off(attempt, cause)
        return order

    def capture(self, held: Attempt) -> Order:
        """Take what is held for a released order; cancels the order when the card no longer holds it.

        Raises Unsettled when the provider gave no answer, and CannotPay when it refused though the card holds it.
        """
        try:
            charge = self.payments.capture(held.provider_id or "")
        except ProviderError as error:
            if error.trouble is Trouble.INDETERMINATE:
                raise Unsettled(str(error)) from error
            order = self.poll(held, "capture refused")
            with self.begin(held.tenant_id) as conn:
                held = attempts.by_key(conn, held.key)
            if held.state is Standing.AUTHORISED:
                raise CannotPay(str(error)) from error
            return order
        at = held.provider_id or charge.provider_id  # the page, which alone knows the address, not its intent
        return self.settle(held, replace(charge, provider_id=at), "capture")

    def call_off(self, attempt: Attempt, cause: str) -> None:
        """Close the page or let go of the money of an order that ended; what fails now is found again later."""
        try:
            where = attempt.provider_id
            if where is None:
                found = self.payments.find(attempt.ask, attempt.created_at)
                if found is None:
                    self._never_arrived(attempt, cause)
                    return
                where = found.provider_id
            charge = self.payments.call_off(where)
        except ProviderError:
            return
        self.settle(attempt, charge, cause)

    def give_back(self, attempt: Attempt, charge: Charge, cause: str) -> None:
        """Let go of, or refund, money that nobody owes; what fails now is found again later."""
        try:
            if charge.state is Standing.AUTHORISED:
                charge = self.payments.call_off(charge.provider_id)
            if charge.state is Standing.CAPTURED:
                self.refund(attempt, charge.amount_minor, charge.amount_minor, key=f"{attempt.key}:back", cause=cause)
            elif charge.state is not Standing.CANCELLED:
                return
        except ProviderError:
            return
        with self.begin(attempt.tenant_id) as conn:
            attempts.mark(conn, attempt, Standing.CANCELLED, self.wall(), GIVEN_BACK)

    def refund(self, attempt: Attempt, amount_minor: int, charged_minor: int, *, key: str, cause: str) -> None:
        """Write a refund into the ledger, ask for it, and record the answer.

        Raises RefundRefused before the provider hears of it, and ProviderError.
        """
        with self.begin(attempt.tenant_id) as conn:
            orders.lock(conn, attempt.order_id)
            refund = refunds.store(
                conn, attempt, amount_minor, charged_minor=charged_minor, key=key, cause=cause, wall=self.wall()
            )
            where = attempts.by_key(conn, attempt.key).provider_id or ""
        if refund.state == "done":
            return
        try:
            provider_id = self.payments.refund(where, refund.amount_minor, attempt.currency, refund.key)
        except ProviderError as error:
            if error.trouble is not Trouble.INDETERMINATE:
                with self.begin(attempt.tenant_id) as conn:
                    refunds.failed(conn, refund, str(error), self.wall())
            raise
        with self.begin(attempt.tenant_id) as conn:
            refunds.done(conn, refund, provider_id, self.wall())

    def end_if_all_went_back(self, attempt: Attempt, cause: str) -> Order:
        """End an order when its whole charge went back."""
        with self.begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            whole = refunds.total(conn, attempt.payment_id) == attempt.amount_minor
            if whole and order.state in orders.REFUNDABLE:
                parcels.go_back(conn, order)
                order = orders.advance(conn, order.order_id, State.REFUNDED, self.now(), cause)
            return order

    def end(self, conn: psycopg.Connection[Any], order: Order, cause: str) -> Order:
        """Cancel an order that the caller holds, and tell it to whoever was told that it was placed."""
        ended = orders.advance(conn, order.order_id, State.CANCELLED, self.now(), cause)
        if order.party_id is not None or not order.unpaid:
            self.tell(conn, about(ended, "order_cancelled", ended.updated_at))
        return ended

    def _truth(self, attempt: Attempt, hint: str | None) -> Charge | None:
        if attempt.provider_id:
            return self.payments.look(attempt.provider_id)
        if hint and hint.startswith("cs_" if attempt.kind == "checkout" else "pi_"):
            return self.payments.look(hint)
        found = self._find(attempt)
        wanted = self.order(attempt).unpaid and self.wall() - attempt.created_at < attempts.KEY_LIFE
        return found or (self._ask_again(attempt) if wanted else None)

    def _find(self, attempt: Attempt) -> Charge | None:
        """Look for what an attempt may have made; that its customer is gone says nothing about the money."""
        try:
            return self.payments.find(attempt.ask, attempt.created_at)
        except ProviderError as error:
            if error.trouble is Trouble.CUSTOMER_GONE:
                raise ProviderError(Trouble.INDETERMINATE, str(error)) from error
            raise

    def _ask_again(self, attempt: Attempt) -> Charge:
        """Ask once more, under its key, for what never arrived: refused now, it exists nowhere and has failed."""
        try:
            return self.payments.ask(attempt.ask)
        except ProviderError as error:
            if error.trouble is Trouble.REFUSED:
                raise ProviderError(Trouble.DECLINED, str(error)) from error
            raise

    def _never_arrived(self, attempt: Attempt, cause: str) -> Order:
        with self.begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            if self.wall() - attempt.created_at >= attempts.KEY_LIFE:
                attempts.mark(conn, attempt, Standing.FAILED, self.wall(), NEVER_ARRIVED)
                if order.unpaid:
                    return self.end(conn, order, cause)
            return order

    def _advance(
        self, conn: psycopg.Connection[Any], order: Order, attempt: Attempt, charge: Charge, cause: str
    ) -> None:
        attempts.record(conn, attempt, charge, self.wall())
        if charge.state in attempts.HELD:
            if order.unpaid:
                self._paid(conn, order, charge, cause)
        elif charge.state in attempts.OVER:
            others = [a for a in attempts.of_order(conn, order.order_id) if a.payment_id != attempt.payment_id]
            if order.state in (State.PAID, State.RELEASED) or (order.unpaid and not any(a.pending for a in others)):
                self.end(conn, order, f"{cause}: {charge.state}")
        elif order.state is State.CREATED:
            orders.advance(conn, order.order_id, State.PAYING, self.now(), cause)

    def _paid(self, conn: psycopg.Connection[Any], order: Order, charge: Charge, cause: str) -> None:
        paid = orders.advance(conn, order.order_id, State.PAID, self.now(), cause)
        news = None
        if order.party_id is None:
            self.tell(conn, about(paid, "order_placed", paid.updated_at))
        elif charge.payment_method and customers.keep_card(conn, order.party_id, charge.payment_method, charge.card):
            news = charge.card
        self.tell(conn, about(paid, "order_paid", paid.updated_at, news))

    def order(self, attempt: Attempt) -> Order:
        """Return the order that an attempt is for."""
        with self.begin(attempt.tenant_id) as conn:
            return orders.get(conn, attempt.order_id)


def _surplus(conn: psycopg.Connection[Any], order: Order, attempt: Attempt, charge: Charge) -> bool:
    """Tell whether a charge holds money that is not owed: the order ended, is paid already, or costs something else."""
    if charge.state not in attempts.HELD:
        return False
    holder = attempts.held(conn, order.order_id)
    return (
        order.state is State.CANCELLED
        or attempt.state in (Standing.CANCELLED, Standing.EXPIRED)  # over, it was said, and paid after all
        or (holder is not None and holder.payment_id != attempt.payment_id)
        or (charge.amount_minor, charge.currency) != (attempt.amount_minor, attempt.currency)
    )
