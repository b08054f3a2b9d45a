"""A small shop for tests: a unit with an owner, a part that fits, the desk, and the payment stand-in over real HTTP."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commerce import attempts, fit, orders, quotes
from commerce.desk import Desk, Placed
from commerce.fit import Fit, Place
from commerce.order_events import OrderEvent
from commerce.orders import Order
from commerce.quotes import Quote
from commerce.standin import hooks
from commerce.standin.app import build
from commerce.standin.books import Books, Thing
from commerce.standin.knobs import Knobs
from commerce.standin.serve import serving
from commerce.stripe_payments import StripePayments
from gateway.db import pool
from gateway.registry import declaration, models, owners, units

KEY = "sk_test_stand_in"
SECRET = "whsec_test"
GTIN = "04006381333931"
BORN = datetime(2026, 1, 1, tzinfo=UTC)
HOME = {"name": "An owner", "line1": "1 Sample Street", "postal_code": "10115", "city": "Berlin", "country": "DE"}
RETURN = "https://shop.example.com/orders/{number}"
TOML = """
tenant = "acme"
name = "An appliance maker"
[[models]]
gtin = "4006381333931"
name = "Purifier"
[[models.slots]]
code = "hepa"
name = "Filter"
life_h = 1000
life_d = 365
"""


@dataclass
class StandIn:
    """The stand-in: its address, and what is inside it."""

    url: str
    books: Books
    knobs: Knobs

    def intents(self) -> list[Thing]:
        return list(self.books.every("payment_intent"))

    def sessions(self) -> list[Thing]:
        return list(self.books.every("checkout.session"))

    def taken(self) -> int:
        """What left the cards for good, in minor units."""
        back = sum(r["amount"] for r in self.books.every("refund"))
        return sum(i["amount_received"] for i in self.intents()) - back

    def held(self) -> int:
        return sum(i["amount_capturable"] for i in self.intents())

    def events(self) -> list[Thing]:
        """Every event so far, first one first."""
        return list(self.books.every("event"))[::-1]

    def pay(self, url: str, card: str = "pm_card_visa", **given: str) -> httpx.Response:
        """Pay a hosted page as a person would, and return what came back: a redirect, or the page with its reason."""
        with httpx.Client(trust_env=False) as browser:
            assert "No money moves" in browser.get(url).text
            return browser.post(url, data={"card": card, **given})


@dataclass
class Shop:
    """One tenant with one unit, its owner, and a part at 24.90 EUR and 3.90 EUR shipping."""

    dsn: str
    pool: ConnectionPool
    standin: StandIn
    payments: StripePayments
    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    party_id: int
    site_id: int
    place: Place
    told: list[OrderEvent] = field(default_factory=list)
    shift: timedelta = timedelta()

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def now(self) -> datetime:
        return BORN + timedelta(days=300) + self.shift

    @contextmanager
    def begin(self, tenant_id: int) -> Iterator[psycopg.Connection]:
        with self.pool.connection() as conn:
            yield conn

    def tell(self, conn: psycopg.Connection, event: OrderEvent) -> None:
        self.told.append(event)

    def desk(self, **changed: Any) -> Desk:
        """Return a desk; one call makes one worker."""
        given = {"payments": self.payments, "begin": self.begin, "tell": self.tell, "now": self.now, "wall": self.wall}
        return Desk(**(given | changed))

    def quote(self, lifetime: timedelta = quotes.LIFETIME) -> Quote:
        with self.begin(self.tenant_id) as conn:
            part = fit.part_for(conn, self.place, self.now())
            assert isinstance(part, Fit)
            return quotes.make(
                conn,
                unit_id=self.unit_id,
                cycle_id=self.cycle_id,
                place=self.place,
                fit=part,
                wall=self.wall(),
                lifetime=lifetime,
            )

    def tap(self, desk: Desk | None = None, quote: Quote | None = None, **changed: Any) -> Placed:
        given: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "quote_id": (quote or self.quote()).quote_id,
            "party_id": self.party_id,
            "site_id": self.site_id,
            "email": "owner@example.com",
            "return_url": RETURN,
        }
        return (desk or self.desk()).tap(**(given | changed))

    def guest(self, desk: Desk | None = None, quote: Quote | None = None) -> Placed:
        quote_id = (quote or self.quote()).quote_id
        return (desk or self.desk()).guest(tenant_id=self.tenant_id, quote_id=quote_id, return_url=RETURN)

    def save_card(self, method: str = "pm_card_visa") -> str:
        """Let the owner have a card that was kept with their consent; return its id at the provider."""
        client = self.payments._client
        customer = self.payments.customer("owner@example.com", "test")
        card = client.v1.payment_methods.attach(method, {"customer": customer}).id
        self.standin.books.things[card]["allow_redisplay"] = "always"
        with self.begin(self.tenant_id) as conn:
            conn.execute(
                """insert into customer (tenant_id, party_id, provider_id, payment_method, card)
                   values (%s, %s, %s, %s, %s)""",
                (self.tenant_id, self.party_id, customer, card, "Visa ••4242"),
            )
        return card

    def order(self, placed: Placed) -> Order:
        with self.begin(self.tenant_id) as conn:
            return orders.get(conn, placed.order.order_id)

    def attempts(self, placed: Placed) -> list[attempts.Attempt]:
        """An order's attempts to charge, first one first."""
        with self.begin(self.tenant_id) as conn:
            return attempts.of_order(conn, placed.order.order_id)[::-1]

    def orders(self) -> list[Order]:
        with self.begin(self.tenant_id) as conn:
            return orders.of_unit(conn, self.unit_id)

    def states(self, placed: Placed) -> list[str]:
        """Every state an order went through."""
        with self.begin(self.tenant_id) as conn:
            return [str(s.state) for s in orders.steps(conn, placed.order.order_id)]

    def sql(self, query: str, *values: object) -> list[Any]:
        with self.pool.connection() as conn:
            found = conn.execute(query.encode(), values)
            return found.fetchall() if found.description is not None else []

    def signed(self, event: Thing, secret: str = SECRET, at: int | None = None) -> tuple[bytes, str]:
        """An event as the provider posts it: its body and its signature."""
        body = json.dumps(event)
        return body.encode(), hooks.signature(body, [secret], int(time.time()) if at is None else at)

    def deliver(self, desk: Desk, events: list[Thing]) -> None:
        """Let events arrive at the desk as webhooks, in this order, and be worked on."""
        for event in events:
            body, signature = self.signed(event)
            if received := desk.receive(body, signature, [SECRET]):
                desk.hear(desk.source, received[1])

    def kinds(self) -> list[str]:
        return [event.type for event in self.told]


