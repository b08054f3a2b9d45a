"""Recovery: what a crash, a timeout or a lost webhook left open is found again."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from commerce import attempts, inbox, orders, refunds
from commerce.attempts import Attempt
from commerce.errors import CannotPay, NotHere, Unsettled
from commerce.orders import State
from commerce.payments import ProviderError, Standing
from commerce.till import Till

T = TypeVar("T")
ABANDONED = timedelta(hours=1)  # how long after its quote's end an unpaid order is given up


def resume(
    till: Till, tenant_id: int, before: datetime, *, paid_before: datetime, release: Callable[[int, int], object]
) -> int:
    """Work on everything that has been open since before then, and return how much that was.

    An order that was paid before `paid_before` (world time) and never released has lost its job: it gets `release`d.

    What cannot be done keeps nothing else from being done: it is raised at the end, as one ExceptionGroup.
    """
    with till.begin(tenant_id) as conn:
        heard = inbox.waiting(conn, tenant_id, before)
        open_attempts = attempts.unsettled(conn, tenant_id, before)
        open_refunds = refunds.unanswered(conn, tenant_id, before)
        overdue = orders.overdue(conn, tenant_id, paid_before)
    failed = [
        *_each(heard, lambda message: heed(till, message)),
        *_each(open_attempts, lambda attempt: _settle(till, attempt)),
        *_each(open_refunds, lambda refund: _refund(till, refund)),
        *_each(overdue, lambda order_id: _release(release, tenant_id, order_id)),
    ]
    with till.begin(tenant_id) as conn:  # after the payments: what they say may end an order, or pay it
        abandoned = orders.abandoned(conn, tenant_id, till.wall() - ABANDONED)
    failed += _each(abandoned, lambda order_id: till.cancel(tenant_id, order_id, "nobody paid"))
    if failed:
        raise ExceptionGroup(f"{len(failed)} open payments of tenant {tenant_id} could not be worked on", failed)
    return len(heard) + len(open_attempts) + len(open_refunds) + len(overdue) + len(abandoned)


def _each(things: Iterable[T], work: Callable[[T], object]) -> list[Exception]:
    """Work on each of these and return what went wrong."""
    failed = []
    for thing in things:
        try:
            work(thing)
        except Exception as error:  # noqa: BLE001  # all of it is raised at the end
            failed.append(error)
    return failed


def heed(till: Till, heard: inbox.Heard) -> None:
    """Work on a stored webhook: it says where to look, the provider says what is true."""
    outcome = "not about an order of ours"
    try:
        with till.begin(heard.tenant_id) as conn:
            attempt = attempts.by_key(conn, heard.payload.get("key") or "")
    except NotHere:
        attempt = None
    if attempt is not None and attempt.tenant_id == heard.tenant_id:
        order = till.poll(attempt, f"webhook:{heard.event_id}", heard.payload.get("object_id"))
        outcome = f"order {order.number} is {order.state}"
    with till.begin(heard.tenant_id) as conn:
        inbox.close(conn, heard, outcome, till.wall())


def _settle(till: Till, attempt: Attempt) -> None:
    with till.begin(attempt.tenant_id) as conn:
        attempts.looked(conn, attempt, till.wall())  # whatever comes of it, it stands in no other's way
    order = till.order(attempt)
    if order.state is State.CANCELLED:
        till.call_off(attempt, "resume")
    elif attempt.state is Standing.AUTHORISED and order.state is State.RELEASED:
        try:
            till.capture(attempt)
        except (Unsettled, CannotPay):
            return  # the next time asks again
    else:
        till.poll(attempt, "resume")


def _release(release: Callable[[int, int], object], tenant_id: int, order_id: int) -> None:
    try:
        release(tenant_id, order_id)
    except (Unsettled, CannotPay):
        return  # released it is; the money is asked for again like that of any order


def _refund(till: Till, refund: refunds.Refund) -> None:
    with till.begin(refund.tenant_id) as conn:
        tried = attempts.of_order(conn, refund.order_id)
    attempt = next(a for a in tried if a.payment_id == refund.payment_id)
    try:
        till.refund(attempt, refund.amount_minor, attempt.amount_minor, key=refund.key, cause=refund.cause)
    except ProviderError:
        return  # the next time asks again
    till.end_if_all_went_back(attempt, refund.cause)
