"""The webhook door, health, and the demo's mailbox."""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from psycopg import conninfo
from psycopg.types.json import Jsonb

from commerce.standin import hooks
from gateway import clock
from tests.integration.test_web_owner import press
from tests.integration.web_house import EMAIL, HOOK_SECRET, WebHouse, open_house

if TYPE_CHECKING:
    from gateway.web.services import Services


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


def event(house: WebHouse, event_id: str = "evt_1") -> str:
    metadata = {"tenant_id": str(house.tenant_id), "order_id": "1", "key": "WW-1:1"}
    thing = {"id": "pi_1", "object": "payment_intent", "metadata": metadata}
    return json.dumps(
        {
            "id": event_id, "object": "event", "type": "payment_intent.succeeded", "livemode": False,
            "created": int(time.time()), "api_version": "2026-10-28", "data": {"object": thing},
        }
    )  # fmt: skip


def post(house: WebHouse, body: str, signature: str) -> int:
    headers = {"stripe-signature": signature, "content-type": "application/json"}
    return house.client().post("/webhooks/stripe", content=body, headers=headers).status_code


def stored(house: WebHouse) -> tuple[int, int]:
    row = house.conn.execute(
        """select (select count(*) from provider_event),
             (select count(*) from procrastinate_jobs where task_name = 'hear')"""
    ).fetchone()
    assert row
    return row[0], row[1]


def test_what_the_provider_signed_is_stored_once_and_worked_on(house: WebHouse) -> None:
    """No browser headers, a good signature: 200; five times the same is one row."""
    body = event(house)
    for _ in range(5):
        assert 200 == post(house, body, hooks.signature(body, [HOOK_SECRET], int(time.time())))
    rows, jobs = stored(house)
    assert 1 == rows
    assert jobs >= 1
    house.work()
    assert 200 == post(house, body, hooks.signature(body, [HOOK_SECRET], int(time.time())))
    assert (1, jobs) == stored(house)


@pytest.mark.parametrize(
    ("secret", "shift"), [("whsec_wrong", 0), ("", 0), (HOOK_SECRET, -3600), (HOOK_SECRET, 3600)], ids=str
)
def test_a_bad_stale_or_future_signature_has_no_effect(house: WebHouse, secret: str, shift: int) -> None:
    """Each answers 400 and stores nothing (S25)."""
    body = event(house)
    assert 400 == post(house, body, hooks.signature(body, [secret], int(time.time()) + shift))
    assert 400 == post(house, body, "")
    assert 400 == post(house, "not json", "t=1,v1=00")
    assert (0, 0) == stored(house)


def test_refused_messages_are_counted_and_then_held_off(house: WebHouse) -> None:
    """Somebody who keeps guessing gets 429 with Retry-After."""
    for _ in range(60):
        assert 400 == post(house, "{}", "t=1,v1=00")
    answer = house.client().post("/webhooks/stripe", content="{}")
    assert 429 == answer.status_code
    assert int(answer.headers["retry-after"]) > 0


def test_what_is_signed_is_taken_however_much_junk_came_before(house: WebHouse) -> None:
    """Junk from one address, behind a proxy say, does not hold off the provider: no payment is heard of late."""
    for _ in range(61):
        house.client().post("/webhooks/stripe", content="{}")
    body = event(house)
    assert 200 == post(house, body, hooks.signature(body, [HOOK_SECRET], int(time.time())))
    assert (1, 1) == stored(house)


def test_health_and_readiness(house: WebHouse) -> None:
    """Alive says ok; ready asks the database and whatever was registered."""
    client = house.client()
    assert "ok" == client.get("/healthz").text
    assert {"ready": True, "checks": {"database": "ok"}} == client.get("/readyz").json()
    assert 200 == client.get("/startupz").status_code
    services: Services = house.app.state.services
    object.__setattr__(services, "checks", {"broker": lambda: "the broker does not answer"})
    answer = client.get("/readyz")
    assert 503 == answer.status_code
    assert "the broker does not answer" == answer.json()["checks"]["broker"]


