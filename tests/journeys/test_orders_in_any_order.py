"""Whatever happens, in whatever order: in the end the money is where the orders say."""

import random
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from commerce.errors import CommerceError
from commerce.orders import OPEN, State
from tests.shop import Shop

STEPS = 25
FAULTS = ({"error_after": 1}, {"error_before": 1}, {"timeout_after": 1, "hold_s": 3})
SPENT = {State.RELEASED, State.SHIPPED, State.DELIVERED, State.FITTED}


class Walk:
    """A walk through everything that owners, staff, banks and networks do."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.dice = random.Random(seed)  # a walk, no secret
        self.desk = shop.desk()

    def latest(self) -> int:
        found = self.shop.orders()
        return found[0].order_id if found else 0

    def steps(self) -> list[Callable[[], object]]:
        shop, desk, tenant = self.shop, self.desk, self.shop.tenant_id
        return [
            lambda: shop.tap(desk),
            lambda: shop.tap(desk),
            lambda: shop.guest(desk),
            lambda: shop.sql("update offer set price_minor = price_minor + 10"),
            self.pay,
            self.pay,
            self.answer_bank,
            lambda: desk.cancel(tenant, self.latest(), "owner"),
            lambda: desk.release(tenant, self.latest()),
            lambda: desk.shipped(tenant, self.latest()),
            lambda: desk.delivered(tenant, self.latest()),
            self.fit,
            lambda: desk.refund(tenant, self.latest(), "goodwill", self.dice.choice([None, 100])),
            lambda: desk.resume(tenant, timedelta()),
            lambda: shop.deliver(desk, self.dice.sample(shop.standin.events(), min(4, len(shop.standin.events())))),
            lambda: shop.standin.knobs.set(self.dice.choice(FAULTS)),
            lambda: setattr(shop, "shift", shop.shift + timedelta(hours=self.dice.choice([1, 30]))),
        ]

    def pay(self) -> None:
        """Pay on some page that was ever shown, also long after it was left."""
        pages = [s["id"] for s in self.shop.standin.sessions()]
        if pages:
            card = self.dice.choice(["pm_card_visa", "pm_card_visa", "pm_card_authenticationRequired"])
            guest = {"name": "A", "line1": "B", "postal_code": "C", "city": "D", "country": "DE"}
            url = f"{self.shop.standin.url}/pay/{self.dice.choice(pages)}"
            self.shop.standin.pay(url, card, **guest, **({"keep": "1"} if self.dice.random() < 0.5 else {}))

    def answer_bank(self) -> None:
        waiting = [i["id"] for i in self.shop.standin.intents() if i["status"] == "requires_action"]
        if waiting:
            answer = {"answer": self.dice.choice(["yes", "no"])}
            httpx.post(f"{self.shop.standin.url}/secure/{self.dice.choice(waiting)}", data=answer, trust_env=False)

    def fit(self) -> None:
        with self.shop.begin(self.shop.tenant_id) as conn:
            self.desk.fitted(conn, self.shop.unit_id, self.shop.slot_id, self.shop.now())

    def settle(self) -> None:
        """Let the bad day end: no faults, a while passes, and everything left open is looked at."""
        self.shop.standin.knobs.set({"error_after": 0, "error_before": 0, "timeout_after": 0})
        for hours in (1, 30):
            self.shop.shift += timedelta(hours=hours)
            for _ in range(2):
                self.desk.resume(self.shop.tenant_id)
                self.shop.shift += timedelta(minutes=20)


@pytest.mark.parametrize("seed", range(8))
def test_the_money_is_where_the_orders_say(shop: Shop, seed: int) -> None:
    """Held for paid orders, taken for released ones less what went back, nothing for any other; one order a slot."""
    walk = Walk(shop, seed)
    shop.sql("update offer set stock = 1000")
    if seed % 2:
        shop.save_card(walk.dice.choice(["pm_card_visa", "pm_card_authenticationRequired"]))
    for _ in range(STEPS):
        try:
            walk.dice.choice(walk.steps())()
        except CommerceError:
            continue
    walk.settle()
    found = shop.orders()
    back = sum(row[0] for row in shop.sql("select amount_minor from refund r where state = 'done'"))
    given = {o.order_id: 0 for o in found}
    for order_id, amount in shop.sql("select order_id, amount_minor from refund where state = 'done'"):
        given[order_id] += amount
    paid = {o.order_id: o.total_minor for o in found if o.state is State.PAID}
    spent = {o.order_id: o.total_minor - given[o.order_id] for o in found if o.state in SPENT}
    assert sum(paid.values()) == shop.standin.held()
    assert sum(spent.values()) == shop.standin.taken()
    assert sum(r["amount"] for r in shop.standin.books.every("refund")) == back
    assert sum(o.state in OPEN for o in found) <= 1
    assert not [o.number for o in found if o.unpaid]
    sold = sum(o.state is not State.CANCELLED for o in found)
    assert [(1000 - sold,)] == shop.sql("select stock from offer")
    assert len(shop.told) == len({event.key for event in shop.told})
