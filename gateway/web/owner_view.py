"""What an owner's page says about each slot: where it stands, in words, and what can be done about it."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg

from commerce import fit, money, orders
from commerce.customers import Customer
from commerce.orders import Order, State
from gateway.notify import reasons
from gateway.notify.words import span
from gateway.notify.words import window as said_window
from gateway.registry import owners, timeline
from gateway.registry.doubts import ASSUMED
from gateway.registry.owners import Owner
from gateway.registry.timeline import Standing
from gateway.registry.units import Unit
from gateway.web import words

NEW = timedelta(days=7)
END = timedelta(days=2)
PILLS = {
    "new": "New",
    "ok": "All good",
    "soon": "Due soon",
    "due": "Due",
    "overdue": "Overdue",
    "ordered": "Ordered",
    "delivered": "Delivered",
}
URGENCY = ("overdue", "due", "delivered", "soon", "ordered", "ok", "new")


@dataclass(frozen=True, slots=True)
class Part:
    """The part that fits, at the price that is charged if it is ordered now."""

    name: str
    pack: str
    total: str
    tax: str
    shipping: str
    arrives: str
    last: bool
    shown: str  # what the order form carries back: the part and price on this page, compared and never trusted


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    at: datetime | None
    here: bool


@dataclass(frozen=True, slots=True)
class OrderView:
    order_id: int
    number: str
    part: str
    total: str
    unpaid: bool
    cancellable: bool
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot as its page shows it; `look` is its state and its style."""

    slot_id: int
    cycle_id: int | None
    name: str
    look: str
    pill: str
    headline: str
    interval: str
    meanwhile: str
    percent: int | None
    basis_pill: str
    basis_note: str
    reasons: list[str]
    part: Part | None
    no_part: str
    order: OrderView | None
    prompt_id: int | None
    snoozed_until: datetime | None
    fitted_at: datetime | None
    write_at: datetime | None  # when its owner is written to; None where nobody writes
    doubt_id: int | None
    doubt_at: datetime | None
    going_on: str  # how it goes on without an answer, empty while the answer is waited for

    @property
    def pressing(self) -> bool:
        """Whether the page leads with the button; not while it waits to hear whether a new part is in."""
        return self.look in ("soon", "due", "overdue") and (self.doubt_id is None or bool(self.going_on))


def slots(conn: psycopg.Connection, unit: Unit, party_id: int, *, first: int | None, now: datetime) -> list[SlotView]:
    """Return every slot of a unit for its owner, the one they came for first, then the most urgent."""
    wants = _wants_mail(conn, owners.owner_of(conn, unit.unit_id, now))
    standings = timeline.standings(conn, unit.unit_id)
    views = [_slot(conn, unit, standing, now, party_id=party_id, wants=wants) for standing in standings]
    return sorted(views, key=lambda v: (v.slot_id != first, URGENCY.index(v.look)))


def place(unit: Unit, slot_id: int) -> fit.Place:
    """Return a slot of a unit as far as the fit of a part depends on it."""
    return fit.Place(unit.tenant_id, unit.model_id, slot_id, unit.serial, unit.hw_rev, unit.region)


def offered(found: fit.Fit | fit.NoFit, now: datetime) -> tuple[Part | None, str]:
    """Return the part as the page shows it, or why there is none."""
    if isinstance(found, fit.NoFit):
        return None, found.reason
    total = found.price_minor + found.shipping_minor
    tax = money.tax_inside(total, found.tax_bp)
    return (
        Part(
            name=found.name,
            pack=f"pack of {found.pack_size}" if found.pack_size > 1 else "",
            total=money.words(total, found.currency),
            tax=f"Includes {money.words(tax, found.currency)} tax" if tax else "No tax",
            shipping=f"and {money.words(found.shipping_minor, found.currency)} shipping"
            if found.shipping_minor
            else "free shipping",
            arrives=words.date(now + timedelta(days=found.delivery_d)),
            last=found.stock == 1,
            shown=shown(found),
        ),
        "",
    )


