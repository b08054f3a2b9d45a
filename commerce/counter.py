"""The counter: where a tap becomes one order, however often and from wherever it comes."""

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg

from commerce import attempts, customers, orders, quotes
from commerce.attempts import Attempt
from commerce.errors import AlreadyOrdered, CannotPay, Closed, NotHere, QuoteExpired, Unsettled
from commerce.order_events import about
from commerce.orders import Order, State
from commerce.payments import Ask, ProviderError, Standing, Trouble
from commerce.quotes import Quote
from commerce.till import Till

CALL_S = 3.0  # how long a second tap waits for the first one's answer
PAGE_AT_LEAST = timedelta(minutes=31)  # Stripe opens no page for less than 30 minutes,
PAGE_AT_MOST = timedelta(hours=23, minutes=55)  # and none for more than 24 hours


@dataclass(frozen=True, slots=True)
class Placed:
    """What a tap led to. `go_to`: where the owner goes on to pay; `again`: the order stood already; `note`: why."""

    order: Order
    go_to: str | None
    again: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who orders; without a party, a guest whom only the payment provider knows."""

    return_url: str
    party_id: int | None = None
    site_id: int | None = None
    email: str | None = None


class Counter:
    """Places orders, and makes the attempts to charge for them."""

    def __init__(self, till: Till) -> None:
        self._till = till

    def order(self, tenant_id: int, quote_id: int, buyer: Buyer) -> Placed:
        """Place what the quote says, or return the order that stands; raises as `Desk.tap` says."""
        if self._till.payments.closed:
            raise Closed(self._till.payments.closed)
        customer = self._customer(tenant_id, buyer)
        for _ in range(3):  # once more after an order that stood in the way was cleared
            with self._till.begin(tenant_id) as conn:
                quote = quotes.get(conn, quote_id)
                if quote.tenant_id != tenant_id:
                    raise NotHere("There is no such quote.")
                standing = orders.of_quote(conn, quote_id) or orders.open_order(conn, quote.unit_id, quote.slot_id)
                attempt = None if standing else self._place(conn, quote, buyer, customer)
            if attempt is not None:
                return self._pay(attempt, quote, buyer)
            if standing is not None and (placed := self._go_on(standing, quote, buyer)):
                return placed
        raise AlreadyOrdered("This part is being ordered at this very moment.")

    def _customer(self, tenant_id: int, buyer: Buyer) -> str | None:
        """Return the owner's id at the provider, making one where there is none; a guest has none."""
        if buyer.party_id is None:
            return None
        with self._till.begin(tenant_id) as conn:
            known = customers.get(conn, buyer.party_id)
        if known is None:
            try:
                made = self._till.payments.customer(buyer.email, f"{tenant_id}:{buyer.party_id}")
            except ProviderError as error:
                raise Unsettled(f"{error} Nothing was ordered; please try again.") from error
            with self._till.begin(tenant_id) as conn:
                customers.put(conn, tenant_id, buyer.party_id, made)
                known = customers.get(conn, buyer.party_id)
        return known.provider_id if known else None

    def _place(self, conn: psycopg.Connection[Any], quote: Quote, buyer: Buyer, customer: str | None) -> Attempt | None:
        if not quote.live(self._till.wall()):
            raise QuoteExpired("The price shown is no longer held. Nothing was charged.")
        cause = "tap" if buyer.party_id else "guest"
        order = orders.place(
            conn, quote, party_id=buyer.party_id, ship_to=buyer.site_id, at=self._till.now(), cause=cause
        )
        if order is None:
            return None
        if buyer.party_id is not None:
            self._till.tell(conn, about(order, "order_placed", order.created_at))
        known = customers.get(conn, buyer.party_id) if buyer.party_id is not None else None
        card = known.payment_method if known and order.ship_to else None  # only the page asks where to ship to
        url = buyer.return_url.replace("{number}", order.number)
        return self._store(conn, order, quote, customer=customer, card=card, return_url=url)

    def _store(
        self,
        conn: psycopg.Connection[Any],
        order: Order,
        quote: Quote,
        *,
        customer: str | None,
        card: str | None,
        return_url: str,
    ) -> Attempt:
        wall = self._till.wall()
        number = len(attempts.of_order(conn, order.order_id)) + 1
        at_least = wall + PAGE_AT_LEAST
        closes = min(max(quote.expires_at, at_least), wall + PAGE_AT_MOST)
        if order.party_id is None:  # whoever it is, they hold a part that its owner may be waiting for
            closes = at_least
        ask = Ask(
            key=f"{order.number}:{number}",
            tenant_id=order.tenant_id,
            order_id=order.order_id,
            number=order.number,
            part_name=order.part_name,
            amount_minor=order.total_minor,
            shipping_minor=quote.shipping_minor,
            currency=order.currency,
            return_url=return_url,
            customer=customer,
            payment_method=card,
            save_card=order.party_id is not None,
            countries=() if order.ship_to else (quote.region,),
            expires_at=int(closes.timestamp()),
        )
        return attempts.store(conn, ask, number, wall)

    def _pay(self, attempt: Attempt, quote: Quote, buyer: Buyer, note: str | None = None) -> Placed:
        """Make a stored attempt; a declined card leads to the payment page, `note` says what went before."""
        try:
            charge = self._till.payments.ask(attempt.ask)
        except ProviderError as error:
            if error.trouble is Trouble.INDETERMINATE:
                return Placed(self._till.unclear(attempt, "no answer"), None, note=str(error))
            order = self._till.declined(attempt, error, "declined")
            known_anew = error.trouble is Trouble.CUSTOMER_GONE and note is None  # once, lest it go on for ever
            if error.trouble is Trouble.REFUSED or (attempt.kind == "checkout" and not known_anew):
                self._till.cancel(order.tenant_id, order.order_id, "refused by the payment provider")
                raise CannotPay(str(error)) from error
            another = self._another(order, attempt, quote, buyer)
            return self._pay(another, quote, buyer, str(error)) if another else Placed(self._till.order(attempt), None)
        order = self._till.settle(attempt, charge, "tap")
        return Placed(order, charge.url if order.unpaid else None, note=note)

    def _another(self, order: Order, failed: Attempt, quote: Quote, buyer: Buyer) -> Attempt | None:
        """Store a next attempt, through the payment page; None for an order that ended meanwhile."""
        customer = self._customer(order.tenant_id, buyer)
        with self._till.begin(order.tenant_id) as conn:
            order = orders.lock(conn, order.order_id)
            if not order.unpaid:
                return None
            latest = attempts.of_order(conn, order.order_id)[0]
            if latest.payment_id != failed.payment_id:  # another tap was faster
                return latest
            return self._store(conn, order, quote, customer=customer, card=None, return_url=failed.ask.return_url)

    def _go_on(self, order: Order, quote: Quote, buyer: Buyer) -> Placed | None:
        """Return what a tap means for the order that stands, or clear it out of the way and return None."""
        guest, guests = buyer.party_id is None, order.party_id is None
        theirs = buyer.party_id == order.party_id  # a payment page shows, and ships to, the person it was opened for
        same = order.quote_id == quote.quote_id
        if guest and not (guests and (order.unpaid or same)):
            raise AlreadyOrdered("A part for this slot is being ordered already.")
        if not order.unpaid:
            return Placed(order, None, again=True)
        order, latest = self._settled(order)
        if not order.unpaid:  # paid meanwhile, or ended, as its page had run out: then it is in nobody's way any more
            return Placed(order, None, again=True) if order.paid else None
        if latest.state in (Standing.CREATED, Standing.INDETERMINATE):  # nobody may charge anew until this is known
            if guest or not theirs:
                raise AlreadyOrdered("A part for this slot is being ordered by somebody else at this very moment.")
            return Placed(order, None, again=True, note=latest.error)
        live = quote.live(self._till.wall())
        if theirs and latest.pending and (same or not live):
            return Placed(order, latest.url, again=True)
        if theirs and not latest.pending and same and live:
            return self._once_more(order, latest, quote, buyer)
        cleared = self._till.cancel(order.tenant_id, order.order_id, "ordered anew")
        return None if cleared.state is State.CANCELLED else Placed(cleared, None, again=True)

    def _once_more(self, order: Order, failed: Attempt, quote: Quote, buyer: Buyer) -> Placed | None:
        another = self._another(order, failed, quote, buyer)
        return replace(self._pay(another, quote, buyer, failed.error), again=True) if another else None

    def _settled(self, order: Order) -> tuple[Order, Attempt]:
        """Return an unpaid order with its latest attempt as it stands now, if need be after a moment for its answer."""
        until = time.monotonic() + CALL_S
        order, latest = self._look(order)
        while latest.state is Standing.CREATED and time.monotonic() < until:  # another tap is asking right now
            time.sleep(0.05)
            order, latest = self._look(order)
        if latest.state in (Standing.INDETERMINATE, Standing.REQUIRES_ACTION):
            self._till.poll(latest, "tap")
            order, latest = self._look(order)
        return order, latest

    def _look(self, order: Order) -> tuple[Order, Attempt]:
        with self._till.begin(order.tenant_id) as conn:
            return orders.get(conn, order.order_id), attempts.of_order(conn, order.order_id)[0]
