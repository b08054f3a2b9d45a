"""Scenarios of commerce.md around what the provider tells: repeated, out of order, forged, with two secrets."""

import json
import random
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from commerce.desk import Desk
from commerce.errors import WebhookRefused
from commerce.standin.hooks import Hooks
from commerce.standin.serve import serving
from tests.shop import SECRET, Shop


def paid_on_the_page(shop: Shop, desk: Desk) -> list[dict[str, Any]]:
    """Let the page be paid, and return what the provider has to say about it."""
    shop.standin.pay(shop.tap(desk).go_to or "", keep="1")
    return shop.standin.events()


def test_s23_an_event_five_times_is_one_transition(shop: Shop) -> None:
    """S23: every event arrives five times; the order is paid once and told once."""
    desk = shop.desk()
    events = paid_on_the_page(shop, desk)
    shop.deliver(desk, events * 5)
    (order,) = shop.orders()
    assert [(1, "created"), (2, "paying"), (3, "paid")] == shop.sql(
        "select step, state from purchase_step where order_id = %s order by step", order.order_id
    )
    assert 1 == shop.kinds().count("order_paid")


@pytest.mark.parametrize("seed", range(4))
def test_s24_events_out_of_order_lead_to_the_same_end(shop: Shop, seed: int) -> None:
    """S24: whatever comes first, the truth is asked for, so the end is the same; the old news after the release too."""
    desk = shop.desk()
    events = paid_on_the_page(shop, desk)
    shuffled = random.Random(seed).sample(events, len(events))  # an order of events
    shop.deliver(desk, shuffled[:2])
    shop.deliver(desk, shuffled)
    (order,) = shop.orders()
    assert "paid" == order.state
    desk.release(shop.tenant_id, order.order_id)
    shop.sql("update provider_event set handled_at = null")
    shop.deliver(desk, shop.standin.events()[::-1])
    assert ["released"] == [str(o.state) for o in shop.orders()]
    assert (2880, 0) == (shop.standin.taken(), shop.standin.held())
    assert ["order_placed", "order_paid"] == shop.kinds()


def test_s24_what_a_release_says_may_come_before_what_the_payment_said(shop: Shop) -> None:
    """S24: the webhooks of payment and capture arrive backwards."""
    desk = shop.desk()
    paid_on_the_page(shop, desk)
    (order,) = shop.orders()
    desk.refresh(shop.tenant_id, order.order_id)
    desk.release(shop.tenant_id, order.order_id)
    shop.deliver(desk, shop.standin.events()[::-1])
    assert ["captured"] == [row[0] for row in shop.sql("select state from payment")]


@pytest.mark.parametrize(
    ("secret", "at", "signing", "said"),
    [
        ([SECRET], 0, "whsec_another", "No signatures found matching"),
        ([SECRET], -301, SECRET, "Timestamp outside"),
        ([SECRET], 400, SECRET, "future"),
        ([""], 0, "", "secret"),
        ([], 0, SECRET, "secret"),
    ],
    ids=["forged", "stale", "future", "empty secret", "no secret"],
)
def test_s25_a_signature_that_is_bad_stale_or_early_has_no_effect(
    shop: Shop, secret: list[str], at: int, signing: str, said: str
) -> None:
    """S25: refused, and nothing is stored."""
    desk = shop.desk()
    body, signature = shop.signed(paid_on_the_page(shop, desk)[-1], signing, int(time.time()) + at)
    with pytest.raises(WebhookRefused, match=said):
        desk.receive(body, signature, secret)
    assert [] == shop.sql("select from provider_event")


def test_s25_a_second_timestamp_does_not_hide_the_signed_one(shop: Shop) -> None:
    """S25: the first t is what is signed; one that is added behind it says nothing."""
    desk, now = shop.desk(), int(time.time())
    body, signature = shop.signed(paid_on_the_page(shop, desk)[-1], SECRET, now + 400)
    with pytest.raises(WebhookRefused, match="future"):
        desk.receive(body, f"{signature},t={now}", [SECRET])
    assert [] == shop.sql("select from provider_event")


