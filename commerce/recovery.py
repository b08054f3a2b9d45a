"""Recovery: what a crash, a timeout or a lost webhook left open is found again."""

from datetime import datetime, timedelta

from commerce import attempts, inbox, orders, quotes, refunds
from commerce.attempts import Attempt
from commerce.errors import CannotPay, NotHere, Unsettled
from commerce.orders import State
from commerce.payments import ProviderError, Standing
from commerce.till import Till

ABANDONED = timedelta(hours=1)  # how long after its quote's end an unpaid order is given up


def resume(till: Till, tenant_id: int, before: datetime) -> int:
    """Work on everything that has been open since before then, and return how much that was."""
    with till.begin(tenant_id) as conn:
        heard = inbox.waiting(conn, tenant_id, before)
        open_attempts = attempts.unsettled(conn, tenant_id, before)
        open_refunds = refunds.unanswered(conn, tenant_id, before)
    for message in heard:
        heed(till, message)
    for attempt in open_attempts:
        _settle(till, attempt)
    for refund in open_refunds:
        _refund(till, refund)
    return len(heard) + len(open_attempts) + len(open_refunds) + _give_up(till, tenant_id)


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


def _refund(till: Till, refund: refunds.Refund) -> None:
    with till.begin(refund.tenant_id) as conn:
        tried = attempts.of_order(conn, refund.order_id)
    attempt = next(a for a in tried if a.payment_id == refund.payment_id)
    try:
        till.refund(attempt, refund.amount_minor, attempt.amount_minor, key=refund.key, cause=refund.cause)
    except ProviderError:
        return  # the next time asks again
    till.end_if_all_went_back(attempt, refund.cause)


def _give_up(till: Till, tenant_id: int) -> int:
    """Cancel unpaid orders whose quote ended a while ago and about whose payment nothing is left to be found out."""
    with till.begin(tenant_id) as conn:
        unpaid = orders.in_states(conn, tenant_id, [State.CREATED, State.PAYING])
        idle = [
            order
            for order in unpaid
            if quotes.get(conn, order.quote_id).expires_at + ABANDONED < till.wall()
            and not any(
                a.state in (Standing.CREATED, Standing.INDETERMINATE) for a in attempts.of_order(conn, order.order_id)
            )
        ]
    for order in idle:
        till.cancel(tenant_id, order.order_id, "nobody paid")
    return len(idle)
