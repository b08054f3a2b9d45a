"""The desk: where an order is placed, paid, undone and followed until its part is fitted.

Charged is what was shown: part and price come from the quote, and the database refuses any other amount.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from commerce import attempts, customers, inbox, orders, parcels, quotes, refunds
from commerce.attempts import Attempt
from commerce.errors import (
    AlreadyOrdered,
    CannotPay,
    Closed,
    NotAllowed,
    NotHere,
    QuoteExpired,
    RefundRefused,
    Unsettled,
)
from commerce.order_events import OrderEvent, about
from commerce.orders import Order, State
from commerce.payments import Ask, Payments, ProviderError, Standing, Trouble
from commerce.quotes import Quote
from commerce.till import Begin, Clock, Tell, Till

__all__ = ["Desk", "OrderEvent", "Placed"]

EVERY_TENANT = 0  # what `begin` gets where the tenant is not known yet: only the gateway's role sees rows then
CALL_S = 3.0  # how long a second tap waits for the first one's answer
PAGE_AT_LEAST = timedelta(minutes=31)  # Stripe opens no page for less than 30 minutes,
PAGE_AT_MOST = timedelta(hours=23, minutes=55)  # and none for more than 24 hours
LONGEST_UNDO = timedelta(days=4)  # a card holds an authorisation for five days at least
ABANDONED = timedelta(hours=1)  # how long after its quote's end an unpaid order is given up


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

    party_id: int | None = None
    site_id: int | None = None
    email: str | None = None


GUEST = Buyer()


class Desk:
    """Everything that happens to orders.

    `begin(tenant_id)` opens one transaction, `tell` records an event in it; `now` is the world's time, `wall` the wall
    clock's. `undo` is how long an owner may cancel a paid order for nothing: release it after that.
    """

    def __init__(
        self,
        payments: Payments,
        begin: Begin,
        tell: Tell,
        now: Clock,
        wall: Clock,
        undo: timedelta = timedelta(minutes=30),
    ) -> None:
        if not timedelta() <= undo <= LONGEST_UNDO:
            raise ValueError(f"undo must be between 0 and {LONGEST_UNDO}: a card holds money no longer")
        self.undo = undo
        self._payments = payments
        self._begin = begin
        self._tell = tell
        self._now = now
        self._wall = wall
        self._till = Till(payments, begin, tell, now, wall)

    @property
    def closed(self) -> str | None:
        """Why nothing can be ordered here; None when it can."""
        return self._payments.closed

    @property
    def source(self) -> str:
        """The `source` under which webhooks of this desk's provider are stored."""
        return self._payments.source

    def tap(
        self,
        *,
        tenant_id: int,
        quote_id: int,
        party_id: int,
        site_id: int | None,
        email: str | None,
        return_url: str,
    ) -> Placed:
        """Order what the quote says for an owner who is present: from the saved card, else through the payment page.

        `{number}` in `return_url` becomes the order's number; the URL is stored and must carry no token.
        A second tap returns the first one's order. Raises Closed, QuoteExpired, OutOfStock, AlreadyOrdered, CannotPay,
        Unsettled; each time nothing was charged.
        """
        return self._order(tenant_id, quote_id, Buyer(party_id, site_id, email), return_url)

    def guest(self, *, tenant_id: int, quote_id: int, return_url: str) -> Placed:
        """Open a payment page for somebody unknown, who also says there where to ship to. Raises as `tap` does."""
        return self._order(tenant_id, quote_id, GUEST, return_url)

    def cancel(self, tenant_id: int, order_id: int, cause: str) -> Order:
        """Cancel an order that is not released yet; what its owner's card holds is let go, and nothing charged.

        Raises NotAllowed once it is on its way.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state is not State.CANCELLED:
                if order.state not in (State.CREATED, State.PAYING, State.PAID):
                    raise NotAllowed(f"Order {order.number} is {order.state} and can no longer be cancelled.")
                self._till.end(conn, order, cause)
            live = [a for a in attempts.of_order(conn, order_id) if a.pending or a.state is Standing.AUTHORISED]
        for attempt in live:
            self._till.call_off(attempt, cause)
        return self.get(tenant_id, order_id)

    def release(self, tenant_id: int, order_id: int) -> Order:
        """Capture a paid order's money and hand it to fulfilment; doing it again does nothing.

        Returns the order as it stands then: `released`, or `cancelled` when the card no longer holds the money.
        Raises Unsettled when the provider gave no answer, and CannotPay when it refused for good: try again later.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state is State.PAID:
                order = orders.advance(conn, order_id, State.RELEASED, self._now(), "undo window over")
            held = attempts.held(conn, order_id)
        if order.state is not State.RELEASED or held is None or held.state is Standing.CAPTURED:
            return order
        where = held.provider_id or ""
        try:
            charge = self._payments.capture(where, f"{held.key}:capture")
        except ProviderError as error:
            if error.trouble is Trouble.INDETERMINATE:
                raise Unsettled(str(error)) from error
            order = self._till.poll(held, "capture refused")
            if order.state is State.RELEASED and not self._captured(order):
                raise CannotPay(str(error)) from error
            return order
        return self._till.settle(held, charge, "capture")

    def refund(self, tenant_id: int, order_id: int, cause: str, amount_minor: int | None = None) -> Order:
        """Give back what is left of a charge, or part of it; a full refund ends the order.

        Raises RefundRefused before the provider hears of it when more would go back than was charged, CannotPay and
        Unsettled when the provider refuses or does not answer.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            held = attempts.held(conn, order_id)
            if held is None or held.state is not Standing.CAPTURED:
                raise RefundRefused(f"Nothing was charged for order {order.number} yet; cancel it instead.")
            left = held.amount_minor - refunds.total(conn, held.payment_id)
            key = f"{order.number}:refund:{len(refunds.of_order(conn, order_id)) + 1}"
        try:
            self._till.refund(held, left if amount_minor is None else amount_minor, held.amount_minor, key, cause)
        except ProviderError as error:
            raise (Unsettled if error.trouble is Trouble.INDETERMINATE else CannotPay)(str(error)) from error
        return self._end_if_all_went_back(held, cause)

    def shipped(self, tenant_id: int, order_id: int, carrier: str | None = None, tracking: str | None = None) -> Order:
        """Record that a released and captured order left; saying it again does nothing.

        Raises NotAllowed before that.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state in (State.SHIPPED, State.DELIVERED, State.FITTED):
                return order
            held = attempts.held(conn, order_id)
            if order.state is State.RELEASED and (held is None or held.state is not Standing.CAPTURED):
                raise NotAllowed(f"Order {order.number} is not paid for yet; ship it when it is.")
            order = orders.advance(conn, order_id, State.SHIPPED, self._now(), "fulfilment")
            parcels.send(conn, order, carrier, tracking, order.updated_at)
            self._tell(conn, about(order, "order_shipped", order.updated_at))
            return order

    def delivered(self, tenant_id: int, order_id: int) -> Order:
        """Record that a shipped order arrived and count its spares; saying it again does nothing."""
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state in (State.DELIVERED, State.FITTED):
                return order
            return self._arrived(conn, order, "fulfilment")

    def fitted(self, conn: psycopg.Connection[Any], unit_id: int, slot_id: int, at: datetime) -> Order | None:
        """Record that a part was fitted: it came from the delivered order, else from the cupboard, else from a parcel.

        Returns the order that this ends, if any.
        """
        order = orders.open_order(conn, unit_id, slot_id)
        if order is not None and order.state in (State.SHIPPED, State.DELIVERED):
            order = orders.lock(conn, order.order_id)
        if order is not None and order.state is State.SHIPPED and not parcels.spares(conn, unit_id, slot_id):
            order = self._arrived(conn, order, "fitted")  # nobody told us that the parcel came; the part in it did
        parcels.use_spare(conn, unit_id, slot_id)
        if order is None or order.state is not State.DELIVERED:
            return None
        return orders.advance(conn, order.order_id, State.FITTED, at, "fitted")

    def receive(self, raw: bytes, signature: str | None, secrets: Sequence[str]) -> tuple[int, str] | None:
        """Verify and store a webhook once; return (tenant_id, event_id) of what is to be `hear`d, None when nothing is.

        Raises WebhookRefused, without effect, when it is not the provider's or not fresh.
        """
        notice = self._payments.read(raw, signature, secrets, self._wall())
        if notice.tenant_id is None or notice.account is not None:
            return None
        with self._begin(notice.tenant_id) as conn:
            waits = inbox.put(conn, self.source, notice.tenant_id, notice, self._wall())
        return (notice.tenant_id, notice.event_id) if waits else None

    def hear(self, source: str, event_id: str) -> None:
        """Work on a stored webhook: ask the provider for the truth, and act on that; doing it again does nothing.

        Needs a `begin` in the gateway's role. Raises NotHere when it was never stored.
        """
        with self._begin(EVERY_TENANT) as conn:
            heard = inbox.get(conn, source, event_id)
        if heard is None:
            raise NotHere("There is no such message.")
        if heard.handled_at is None:
            self._heed(heard)

    def resume(self, tenant_id: int, idle: timedelta = timedelta(minutes=1)) -> int:
        """Find again what a crash, a timeout or a lost webhook left open for longer than `idle`; return how much it was.

        Payments are asked about, or asked for once more under their own key; orders nobody paid for are given up.
        """
        before = self._wall() - idle
        with self._begin(tenant_id) as conn:
            heard = inbox.waiting(conn, tenant_id, before)
            open_attempts = attempts.unsettled(conn, tenant_id, before)
            open_refunds = refunds.unanswered(conn, tenant_id, before)
        for message in heard:
            self._heed(message)
        for attempt in open_attempts:
            self._resume(attempt)
        for refund in open_refunds:
            with self._begin(tenant_id) as conn:
                attempt = next(a for a in attempts.of_order(conn, refund.order_id) if a.payment_id == refund.payment_id)
            self._refund_again(attempt, refund)
        return len(heard) + len(open_attempts) + len(open_refunds) + self._give_up(tenant_id)

    def refresh(self, tenant_id: int, order_id: int) -> Order:
        """Ask the provider now how an unpaid order's payment stands: for the page an owner returns to."""
        with self._begin(tenant_id) as conn:
            order = orders.get(conn, order_id)
            pending = [a for a in attempts.of_order(conn, order_id) if a.pending and a.provider_id]
        for attempt in pending if order.unpaid else ():
            order = self._till.poll(attempt, "return")
        return order

    def get(self, tenant_id: int, order_id: int) -> Order:
        """Return an order; raises NotHere."""
        with self._begin(tenant_id) as conn:
            return orders.get(conn, order_id)

    def way_on(self, conn: psycopg.Connection[Any], order: Order) -> str | None:
        """Return where an unpaid order's owner goes on to pay, if there is such a place."""
        pending = (a.url for a in attempts.of_order(conn, order.order_id) if a.pending and a.url)
        return next(pending, None) if order.unpaid else None

    def undo_until(self, order: Order) -> datetime | None:
        """Return until when a paid order can be cancelled for nothing, in world time; None when it cannot."""
        return order.updated_at + self.undo if order.state is State.PAID else None

    def address(self, tenant_id: int, order_id: int) -> dict[str, str] | None:
        """Return the address given on the payment page, for an order that has none on file; it is stored nowhere."""
        with self._begin(tenant_id) as conn:
            held = attempts.held(conn, order_id)
        return self._payments.address(held.provider_id) if held and held.provider_id else None

    def _order(self, tenant_id: int, quote_id: int, buyer: Buyer, return_url: str) -> Placed:
        if self.closed:
            raise Closed(self.closed)
        buyer_id = self._customer(tenant_id, buyer)
        for _ in range(3):  # once more after an order that stood in the way was cleared
            with self._begin(tenant_id) as conn:
                quote = quotes.get(conn, quote_id)
                if quote.tenant_id != tenant_id:
                    raise NotHere("There is no such quote.")
                standing = orders.of_quote(conn, quote_id) or orders.open_order(conn, quote.unit_id, quote.slot_id)
                attempt = None if standing else self._place(conn, quote, buyer, buyer_id, return_url)
            if attempt is not None:
                return self._pay(attempt, quote)
            if standing is not None and (placed := self._go_on(standing, quote, buyer, return_url)):
                return placed
        raise AlreadyOrdered("This part is being ordered at this very moment.")

    def _customer(self, tenant_id: int, buyer: Buyer) -> str | None:
        """Return the owner's id at the provider, making one where there is none; a guest has none."""
        if buyer.party_id is None:
            return None
        with self._begin(tenant_id) as conn:
            known = customers.get(conn, buyer.party_id)
        if known is None:
            try:
                made = self._payments.customer(buyer.email, f"{tenant_id}:{buyer.party_id}")
            except ProviderError as error:
                raise Unsettled(f"{error} Nothing was ordered; please try again.") from error
            with self._begin(tenant_id) as conn:
                customers.put(conn, tenant_id, buyer.party_id, made)
                known = customers.get(conn, buyer.party_id)
        return known.provider_id if known else None

    def _place(
        self, conn: psycopg.Connection[Any], quote: Quote, buyer: Buyer, customer: str | None, return_url: str
    ) -> Attempt | None:
        if not quote.live(self._wall()):
            raise QuoteExpired("The price shown is no longer held. Nothing was charged.")
        order = orders.place(
            conn,
            quote,
            party_id=buyer.party_id,
            ship_to=buyer.site_id,
            at=self._now(),
            cause="tap" if buyer.party_id else "guest",
        )
        if order is None:
            return None
        if buyer.party_id is not None:
            self._tell(conn, about(order, "order_placed", order.created_at))
        card = customers.get(conn, buyer.party_id) if buyer.party_id is not None else None
        return self._store(conn, order, quote, customer, card.payment_method if card else None, return_url)

    def _store(
        self,
        conn: psycopg.Connection[Any],
        order: Order,
        quote: Quote,
        customer: str | None,
        card: str | None,
        return_url: str,
    ) -> Attempt:
        wall = self._wall()
        number = len(attempts.of_order(conn, order.order_id)) + 1
        closes = min(max(quote.expires_at, wall + PAGE_AT_LEAST), wall + PAGE_AT_MOST)
        ask = Ask(
            key=f"{order.number}:{number}",
            tenant_id=order.tenant_id,
            order_id=order.order_id,
            number=order.number,
            part_name=order.part_name,
            amount_minor=order.total_minor,
            shipping_minor=quote.shipping_minor,
            currency=order.currency,
            return_url=return_url.replace("{number}", order.number),
            customer=customer,
            payment_method=card,
            save_card=order.party_id is not None,
            countries=() if order.ship_to else (quote.region,),
            expires_at=int(closes.timestamp()),
        )
        return attempts.store(conn, ask, number, wall)

    def _pay(self, attempt: Attempt, quote: Quote, note: str | None = None) -> Placed:
        """Make a stored attempt; a declined card leads to the payment page."""
        try:
            charge = self._payments.ask(attempt.ask)
        except ProviderError as error:
            if error.trouble is Trouble.INDETERMINATE:
                return Placed(self._till.unclear(attempt, "no answer"), None, note=str(error))
            order = self._till.declined(attempt, error, "declined")
            if error.trouble is Trouble.REFUSED or attempt.kind == "checkout":
                self.cancel(order.tenant_id, order.order_id, "refused by the payment provider")
                raise CannotPay(str(error)) from error
            return self._pay(self._another(order, attempt, quote), quote, str(error))
        order = self._till.settle(attempt, charge, "tap")
        return Placed(order, charge.url if order.unpaid else None, note=note)

    def _another(self, order: Order, failed: Attempt, quote: Quote) -> Attempt:
        """Store a next attempt, through the payment page."""
        with self._begin(order.tenant_id) as conn:
            order = orders.lock(conn, order.order_id)
            latest = attempts.of_order(conn, order.order_id)[0]
            if latest.payment_id != failed.payment_id:  # another tap was faster
                return latest
            return self._store(conn, order, quote, failed.ask.customer, None, failed.ask.return_url)

    def _go_on(self, order: Order, quote: Quote, buyer: Buyer, return_url: str) -> Placed | None:
        """Return what a tap means for the order that stands, or clear it out of the way and return None."""
        mine = order.quote_id == quote.quote_id or (buyer.party_id is not None and order.party_id is not None)
        if not order.unpaid:
            if not mine:
                raise AlreadyOrdered("A part for this slot is on its way already.")
            return Placed(order, None, again=True)
        if buyer.party_id is None and order.party_id is not None:
            raise AlreadyOrdered("A part for this slot is being ordered already.")
        latest = self._latest(order)
        if latest.state in (Standing.CREATED, Standing.INDETERMINATE):  # nobody may charge anew until this is known
            if latest.state is Standing.INDETERMINATE:
                order = self._till.poll(latest, "tap")
                latest = self._latest(order)
            return Placed(order, latest.url if order.unpaid else None, again=True)
        if mine and (order.party_id is None) == (buyer.party_id is None):
            if latest.pending and (order.quote_id == quote.quote_id or not quote.live(self._wall())):
                return Placed(order, latest.url, again=True)
            if not latest.pending and order.quote_id == quote.quote_id and quote.live(self._wall()):
                again = self._pay(self._another(order, latest, quote), quote, latest.error)
                return Placed(again.order, again.go_to, again=True, note=again.note)
        cleared = self.cancel(order.tenant_id, order.order_id, "ordered anew")
        return None if cleared.state is State.CANCELLED else Placed(cleared, None, again=True)

    def _latest(self, order: Order) -> Attempt:
        """Return an order's latest attempt, giving one that is just being made a moment to be answered."""
        until = time.monotonic() + CALL_S
        while True:
            with self._begin(order.tenant_id) as conn:
                latest = attempts.of_order(conn, order.order_id)[0]
            if latest.state is not Standing.CREATED or time.monotonic() > until:
                return latest
            time.sleep(0.05)

    def _captured(self, order: Order) -> bool:
        with self._begin(order.tenant_id) as conn:
            held = attempts.held(conn, order.order_id)
        return held is not None and held.state is Standing.CAPTURED

    def _arrived(self, conn: psycopg.Connection[Any], order: Order, cause: str) -> Order:
        order = orders.advance(conn, order.order_id, State.DELIVERED, self._now(), cause)
        parcels.arrive(conn, order, order.updated_at)
        self._tell(conn, about(order, "order_delivered", order.updated_at))
        return order

    def _heed(self, heard: inbox.Heard) -> None:
        outcome = "not about an order of ours"
        try:
            with self._begin(heard.tenant_id) as conn:
                attempt = attempts.by_key(conn, heard.payload.get("key") or "")
        except NotHere:
            attempt = None
        if attempt is not None and attempt.tenant_id == heard.tenant_id:
            order = self._till.poll(attempt, f"webhook:{heard.event_id}", heard.payload.get("object_id"))
            outcome = f"order {order.number} is {order.state}"
        with self._begin(heard.tenant_id) as conn:
            inbox.close(conn, heard, outcome, self._wall())

    def _resume(self, attempt: Attempt) -> None:
        order = self.get(attempt.tenant_id, attempt.order_id)
        if attempt.state is Standing.AUTHORISED and order.state is State.RELEASED:
            try:
                self.release(order.tenant_id, order.order_id)
            except (Unsettled, CannotPay):
                return  # the next time asks again
        elif order.state is State.CANCELLED:
            self._till.call_off(attempt, "resume")
        else:
            self._till.poll(attempt, "resume")

    def _refund_again(self, attempt: Attempt, refund: refunds.Refund) -> None:
        try:
            self._till.refund(attempt, refund.amount_minor, attempt.amount_minor, refund.key, refund.cause)
        except ProviderError:
            return  # the next time asks again
        self._end_if_all_went_back(attempt, refund.cause)

    def _end_if_all_went_back(self, attempt: Attempt, cause: str) -> Order:
        with self._begin(attempt.tenant_id) as conn:
            order = orders.lock(conn, attempt.order_id)
            if refunds.total(conn, attempt.payment_id) == attempt.amount_minor and order.state in orders.REFUNDABLE:
                order = orders.advance(conn, order.order_id, State.REFUNDED, self._now(), cause)
            return order

    def _give_up(self, tenant_id: int) -> int:
        """Cancel unpaid orders whose quote ended a while ago and whose payment nobody is at."""
        with self._begin(tenant_id) as conn:
            unpaid = orders.in_states(conn, tenant_id, [State.CREATED, State.PAYING])
            over = [o for o in unpaid if quotes.get(conn, o.quote_id).expires_at + ABANDONED < self._wall()]
            idle = [
                o
                for o in over
                if not any(
                    a.state in (Standing.CREATED, Standing.INDETERMINATE) for a in attempts.of_order(conn, o.order_id)
                )
            ]
        for order in idle:
            self.cancel(tenant_id, order.order_id, "nobody paid")
        return len(idle)
