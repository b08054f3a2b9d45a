"""The main job, whole: from a published reading to a paid order and the next cycle.

A real broker, a real database, real HTTP and a real mail server; the three processes of a deployment, each its own.
The unit here is a few lines of paho: whoever wants to know what a device must do can read them.
"""

import email
import email.policy
import json
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import paho.mqtt.client as mqtt
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from commerce.standin.app import build
from commerce.standin.books import Books
from commerce.standin.serve import serving
from gateway import clock, settings
from gateway.db import pool
from gateway.demo.browser import Browser
from gateway.operate import broker, catalogue
from gateway.operate.house import House
from gateway.registry import declaration, owners, units

if TYPE_CHECKING:
    from email.message import EmailMessage

GTIN = "09520000000011"
MAKER = """
tenant = "maker"
name = "An appliance maker"
[[models]]
gtin = "09520000000011"
name = "Air purifier"
[[models.slots]]
code = "hepa"
name = "HEPA filter"
life_h = 450
life_d = 365
"""
PARTS = """\
sku,name,model,slot,region,currency,price,tax_percent,shipping,delivery_days
HEPA-1,HEPA filter,9520000000011,hepa,DE,EUR,34.90,19,3.90,3
"""
ADDRESS = {"name": "An owner", "line1": "1 Sample Street", "postal_code": "10115", "city": "Berlin", "country": "DE"}
DAY_A_SECOND = 86_400
HISTORY = timedelta(days=60)
H_PER_DAY = 7.2  # 432 of 450 rated hours by now
PATIENCE_S = 90
T = TypeVar("T")


class Letterbox:
    """A mail server that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's
        mail = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)  # type: ignore[arg-type]  # bytes, which its type does not say
        self.mails.append(mail)
        return "250 taken"


class Appliance:
    """One unit: publishes, keeps what it hears."""

    def __init__(self, url: str, device: str, secret: str) -> None:
        self.device = device
        self.heard: dict[str, Any] = {}
        self.retained: set[str] = set()
        self.receipted = 0
        self._welcome = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, device, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(device, secret)
        self._client.on_connect = self._connected
        self._client.on_message = self._hear
        host, port = url.removeprefix("mqtt://").split(":")
        self._client.connect(host, int(port))
        self._client.loop_start()
        assert self._welcome.wait(15), "the broker does not let the unit in"

    def _connected(self, client: mqtt.Client, _: object, __: object, reason: ReasonCode, ___: object) -> None:
        if not reason.is_failure:  # a broker that was told of a new unit a moment ago may refuse it once
            client.subscribe(f"ww/v1/{self.device}/dn/#", qos=1)
            self._welcome.set()

    def _hear(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        leaf, said = message.topic.rpartition("/")[2], json.loads(message.payload)
        self.heard[leaf] = said
        if leaf == "receipt":
            self.receipted = max(self.receipted, said.get("through", 0))

    def say(self, leaf: str, message: dict[str, Any], *, retain: bool = False) -> None:
        done = self._client.publish(f"ww/v1/{self.device}/{leaf}", json.dumps({"v": 1, "s": 1} | message), 1, retain)
        done.wait_for_publish(20)
        assert done.is_published()

    def live(self, began: datetime, until: datetime) -> int:
        """Publish a sample every six hours and return the last sequence number."""
        hours = range(0, int((until - began) / timedelta(hours=1)), 6)
        samples = [[hour * 3600, {"runtime": round(hour / 24 * H_PER_DAY, 3), "pm25": 9}] for hour in hours]
        for first in range(0, len(samples), 100):
            batch = {"q": first + 1, "t": began.timestamp(), "c": "synced", "r": samples[first : first + 100]}
            self.say("tlm", batch)
        return len(samples)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def soon(look: Callable[[], T | None], what: str, house: House) -> T:
    """Return what can be seen before patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"never came: {what}"
        house.supervisor.watch()
        time.sleep(0.1)
    return found


@contextmanager
def letters() -> Iterator[tuple[Letterbox, str]]:
    box = Letterbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the house's processes said; the last of it is shown beside a failure."""
    said: list[str] = []
    yield said
    sys.stdout.write("the house's last lines:\n" + "\n".join(said[-60:]) + "\n")


