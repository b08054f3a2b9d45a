"""A house with its web, served: one maker, units with owners, a payment stand-in, a worker on call."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from commerce.desk import Desk, OrderEvent
from commerce.no_payments import NoPayments
from commerce.standin import app as standin_app
from commerce.standin.books import Books
from commerce.standin.serve import serving
from commerce.stripe_payments import StripePayments
from commerce.till import Begin
from gateway import clock
from gateway.db import pool
from gateway.events import Event, EventType
from gateway.registry import declaration, history, links, models, owners, staff, units
from gateway.registry.units import Unit
from gateway.settings import Settings
from gateway.web import visits
from gateway.web.app import build
from gateway.web.services import Services
from gateway.worker.worker import Worker

GTIN = "04006381333931"
EMAIL, PASSWORD = "owner@example.com", "correct horse battery"
HOOK_SECRET = "whsec_web_tests"
ADDRESS = {"name": "An owner", "line1": "1 Sample Street", "postal_code": "10115", "city": "Berlin", "country": "DE"}
TOML = """
tenant = "{slug}"
name = "An appliance maker"
[[models]]
gtin = "{gtin}"
name = "Air purifier 3"
[[models.slots]]
code = "hepa"
name = "Filter"
life_h = 4000
life_d = 365
[[models.slots]]
code = "carbon"
name = "Carbon filter"
life_h = 4000
life_d = 365
"""


@dataclass
class WebHouse:
    """The app with what it works on; `conn` sees every tenant, and commits by itself."""

    app: FastAPI
    settings: Settings
    conn: psycopg.Connection
    worker: Worker
    desk: Desk
    tenant_id: int
    slots: dict[str, int] = field(default_factory=dict)
    books: Books = field(default_factory=lambda: Books(time.time))
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.Client:
        """Return a browser of its own."""
        client = httpx.Client(base_url=self.settings.public_url, timeout=30, headers=headers)
        self.clients.append(client)
        return client

    def unit(
        self, serial: str = "7Q4T2M9XKD3F8A1B", *, radio: bool = True, name: str | None = "Kitchen", gtin: str = GTIN
    ) -> Unit:
        """Enrol a unit that was heard a moment ago, with nobody owning it."""
        unit = units.enrol(self.conn, self.tenant_id, gtin, serial, radio=radio, name=name, now=clock.now()).unit
        if radio:
            self.conn.execute(
                "update unit set last_seen_at = %s, connection = 'online' where unit_id = %s",
                (clock.now() - timedelta(minutes=4), unit.unit_id),
            )
        return units.get(self.conn, unit.unit_id)

    def own(self, unit: Unit, email: str = EMAIL) -> int:
        """Give a unit to a person and return their party id."""
        at = clock.now() - timedelta(days=1)
        return owners.register(self.conn, self.tenant_id, unit.unit_id, email=email, address=ADDRESS, now=at)

    def link(self, unit: Unit, party_id: int, slot: str = "hepa", prompt_id: int | None = None) -> str:
        """Return the token of a mail about a slot."""
        return links.mint(
            self.conn,
            tenant_id=self.tenant_id,
            party_id=party_id,
            purpose="prompt",
            unit_id=unit.unit_id,
            slot_id=self.slots[slot],
            prompt_id=prompt_id,
            lifetime=timedelta(days=60),
        )

    def stand(
        self,
        unit: Unit,
        slot: str = "hepa",
        *,
        left_d: tuple[float, float, float] = (28, 42, 63),
        pct: float = 23,
        stage: str = "soon",
        basis: str = "measured",
        stale: bool = False,
        fitted_d: float = 250,
        reasons: tuple[dict[str, Any], ...] = ({"code": "used", "value": 3080.0, "of": 4000.0},),
    ) -> int:
        """Let a slot stand so: its cycle, its forecast, its state; return the cycle's id."""
        now, slot_id = clock.now(), self.slots[slot]
        cycle = self.conn.execute(
            """insert into cycle (tenant_id, model_id, unit_id, slot_id, period, source)
               values (%s, %s, %s, %s, tstzrange(%s, null), 'factory') returning cycle_id""",
            (self.tenant_id, unit.model_id, unit.unit_id, slot_id, now - timedelta(days=fitted_d)),
        ).fetchone()
        assert cycle
        eol = [now + timedelta(days=d) for d in left_d]
        order_at = eol[1] - timedelta(days=5)
        forecast = self.conn.execute(
            """insert into forecast (tenant_id, unit_id, slot_id, cycle_id, made_at, eol_q10, eol_q50, eol_q90,
                 order_at, pct_left, basis, predictor, reasons, inputs)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'weibull', %s, '{}') returning forecast_id""",
            (
                self.tenant_id, unit.unit_id, slot_id, cycle[0], now, *eol, order_at, pct, basis,
                Jsonb({"sentence": "It has run a lot.", "parts": [{"text": "", **r} for r in reasons]}),
            ),
        ).fetchone()  # fmt: skip
        assert forecast
        self.conn.execute(
            """insert into slot_state (tenant_id, unit_id, slot_id, cycle_id, forecast_id, stage, pct_left, eol_q10,
                 eol_q50, eol_q90, order_at, basis, stale, updated_at)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            (
                self.tenant_id, unit.unit_id, slot_id, cycle[0], forecast[0], stage, pct, *eol, order_at, basis,
                stale, now,
            ),
        )  # fmt: skip
        return int(cycle[0])

    def prompt(self, unit: Unit, party_id: int, cycle_id: int, slot: str = "hepa") -> int:
        """Ask the owner, as replenish/prompts.py would."""
        row = self.conn.execute(
            """insert into prompt (tenant_id, unit_id, slot_id, cycle_id, party_id, key, created_at)
               values (%s, %s, %s, %s, %s, %s, %s) returning prompt_id""",
            (
                self.tenant_id, unit.unit_id, self.slots[slot], cycle_id, party_id, f"replace:{cycle_id}", clock.now(),
            ),
        ).fetchone()  # fmt: skip
        assert row
        return int(row[0])

    def due(self, serial: str = "7Q4T2M9XKD3F8A1B") -> tuple[Unit, int, str]:
        """Return a unit whose filter is due soon, its owner, and the token of the mail that says so."""
        unit = self.unit(serial)
        party_id = self.own(unit)
        cycle_id = self.stand(unit)
        self.stand(unit, "carbon", left_d=(190, 240, 300), pct=71, stage="ok")
        return unit, party_id, self.link(unit, party_id, prompt_id=self.prompt(unit, party_id, cycle_id))

    def keep_card(self, party_id: int) -> None:
        """Let the provider keep a card of the owner's that pays."""
        payments = self.desk._payments
        assert isinstance(payments, StripePayments)
        customer = payments.customer(EMAIL, f"{self.tenant_id}:{party_id}")
        card = payments._client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        self.books.things[card]["allow_redisplay"] = "always"
        self.conn.execute(
            """insert into customer (tenant_id, party_id, provider_id, payment_method, card)
               values (%s, %s, %s, %s, 'Visa 4242')""",
            (self.tenant_id, party_id, customer, card),
        )

    def work(self) -> list[str]:
        """Do every job that waits, as the worker would; return their names."""
        done = []
        while True:
            row = self.conn.execute(
                """select id, task_name, args from procrastinate_jobs
                   where status = 'todo' and (scheduled_at is null or scheduled_at <= %s) order by id limit 1""",
                (clock.wall(),),
            ).fetchone()
            if row is None:
                return done
            self.conn.execute("update procrastinate_jobs set status = 'succeeded' where id = %s", (row[0],))
            getattr(self.worker, row[1])(**row[2])
            done.append(row[1])

    def staff(self, role: str = "admin", email: str = "staff@example.com") -> int:
        """Add a staff member."""
        return staff.create(
            self.conn,
            tenant_id=self.tenant_id,
            email=email,
            password=PASSWORD,
            role=role,  # type: ignore[arg-type]  # a role by its name
            wall=clock.wall(),
        )

    def at_desk(self, role: str = "admin") -> httpx.Client:
        """Return a browser that a staff member signed in with."""
        self.staff(role, f"{role}@example.com")
        client = self.client()
        fields = {"email": f"{role}@example.com", "password": PASSWORD}
        answer = client.post("/console/login", data=fields, headers=SAME)
        assert 303 == answer.status_code, answer.text
        return client

    def counts(self) -> dict[str, int]:
        """Return how many rows each table holds, and a digest of what they say."""
        tables = self.conn.execute(
            """select relname from pg_class where relnamespace = 'wearwell'::regnamespace and relkind in ('r', 'p')
               and not relispartition order by relname"""
        ).fetchall()
        found = {}
        for (name,) in tables:
            row = self.conn.execute(
                f"select coalesce(sum(hashtextextended(t::text, 0)), 0)::text from wearwell.{name} t"
            ).fetchone()
            assert row
            found[name] = row[0]
        return found


def tell(conn: psycopg.Connection, told: OrderEvent) -> None:
    """Record what the desk tells."""
    payload = {"order_id": told.order_id} | ({"card_kept": True} if told.card_kept else {})
    kind = EventType(told.type)
    history.record(conn, Event(told.tenant_id, told.unit_id, told.slot_id, kind, told.key, told.at, payload))


def transactions(pool_: ConnectionPool) -> Begin:
    """Return what opens one transaction for a tenant; 0: the gateway's, which sees every one."""
    return lambda tenant_id: pool.for_tenant(pool_, tenant_id) if tenant_id else pool_.connection()


SAME = {"sec-fetch-site": "same-origin"}


@contextmanager
def open_house(
    dsn: str, *, pay: bool = True, slug: str = "acme", gtin: str = GTIN, demo: bool = False
) -> Iterator[WebHouse]:
    """Open the house on a migrated database; without `pay` nothing can be ordered in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    public_url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        conn = stack.enter_context(pool.connect(dsn, pool.Role.GATEWAY))
        conn.autocommit = True
        tenant_id, slots = maker(conn, slug, gtin)
        books, standin = Books(time.time), None
        if pay:
            till = standin_app.build(webhook=f"{public_url}/webhooks/stripe", secret=HOOK_SECRET, books=books)
            standin = stack.enter_context(serving(till))
        settings = Settings(
            _env_file=None,
            public_url=public_url,
            stripe_key="sk_test_web" if pay else None,
            stripe_webhook_secrets=[HOOK_SECRET],
            stripe_url=standin,
        )
        payments = stack.enter_context(closing(StripePayments("sk_test_web", url=standin))) if pay else NoPayments()
        app_pool = stack.enter_context(pool.open_pool(dsn, pool.Role.APP, size=6))
        gateway_pool = stack.enter_context(pool.open_pool(dsn, pool.Role.GATEWAY, size=4))
        undo = timedelta(minutes=30)
        desk = Desk(payments, transactions(app_pool), tell, clock.now, clock.wall, undo=undo)
        worker_desk = Desk(payments, transactions(gateway_pool), tell, clock.now, clock.wall, undo=undo)
        worker = Worker(settings, dsn, gateway_pool, worker_desk, fulfil=False)
        app = build(Services(app_pool, desk, settings, demo=demo, demo_tenants=(slug,)))
        stack.enter_context(serving(app, port))
        house = WebHouse(app, settings, conn, worker, worker_desk, tenant_id, slots, books)
        yield house
        for client in house.clients:
            client.close()


def maker(conn: psycopg.Connection, slug: str = "acme", gtin: str = GTIN) -> tuple[int, dict[str, int]]:
    """Declare a maker with one model of two slots and a part for each, 39.90 EUR with tax, there in three days."""
    tenant_id = declaration.declare(conn, declaration.read(TOML.format(slug=slug, gtin=gtin)))
    conn.execute("select reading_partitions(%s, %s)", (clock.now() - timedelta(days=400), clock.now()))
    model = models.by_gtin(conn, gtin)
    slots = {slot.code: slot.slot_id for slot in models.slots(conn, model.model_id)}
    for code, slot_id in slots.items():
        part = conn.execute(
            "insert into part (tenant_id, sku, name) values (%s, %s, %s) returning part_id",
            (tenant_id, f"P-{code}", "HEPA filter H13" if code == "hepa" else "Carbon filter"),
        ).fetchone()
        assert part
        conn.execute(
            "insert into fitment (tenant_id, part_id, model_id, slot_id) values (%s, %s, %s, %s)",
            (tenant_id, part[0], model.model_id, slot_id),
        )
        conn.execute(
            """insert into offer (tenant_id, part_id, region, currency, price_minor, tax_bp, delivery_d)
               values (%s, %s, 'DE', 'EUR', 3990, 1900, 3)""",
            (tenant_id, part[0]),
        )
    return tenant_id, slots


def code(unit: Unit) -> str:
    """Return the path of a unit's code."""
    return visits.code_path(unit.gtin, unit.serial)


def path(url: str) -> str:
    """Return the path of an address."""
    return urlsplit(url).path