@contextmanager
def stand_in(**given: Any) -> Iterator[StandIn]:
    app = build(secret=SECRET, **given)
    with serving(app) as url:
        books: Books = app.state.books
        books.page_url = url
        yield StandIn(url, books, app.state.knobs)


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """The payment stand-in, served over real HTTP."""
    with stand_in() as served:
        yield served


@pytest.fixture
def shop(dsn: str, standin: StandIn) -> Iterator[Shop]:
    """A unit, its owner, a part that fits, and a desk over the stand-in."""
    with ExitStack() as stack:
        connections = stack.enter_context(pool.open_pool(dsn, pool.Role.GATEWAY))
        payments = StripePayments(KEY, url=standin.url, retries=0, timeout_s=2)
        stack.callback(payments.close)
        with connections.connection() as conn:
            made = _furnish(conn)
        built = Shop(dsn=dsn, pool=connections, standin=standin, payments=payments, **made)
        standin.books.clock = lambda: built.wall().timestamp()
        yield built


def _furnish(conn: psycopg.Connection) -> dict[str, Any]:
    tenant_id = declaration.declare(conn, declaration.read(TOML))
    model = models.by_gtin(conn, GTIN)
    slot = models.slots(conn, model.model_id)[0]
    unit_id = units.enrol(conn, tenant_id, GTIN, "A1", now=BORN).unit.unit_id
    party_id = owners.register(conn, tenant_id, unit_id, email="owner@example.com", now=BORN, address=HOME)
    part_id = add_part(conn, tenant_id, model.model_id, slot.slot_id)
    cycle_id = one(
        conn,
        """insert into cycle (tenant_id, model_id, unit_id, slot_id, part_id, period, source)
           values (%s, %s, %s, %s, %s, tstzrange(%s, null), 'factory') returning cycle_id""",
        (tenant_id, model.model_id, unit_id, slot.slot_id, part_id, BORN),
    )
    site_id = one(conn, "select site_id from site where party_id = %s", (party_id,))
    return {
        "tenant_id": tenant_id,
        "unit_id": unit_id,
        "slot_id": slot.slot_id,
        "cycle_id": cycle_id,
        "party_id": party_id,
        "site_id": site_id,
        "place": Place(tenant_id, model.model_id, slot.slot_id, "A1", "", "DE"),
    }


def add_part(conn: psycopg.Connection, tenant_id: int, model_id: int, slot_id: int, **given: Any) -> int:
    """Add a part that fits, at 24.90 EUR with 19 % tax and 3.90 EUR shipping unless told otherwise."""
    row = {
        "tenant_id": tenant_id,
        "sku": "HEPA-1",
        "name": "HEPA filter",
        "pack_size": 1,
        "currency": "EUR",
        "price": 2490,
        "tax_bp": 1900,
        "shipping": 390,
        "stock": 5,
        "model_id": model_id,
        "slot_id": slot_id,
    } | given
    row["part_id"] = one(
        conn,
        """insert into part (tenant_id, sku, name, pack_size) values (%(tenant_id)s, %(sku)s, %(name)s, %(pack_size)s)
           returning part_id""",
        row,
    )
    conn.execute(
        """insert into fitment (tenant_id, part_id, model_id, slot_id)
           values (%(tenant_id)s, %(part_id)s, %(model_id)s, %(slot_id)s)""",
        row,
    )
    conn.execute(
        """insert into offer (tenant_id, part_id, region, currency, price_minor, tax_bp, shipping_minor, stock)
           values (%(tenant_id)s, %(part_id)s, 'DE', %(currency)s, %(price)s, %(tax_bp)s, %(shipping)s, %(stock)s)""",
        row,
    )
    return int(row["part_id"])


def one(conn: psycopg.Connection, query: str, values: Any) -> Any:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]