@pytest.mark.parametrize("signature", [None, "", "t=1", "v1=abc", "t=x,v1=y", "t=1,v1=", "é"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[]", b'{"object": "event"}'])
def test_s25_no_bytes_are_an_error_of_ours(shop: Shop, body: bytes, signature: str | None) -> None:
    """S25: whatever is posted is refused, never a crash."""
    with pytest.raises(WebhookRefused):
        shop.desk().receive(body, signature, [SECRET])


def test_s25_signed_nonsense_and_other_modes_are_refused(shop: Shop) -> None:
    """S25: even signed, what is no event is refused, and so is a live event at a test key."""
    desk = shop.desk()
    live = {**paid_on_the_page(shop, desk)[-1], "livemode": True}
    for nonsense in ({"object": "event"}, [], {"object": "v2.core.event"}, live):
        body, signature = shop.signed(nonsense)  # type: ignore[arg-type]  # what the test is about
        with pytest.raises(WebhookRefused):
            desk.receive(body, signature, [SECRET])


def test_s26_while_the_secret_is_rotated_both_are_valid(shop: Shop) -> None:
    """S26: signed with the old one, the new one or both; after the overlap the old one is refused."""
    desk = shop.desk()
    *_, first, second = paid_on_the_page(shop, desk)
    both = [SECRET, "whsec_next"]
    for event, secret in ((first, SECRET), (second, "whsec_next")):
        assert (shop.tenant_id, event["id"]) == desk.receive(*shop.signed(event, secret), both)
    with pytest.raises(WebhookRefused):
        desk.receive(*shop.signed(first, SECRET), ["whsec_next"])


def test_s29_another_tenants_event_and_a_strangers_are_ignored(shop: Shop) -> None:
    """S29: an event that names an order of another tenant, a tenant that is not there, or nobody, moves nothing."""
    desk = shop.desk()
    event = paid_on_the_page(shop, desk)[-1]
    with shop.begin(0) as conn:
        row = conn.execute(
            "insert into tenant (slug, name, created_at) values ('other', 'Other', now()) returning tenant_id"
        ).fetchone()
    assert row is not None
    meta = event["data"]["object"]["metadata"]
    for number, tenant in enumerate((str(row[0]), "999", "x", None)):
        about = {**event["data"]["object"], "metadata": {**meta, "tenant_id": tenant}}
        shop.deliver(desk, [{**event, "id": f"evt_{number}", "data": {"object": about}}])
    (order,) = shop.orders()
    assert "paying" == order.state
    assert [("not about an order of ours",)] == shop.sql("select outcome from provider_event")


def test_a_payment_of_somebody_else_that_names_our_key_moves_nothing(shop: Shop) -> None:
    """What a webhook points at must itself carry the key."""
    desk = shop.desk()
    placed = shop.tap(desk)
    client = shop.payments._client
    stranger = client.v1.payment_intents.create({"amount": 1, "currency": "eur"}).id
    shop.sql("update payment set provider_id = %s", stranger)
    desk.refresh(shop.tenant_id, placed.order.order_id)
    assert "paying" == shop.order(placed).state


@pytest.mark.parametrize("knobs", [{"duplicate": 2}, {"reorder": 3}, {"drop": 1}, {}], ids=str)
def test_webhooks_come_over_http_whatever_the_network_does(shop: Shop, knobs: dict[str, Any]) -> None:
    """The stand-in posts, is answered 500 at first, and posts again; the order is paid once."""
    desk = shop.desk()
    refused: list[int] = []

    def work(body: bytes, signature: str | None) -> int:
        if not refused:
            refused.append(1)
            return 500
        if received := desk.receive(body, signature, [SECRET]):
            desk.hear(desk.source, received[1])
        return 200

    async def hear(request: Request) -> PlainTextResponse:
        raw = await request.body()
        return PlainTextResponse("", await run_in_threadpool(work, raw, request.headers.get("stripe-signature")))

    with serving(Starlette(routes=[Route("/hook", hear, methods=["POST"])])) as url:
        hooks = Hooks(shop.standin.books, shop.standin.knobs, f"{url}/hook")
        hooks.start()
        try:
            httpx.post(f"{shop.standin.url}/knobs", content=json.dumps(knobs), trust_env=False).raise_for_status()
            paid_on_the_page(shop, desk)
            until = time.monotonic() + 20
            while [str(o.state) for o in shop.orders()] != ["paid"] and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            hooks.stop()
    assert ["paid"] == [str(o.state) for o in shop.orders()]
    assert 1 == shop.kinds().count("order_paid")
    assert refused


def test_s27_an_endpoint_that_was_down_for_four_days_is_made_up_for(shop: Shop) -> None:
    """S27: no webhook ever came; looking again finds the payment, though its quote is long over."""
    desk = shop.desk()
    paid_on_the_page(shop, desk)
    shop.shift += timedelta(days=4)
    desk.resume(shop.tenant_id)
    assert ["paid"] == [str(o.state) for o in shop.orders()]
    assert 2880 == shop.standin.held()


def test_a_stored_webhook_whose_job_was_lost_is_worked_on_later(shop: Shop) -> None:
    """Stored, and the process died before its work was queued: resuming finds it; a redelivery asks for it too."""
    desk = shop.desk()
    event = paid_on_the_page(shop, desk)[-1]
    received = desk.receive(*shop.signed(event), [SECRET])
    assert received == desk.receive(*shop.signed(event), [SECRET])
    desk.resume(shop.tenant_id, timedelta())
    assert desk.receive(*shop.signed(event), [SECRET]) is None
    assert ["paid"] == [str(o.state) for o in shop.orders()]