def paying(owner: Owner, customer: Customer | None) -> str:
    """Say what a press leads to: which card is charged, and where the part goes."""
    if owner.site_id is None:
        return ". You give your address and card on the next page, and can still turn back there."
    if customer is None or customer.payment_method is None:
        return ", to your address on file. You give your card on the next page, and can still turn back there."
    return f", charged to {customer.card or 'your saved card'}, to your address on file."


def shown(found: fit.Fit) -> str:
    """Write down what the page says of a part, so that two can be compared; its stock and its date may move."""
    price = (found.currency, found.price_minor, found.shipping_minor, found.tax_bp)
    terms = (found.offer_id, found.sku, found.name, found.pack_size, *price, found.delivery_d)
    return hashlib.sha256(repr(terms).encode()).hexdigest()


def _wants_mail(conn: psycopg.Connection, owner: Owner | None) -> int | None:
    """Return the owner's party id where they can and want to be written to when a part is due."""
    if owner is None or not owner.email or owner.channel != "email":
        return None
    return owner.party_id if owners.agreed(conn, owner.party_id, "replacement_prompts") else None


def _write_at(at: Standing, party_id: int | None, now: datetime) -> datetime | None:
    """Return when a person who wants it is written to in time: once a cycle, and not while a spare is at home."""
    if party_id is None or at.order_at is None or at.asked == party_id or at.spares:
        return None
    when = max(at.order_at, at.remind_at or at.order_at)
    return when if when > now else None


def _slot(
    conn: psycopg.Connection, unit: Unit, at: Standing, now: datetime, *, party_id: int, wants: int | None
) -> SlotView:
    order = orders.open_order(conn, unit.unit_id, at.slot_id)
    if order and order.unpaid and order.party_id != party_id:
        order = None  # a stranger, or who owned it before, looked at the payment page: nothing is on its way
    found = fit.part_for(conn, place(unit, at.slot_id), now, unit_id=unit.unit_id, party_id=party_id)
    part, no_part = offered(found, now)
    look = _look(at, order, now)
    said, interval = _left(at, now)
    return SlotView(
        slot_id=at.slot_id,
        cycle_id=at.cycle_id,
        name=at.name,
        look=look,
        pill="Not paid yet" if order and order.unpaid else PILLS[look],
        headline=_headline(at.name, look, said, order),
        interval=interval if look in ("ok", "new", "soon", "due") else "",
        meanwhile=f"The one in place: {said}{f' ({interval})' if interval else ''}." if order and said else "",
        percent=None if at.pct_left is None else round(at.pct_left),
        basis_pill=_basis_pill(at),
        basis_note=_basis(unit, at, now),
        reasons=[reasons.say(reasons.from_json(p), "en") for p in (at.reasons or {}).get("parts", [])],
        part=part,
        no_part=no_part,
        order=view_of(conn, order, party_id) if order else None,
        prompt_id=at.prompt_id,
        snoozed_until=at.remind_at if at.prompt_state == "snoozed" else None,
        fitted_at=at.fitted_at,
        write_at=_write_at(at, wants, now),
        doubt_id=at.doubt_id,
        doubt_at=at.doubt_at,
        going_on=_going_on(at),
    )


def _look(at: Standing, order: Order | None, now: datetime) -> str:
    if order:
        return "delivered" if order.state == State.DELIVERED else "ordered"
    if at.stage and at.stage != "ok":
        return at.stage
    fresh = at.fitted_at is None or now - at.fitted_at < NEW
    return "new" if fresh or at.eol_q50 is None else "ok"


def _left(at: Standing, now: datetime) -> tuple[str, str]:
    if at.eol_q10 is None or at.eol_q50 is None or at.eol_q90 is None:
        return "", ""
    if at.stage == "overdue" and now - at.eol_q50 < END:  # what still runs past its end is forecast to end today
        return "at the end of its life", ""
    return words.left(now, at.eol_q10, at.eol_q50, at.eol_q90)


