"""The stand-in keeps Stripe's promises, as the SDK sees them over real HTTP."""

from typing import Any

import httpx
import pytest
import stripe
from stripe import StripeClient

from commerce.stripe_payments import Wire
from tests.shop import KEY, StandIn

MANUAL: dict[str, Any] = {
    "amount": 2880,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "confirm": True,
    "capture_method": "manual",
    "return_url": "https://shop.example.com/back",
}


@pytest.fixture
def client(standin: StandIn) -> Any:
    wire = Wire(5)
    yield StripeClient(KEY, base_addresses={"api": standin.url}, http_client=wire)
    wire.close()


def post(standin: StandIn, path: str, key: str = "k", **form: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key}
    return httpx.post(f"{standin.url}/v1/{path}", data=form, headers=headers, trust_env=False)


def test_the_same_key_and_body_get_the_same_answer(client: StripeClient, standin: StandIn) -> None:
    """One intent, whoever asks how often; the replay says that it is one."""
    made = [client.v1.payment_intents.create(MANUAL, {"idempotency_key": "a:1"}).id for _ in range(3)]
    assert 1 == len(set(made))
    assert 1 == len(standin.intents())
    form = {"amount": "1", "currency": "eur"}
    first, second = post(standin, "payment_intents", **form), post(standin, "payment_intents", **form)
    assert (None, "true") == (first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed"))
    assert first.json() == second.json()


def test_the_same_key_with_another_body_is_refused(client: StripeClient, standin: StandIn) -> None:
    """As Stripe refuses it: 400, idempotency_error."""
    client.v1.payment_intents.create(MANUAL, {"idempotency_key": "a:1"})
    with pytest.raises(stripe.IdempotencyError) as refused:
        client.v1.payment_intents.create({**MANUAL, "amount": 9999}, {"idempotency_key": "a:1"})
    assert 400 == refused.value.http_status
    assert 1 == len(standin.intents())


def test_a_stored_500_is_replayed(client: StripeClient, standin: StandIn) -> None:
    """After the fault is over the same key still answers 500; the intent is there all the same."""
    standin.knobs.set({"error_after": 1})
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            client.v1.payment_intents.create(MANUAL, {"idempotency_key": "a:1"})
    assert 1 == len(standin.intents())


def test_a_refusal_before_the_work_is_not_stored(client: StripeClient) -> None:
    """A request that failed validation may be put right under the same key."""
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({**MANUAL, "nonsense": 1}, {"idempotency_key": "a:1"})
    assert client.v1.payment_intents.create(MANUAL, {"idempotency_key": "a:1"}).id


def test_manual_capture_holds_takes_and_lets_go(client: StripeClient, standin: StandIn) -> None:
    """Held, taken once, and not let go afterwards."""
    intent = client.v1.payment_intents.create(MANUAL)
    assert ("requires_capture", 2880, 0) == (intent.status, intent.amount_capturable, intent.amount_received)
    assert "succeeded" == client.v1.payment_intents.capture(intent.id).status
    for again in (client.v1.payment_intents.capture, client.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            again(intent.id)
        assert "payment_intent_unexpected_state" == refused.value.code
    assert "canceled" == client.v1.payment_intents.cancel(client.v1.payment_intents.create(MANUAL).id).status
    assert 2880 == standin.taken()


def test_a_declined_card_is_a_402_with_the_intent_inside(client: StripeClient) -> None:
    """As the SDK turns it into a CardError."""
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create({**MANUAL, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"})
    error = declined.value.error
    assert error is not None
    assert ("card_declined", "insufficient_funds") == (declined.value.code, error.decline_code)
    assert "requires_payment_method" == error.payment_intent.status


def test_3d_secure_redirects_on_session_and_is_a_402_off_session(client: StripeClient, standin: StandIn) -> None:
    """With its owner there the intent waits for the bank; without, the error holds the intent to confirm later."""
    asked = {**MANUAL, "payment_method": "pm_card_authenticationRequired"}
    intent = client.v1.payment_intents.create(asked)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = intent.next_action.redirect_to_url.url or ""
    assert "Is it you?" in httpx.get(page, trust_env=False).text
    back = httpx.post(page, data={"answer": "yes"}, trust_env=False)
    assert f"{MANUAL['return_url']}?payment_intent={intent.id}&redirect_status=succeeded" == back.headers["location"]
    assert "requires_capture" == client.v1.payment_intents.retrieve(intent.id).status
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_intents.create({**asked, "off_session": True})
    assert "authentication_required" == refused.value.code


def test_more_than_was_taken_never_goes_back(client: StripeClient, standin: StandIn) -> None:
    """The ledger: a part, too much, the rest, once more."""
    intent = client.v1.payment_intents.create(MANUAL)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id})
    client.v1.payment_intents.capture(intent.id)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1881})
    client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert "charge_already_refunded" == twice.value.code
    assert 0 == standin.taken()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"payment_method_types": ["card"]}, "parameter_unknown"),
        ({"capture_method": "later"}, "parameter_invalid"),
        ({"amount": "much"}, "parameter_invalid_integer"),
        ({"amount": None}, "parameter_missing"),
        ({"metadata": {"a": {"b": "c"}}}, "parameter_invalid"),
        ({"setup_future_usage": "off_session"}, None),
    ],
)
def test_what_the_sdks_types_do_not_say_is_refused(
    client: StripeClient, change: dict[str, Any], code: str | None
) -> None:
    """Also what the types say and the stand-in does not know: silence would be a lie."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create({**MANUAL, **change})  # type: ignore[typeddict-item]  # what the test is about: wrong values
    assert code == refused.value.code


def test_what_is_not_there_is_a_404_and_a_live_key_a_401(client: StripeClient, standin: StandIn) -> None:
    """Unknown things, unknown routes, keys that are not for tests."""
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (404, "resource_missing") == (unknown.value.http_status, unknown.value.code)
    assert 404 == post(standin, "subscriptions").status_code
    assert (
        401
        == httpx.get(
            f"{standin.url}/v1/events", headers={"Authorization": "Bearer sk_live_x"}, trust_env=False
        ).status_code
    )


@pytest.mark.parametrize("body", ["a[b]=1&a=2", "amount[=1", "=1", "[a]=1", "amount[][x]=1"])
def test_a_form_that_makes_no_sense_is_a_400(standin: StandIn, body: str) -> None:
    """Never a 500."""
    answer = httpx.post(
        f"{standin.url}/v1/payment_intents", content=body, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
    )
    assert 400 == answer.status_code
    assert "invalid_request_error" == answer.json()["error"]["type"]


def test_lists_are_paged_newest_first(client: StripeClient) -> None:
    """As the SDK's iterator walks them."""
    made = [client.v1.payment_intents.create({"amount": n, "currency": "eur"}).id for n in range(1, 8)]
    page = client.v1.payment_intents.list({"limit": 3})
    assert page.has_more
    assert made[::-1] == [intent.id for intent in page.auto_paging_iter()]