def test_a_missing_migration_is_not_ready(house: WebHouse, dsn: str) -> None:
    """A database behind the code does not get requests."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("delete from wearwell.migration where name like '0005%'")
    answer = house.client().get("/readyz")
    assert 503 == answer.status_code
    assert "wearwell migrate" in answer.json()["checks"]["database"]


def test_without_its_database_the_house_is_alive_and_says_so(house: WebHouse, dsn: str) -> None:
    """The database gone: healthz 200, readyz 503, pages a polite 503 with Retry-After and no trace."""
    name = conninfo.conninfo_to_dict(dsn)["dbname"]
    _, _, token = house.due()
    with psycopg.connect(conninfo.make_conninfo(dsn, dbname="postgres"), autocommit=True) as owner:
        owner.execute(f"alter database {name} allow_connections false")
        try:
            owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            client = house.client()
            assert 200 == client.get("/healthz").status_code
            assert 503 == client.get("/readyz").status_code
            pages = [client.get(f"/p/{token}") for _ in range(3)]
            assert {503} == {page.status_code for page in pages}
            assert all("Traceback" not in page.text and "psycopg" not in page.text for page in pages)
            assert "30" == pages[0].headers["retry-after"]
        finally:
            owner.execute(f"alter database {name} allow_connections true")


def test_the_demos_mailbox_is_there_in_the_demo_only(house: WebHouse) -> None:
    """In the demo mails are read on a page; elsewhere there is no such page."""
    assert 404 == house.client().get("/outbox").status_code


def test_a_mail_is_shown_in_a_frame_that_can_do_nothing(dsn: str) -> None:
    """The demo lists mails, shows one in a sandboxed frame, and its links open in the whole window."""
    with open_house(dsn, demo=True) as house:
        house.due()
        mail = {
            "to": EMAIL, "subject": "Filter in Kitchen: about 6 weeks left", "text": "Hello",
            "html": "<html><head><style>p{color:red}</style></head><body><p>Hello</p></body></html>",
        }  # fmt: skip
        row = house.conn.execute(
            """insert into outbox (tenant_id, key, channel, kind, payload, created_at, due_at, sent_at, rendered)
               values (%s, 'x', 'email', 'prompt', '{}', %s, %s, %s, %s) returning message_id""",
            (house.tenant_id, clock.now(), clock.now(), clock.now(), Jsonb(mail)),
        ).fetchone()
        assert row
        client = house.client()
        assert "about 6 weeks left" in client.get("/outbox").text
        assert f'src="/outbox/{row[0]}/mail"' in client.get(f"/outbox/{row[0]}").text
        framed = client.get(f"/outbox/{row[0]}/mail")
        assert '<base target="_top">' in framed.text
        assert "sandbox" in framed.headers["content-security-policy"]
        assert "script" not in framed.headers["content-security-policy"]
        admin = house.at_desk("admin")
        assert "about 6 weeks left" in admin.get("/console/outbox").text
        assert 200 == admin.get(f"/console/outbox/{row[0]}").status_code


def test_the_payment_itself_comes_back_as_a_webhook(house: WebHouse) -> None:
    """Pay at the stand-in's page: its webhook arrives at our door, the worker hears it, the order is paid."""
    _, _, token = house.due()
    client = house.client()
    answer = press(client, client.get(f"/p/{token}").text, "/order")
    paid = httpx.post(answer.headers["location"], data={"card": "pm_card_visa"})
    assert paid.status_code in (200, 303)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        house.work()
        if "paid" == house.conn.execute("select state from purchase").fetchone()[0]:  # type: ignore[index]  # there is a row
            break
        time.sleep(0.1)
    assert "paid" == house.conn.execute("select state from purchase").fetchone()[0]  # type: ignore[index]  # there is a row