def _headline(name: str, look: str, said: str, order: Order | None) -> str:
    if order and order.unpaid:
        return f"{name}: ordered, not paid yet"
    if look == "ordered":
        return f"{name}: a new one is on order"
    if look == "delivered":
        guests = order is not None and order.party_id is None
        where = "a new one went to somebody who ordered it" if guests else "the new one should be with you"
        return f"{name}: {where}"
    return f"{name}: {said}" if said else f"{name}: in place, getting to know it"


def _basis_pill(at: Standing) -> str:
    if at.eol_q50 is None:
        return ""
    if at.doubt_id is not None:
        return "Not sure"
    return "Offline" if at.stale else "Estimate" if at.basis == "estimated" else ""


def _basis(unit: Unit, at: Standing, now: datetime) -> str:
    seen = unit.last_seen_at
    if at.doubt_id is not None and at.eol_q50 is not None:
        going_on = _going_on(at)
        waits = "We cannot tell whether a new one is in, so the range counts with both. Your answer below settles it."
        return f"{going_on} The range still counts with both." if going_on else waits
    if at.eol_q50 is None:
        return "Its first estimate follows shortly."
    if unit.device is None or seen is None:
        why = "this product has no radio, so it cannot tell us how much it runs."
        unheard = "we have not heard from this product yet. Is it connected?"
        return f"An estimate by the calendar: {why if unit.device is None else unheard}"
    if at.stale:
        return (
            f"We last heard from it {words.ago(now, seen)}, so this is our last estimate carried on. "
            "Reconnect it and the estimate sharpens."
        )
    if at.basis == "estimated":
        return f"An estimate by the calendar for now. Last heard from {words.ago(now, seen)}."
    return f"Measured by the product itself. Last heard from {words.ago(now, seen)}."


def _going_on(at: Standing) -> str:
    """Say how it goes on where the owner was asked whether the part was changed, and has not answered."""
    if at.doubt_id is None or set(ASSUMED).isdisjoint(at.flags):
        return ""
    how = "a new one were in" if "assumed_new" in at.flags else "it were the same one"
    return f"You have not told us whether it was changed, so we go on as if {how}."


def view_of(conn: psycopg.Connection, order: Order, party_id: int | None) -> OrderView:
    """Return an order with its steps, those to come included; only the person who placed it may cancel it."""
    done = {step.state: step.at for step in orders.steps(conn, order.order_id)}
    ended = order.state in (State.CANCELLED, State.REFUNDED)
    names = (
        (State.CREATED, "Ordered"),
        (State.PAID, "Paid"),
        (State.SHIPPED, "On its way"),
        (State.DELIVERED, "Delivered"),
        (State.FITTED, "Fitted"),
    )
    steps = [Step(label, done.get(state), here=False) for state, label in names if not ended or state in done]
    if ended:
        steps.append(
            Step("Cancelled" if order.state == State.CANCELLED else "Refunded", done.get(order.state), here=True)
        )
    else:
        reached = max(i for i, step in enumerate(steps) if step.at)
        steps[reached] = replace(steps[reached], here=True)
    return OrderView(
        order_id=order.order_id,
        number=order.number,
        part=order.part_name,
        total=money.words(order.total_minor, order.currency),
        unpaid=order.unpaid,
        cancellable=party_id is not None and order.party_id == party_id and (order.unpaid or order.state == State.PAID),
        steps=steps,
    )


def rated(slot_life_h: float | None, slot_life_d: float) -> str:
    """Say how long a part of this slot is rated to last."""
    calendar = span(slot_life_d, "en")
    return f"about {slot_life_h:,.0f} running hours, at most {calendar}" if slot_life_h else f"about {calendar}"


def undo_words(window: timedelta) -> str:
    """Say for how long an order can be cancelled for nothing."""
    return said_window(window, "en")