def test_every_event_is_listed_with_the_thing_as_it_was(client: StripeClient) -> None:
    """The list tells what happened in order, and which webhooks were not delivered."""
    intent = client.v1.payment_intents.create(MANUAL)
    client.v1.payment_intents.capture(intent.id)
    events = list(client.v1.events.list({"limit": 100}).auto_paging_iter())[::-1]
    assert [
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ] == [e.type for e in events]
    assert "requires_capture" == events[1].data.object.status
    assert stripe.api_version == events[0].api_version


def test_a_session_lives_between_half_an_hour_and_a_day(client: StripeClient, standin: StandIn) -> None:
    """As Stripe has it; when its time is over it is expired, and says so."""
    item: Any = {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 5, "product_data": {"name": "x"}}}
    asked: Any = {"mode": "payment", "line_items": [item], "success_url": "https://shop.example.com"}
    now = standin.books.now()
    for bad in (now + 60, now + 90_000):
        with pytest.raises(stripe.InvalidRequestError, match="between 30 minutes and 24 hours"):
            client.v1.checkout.sessions.create({**asked, "expires_at": bad})
    session = client.v1.checkout.sessions.create({**asked, "expires_at": now + 2000})
    standin.books.clock = lambda: now + 2001.0
    assert "expired" == client.v1.checkout.sessions.retrieve(session.id).status
    assert "checkout.session.expired" == standin.events()[-1]["type"]


def test_an_unknown_knob_is_refused_by_name(standin: StandIn) -> None:
    """So a test that misspells one fails."""
    answer = httpx.post(f"{standin.url}/knobs", json={"duplicat": 1}, trust_env=False)
    assert (400, True) == (answer.status_code, "duplicat" in answer.text)
    assert 1 == httpx.post(f"{standin.url}/knobs", json={"drop": 1}, trust_env=False).json()["drop"]