@pytest.fixture
def house(open_folder: Path, lines: list[str]) -> Iterator[tuple[House, Letterbox, Books]]:
    """A whole deployment in the test's folder, with a mail server and the payment stand-in."""
    listening = threading.Event()

    def log(name: str, line: str) -> None:
        lines.append(f"{name} | {line}")
        if name == "ingest" and "subscribed" in line:
            listening.set()

    books, hook_secret = Books(time.time), f"whsec_{secrets.token_hex(16)}"
    running = House(settings.Settings(data_dir=open_folder, http_port=0, metrics_port=0), log)
    with letters() as (box, smtp_url), running:
        running.prepare()
        hook = f"{running.public_url}/webhooks/stripe"
        with serving(build(webhook=hook, secret=hook_secret, books=books)) as stripe_url:
            now = clock.wall()
            pace = f"{now.isoformat()},{now.isoformat()},{DAY_A_SECOND}"
            running.env |= settings.environment(
                pace=pace,
                smtp_url=smtp_url,
                stripe_url=stripe_url,
                stripe_key="rk_test_journey",
                stripe_webhook_secrets=hook_secret,
                log_level="info",
            )
            clock.accelerate(clock.pace_from(pace))
            try:
                running.start_services()
                assert running.serves(within_s=30), lines
                assert listening.wait(30), lines
                yield running, box, books
            finally:
                clock.accelerate(None)
                running.stop()


@pytest.mark.timeout(240)
def test_from_a_published_reading_to_a_paid_order_and_the_next_cycle(house: tuple[House, Letterbox, Books]) -> None:
    """One prompt, one tap, one charge of what was shown, one parcel, and a new cycle once the part is fitted."""
    running, box, books = house
    born = clock.now() - HISTORY
    with closing(pool.connect(running.database, pool.Role.GATEWAY)) as conn:
        conn.autocommit = True

        def one(query: str, *arguments: object) -> tuple[Any, ...]:
            row = conn.execute(query, arguments).fetchone()
            return row if row is not None else ()

        tenant = declaration.declare(conn, declaration.read(MAKER))
        catalogue.store(conn, tenant, PARTS, born)
        made = units.enrol(conn, tenant, GTIN, "A0001", now=born, name="Kitchen purifier")
        unit_id, party = made.unit.unit_id, {"email": "owner@example.com", "address": ADDRESS, "now": born}
        owners.register(conn, tenant, unit_id, **party)
        told = broker.refresh(conn, running.settings.data_dir, user=running.settings.mqtt_username)
        assert told, "the broker does not act on its new files"
        with closing(Appliance(running.units_url, str(made.unit.device), str(made.secret))) as unit:
            walk(running, one, unit, box, born)
        check_the_books(conn, one, box, books)


def walk(running: House, one: Callable[..., tuple[Any, ...]], unit: Appliance, box: Letterbox, born: datetime) -> None:
    unit.say("state", {"state": "online", "fw": "1.0"}, retain=True)
    last = unit.live(born, clock.now())
    soon(lambda: unit.receipted == last, "the receipt for everything that was said", running)
    assert (last,) == one("select count(distinct seq) from reading")

    mail = soon(lambda: box.mails[0] if box.mails else None, "the prompt", running)
    assert mail["subject"].startswith("HEPA filter in Kitchen purifier")
    assert "hepa" in soon(lambda: unit.heard.get("forecast"), "the forecast at the unit", running)["slots"]
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # every mail has a plain part
    assert "€38.80" in text
    link = re.search(r"http://\S+/p/[A-Za-z0-9_-]{20,}", text)
    assert link is not None
    with Browser() as browser:
        browser.open(link.group())
        browser.press("/order")
        browser.press("/pay/")

    soon(lambda: one("select 1 from purchase where state = 'delivered'"), "the parcel", running)
    unit.say("evt", {"id": "f1", "t": clock.now().timestamp(), "c": "synced", "type": "part_fitted", "slot": "hepa", "part": "HEPA-1", "by": "button"})  # fmt: skip  # noqa: E501  # one message, one line
    soon(lambda: one("select 1 from purchase where state = 'fitted'"), "the end of the order", running)
    soon(
        lambda: one(
            "select 1 from slot_state st join cycle c using (cycle_id) where c.source = 'device' and st.pct_left > 90"
        ),
        "the forecast of the next cycle",
        running,
    )


def check_the_books(
    conn: psycopg.Connection, one: Callable[..., tuple[Any, ...]], box: Letterbox, books: Books
) -> None:
    assert (1, "closed") == one("select count(*), max(state) from prompt")
    assert (1, 3880, "EUR") == one("select count(*), sum(total_minor)::int, max(currency) from purchase")
    assert (1, 3880) == one("select count(*), sum(amount_minor)::int from payment where state = 'captured'")
    with books.lock:
        assert [3880] == [intent["amount_received"] for intent in books.every("payment_intent")]
    assert ("worn", True) == one("select removed_reason, label is not null from cycle where not upper_inf(period)")
    assert ("HEPA-1", "device") == one(
        "select p.sku, c.source from cycle c join part p using (part_id) where upper_inf(c.period)"
    )
    subjects = [str(mail["subject"]) for mail in box.mails]
    assert 1 == sum("left" in subject or "due" in subject for subject in subjects), subjects
    states = [row[0] for row in conn.execute("select state from purchase_step order by step")]
    assert ["paid", "released", "shipped", "delivered", "fitted"] == states[-5:]
