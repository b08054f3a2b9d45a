"""The desk: where an order is placed, paid, undone and followed until its part is fitted.

Charged is what was shown: part and price come from the quote, and the database refuses any other amount.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from commerce import attempts, inbox, orders, parcels, recovery, refunds
from commerce.counter import Buyer, Counter, Placed
from commerce.errors import CannotPay, NotAllowed, NotHere, RefundRefused, Unsettled
from commerce.order_events import OrderEvent, about
from commerce.orders import Order, State
from commerce.payments import Payments, ProviderError, Standing, Trouble
from commerce.till import Begin, Clock, Tell, Till

__all__ = ["EVERY_TENANT", "Desk", "OrderEvent", "Placed"]

EVERY_TENANT = 0  # what `begin` gets where the tenant is not known yet: only the gateway's role sees rows then
RELEASE_LATE = timedelta(hours=1)  # after the undo window: by then whoever was to release the order has lost it
LONGEST_UNDO = timedelta(days=4)  # a card holds an authorisation for five days at least


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
        *,
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
        self._counter = Counter(self._till)

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
        return self._counter.order(tenant_id, quote_id, Buyer(return_url, party_id, site_id, email))

    def guest(self, *, tenant_id: int, quote_id: int, return_url: str) -> Placed:
        """Open a payment page for somebody unknown, who also says there where to ship to. Raises as `tap` does."""
        return self._counter.order(tenant_id, quote_id, Buyer(return_url))

    def cancel(self, tenant_id: int, order_id: int, cause: str) -> Order:
        """Cancel an order that is not released yet; what its owner's card holds is let go, and nothing charged.

        Raises NotAllowed once it is on its way.
        """
        return self._till.cancel(tenant_id, order_id, cause)

    def release(self, tenant_id: int, order_id: int) -> Order:
        """Capture a paid order's money and hand it to fulfilment; doing it again does nothing.

        Returns the order as it stands then: `released`, or `cancelled` when the card no longer holds the money.
        Raises Unsettled when the provider gave no answer, and CannotPay when it refused: try again later.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state is State.PAID:
                order = orders.advance(conn, order_id, State.RELEASED, self._now(), "undo window over")
            held = attempts.held(conn, order_id)
        if order.state is not State.RELEASED or held is None or held.state is Standing.CAPTURED:
            return order
        return self._till.capture(held)

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
        amount = left if amount_minor is None else amount_minor
        try:
            self._till.refund(held, amount, held.amount_minor, key=key, cause=cause)
        except ProviderError as error:
            raise (Unsettled if error.trouble is Trouble.INDETERMINATE else CannotPay)(str(error)) from error
        return self._till.end_if_all_went_back(held, cause)

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
        """Record that a shipped order arrived and count its spares; saying it again does nothing.

        Raises NotAllowed before it was shipped.
        """
        with self._begin(tenant_id) as conn:
            order = orders.lock(conn, order_id)
            if order.state in (State.DELIVERED, State.FITTED):
                return order
            return self._arrived(conn, order, "fulfilment")

    def fitted(self, conn: psycopg.Connection[Any], unit_id: int, slot_id: int, at: datetime) -> Order | None:
        """Record that a part was fitted: it came from the delivered order, else from the cupboard, else from a parcel.

        What was fitted before the order was placed, and told late, is no part of it: then it came from the cupboard.
        Returns the order that this ends, if any.
        """
        order = orders.open_order(conn, unit_id, slot_id)
        if order is not None and at < order.created_at:
            parcels.use_spare(conn, unit_id, slot_id, besides=order)
            return None
        if order is not None:
            order = orders.lock(conn, order.order_id)
            if order.state is State.SHIPPED and not parcels.spares(conn, unit_id, slot_id):
                order = self._arrived(conn, order, "fitted")  # nobody told us that the parcel came; its part did
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
            recovery.heed(self._till, heard)

    def resume(self, tenant_id: int, idle: timedelta = timedelta(minutes=1)) -> int:
        """Find again what a crash, a timeout or a lost webhook left open for longer than `idle`; return how much.

        Payments are asked about, or asked for once more under their own key; orders that nobody paid for are given up,
        and those that nobody released after their undo window are released. Raises ExceptionGroup of what went wrong,
        after everything else was worked on.
        """
        paid_before = self._now() - self.undo - RELEASE_LATE
        return recovery.resume(
            self._till, tenant_id, self._wall() - idle, paid_before=paid_before, release=self.release
        )

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

    def undo_until(self, order: Order) -> datetime | None:
        """Return until when a paid order can be cancelled for nothing, in world time; None when it cannot."""
        return order.updated_at + self.undo if order.state is State.PAID else None

    def address(self, tenant_id: int, order_id: int) -> dict[str, str] | None:
        """Return the address given on the payment page, for an order that has none on file; it is stored nowhere.

        Raises Unsettled when the provider does not tell it now.
        """
        with self._begin(tenant_id) as conn:
            held = attempts.held(conn, order_id)
        try:
            return self._payments.address(held.provider_id) if held and held.provider_id else None
        except ProviderError as error:
            raise Unsettled(str(error)) from error

    def _arrived(self, conn: psycopg.Connection[Any], order: Order, cause: str) -> Order:
        order = orders.advance(conn, order.order_id, State.DELIVERED, self._now(), cause)
        parcels.arrive(conn, order, order.updated_at)
        self._tell(conn, about(order, "order_delivered", order.updated_at))
        return order
