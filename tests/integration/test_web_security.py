"""Every route at once: what no GET may change, what no other site may post, what every answer carries."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from gateway import clock
from gateway.registry import fleet, links
from tests.integration.web_house import EMAIL, SAME, WebHouse, maker, open_house


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn, demo=True) as opened:
        yield opened


def routes(house: WebHouse, *methods: str) -> list[str]:
    """Return the paths of every route that answers one of these methods."""
    found = []
    todo = list(house.app.routes)
    while todo:
        route = todo.pop()
        todo += getattr(getattr(route, "original_router", None), "routes", [])
        if isinstance(route, APIRoute) and set(methods) & set(route.methods):
            found.append(route.path)
    assert len(found) > 10
    return sorted(found)


def filled(house: WebHouse, path: str) -> list[str]:
    """Return a route's path with real and with strange values for its parameters."""
    unit, party, token = getattr(house, "walked", None) or house.due()
    house.walked = (unit, party, token)  # type: ignore[attr-defined]  # noted for the tests below
    sign_in = links.mint(
        house.conn, tenant_id=house.tenant_id, party_id=party, purpose="sign_in", lifetime=timedelta(minutes=15)
    )
    real = {
        "token": sign_in if "sign-in" in path else token, "gtin": unit.gtin, "serial:path": unit.serial,
        "serial": unit.serial, "unit_id": str(unit.unit_id), "message_id": "1", "order_id": "1", "number": "WW-0000000",
        "name": "wearwell.css", "act": "fitted", "slot_id": str(house.slots["hepa"]),
    }  # fmt: skip
    odd = dict.fromkeys(real, "0")
    return [re.sub(r"\{([^}]+)\}", lambda m, given=given: given[m[1]], path) for given in (real, odd)]  # type: ignore[misc]  # mypy knows no default there


def test_no_get_or_head_changes_a_row(house: WebHouse) -> None:
    """Walk every GET route as nobody, as staff and as an owner: all tables stay as they were."""
    staff = house.at_desk("admin")
    visitors = [house.client(), staff]
    paths = [p for route in routes(house, "GET") for p in filled(house, route)]
    before = house.counts()
    for path in paths:
        for visitor in visitors:
            answer = visitor.get(path)
            assert answer.status_code < 500, (path, answer.text)
            assert answer.status_code == visitor.head(path).status_code, path
    assert before == house.counts()


def test_no_other_site_can_post_anywhere(house: WebHouse) -> None:
    """Walk every unsafe route from another site, from a script and from nowhere: refused, and nothing changes."""
    staff = house.at_desk("admin")
    signed = ("/webhooks/", "/u/")  # these prove themselves otherwise
    paths = [
        p for route in routes(house, "POST", "PUT", "PATCH", "DELETE") for p in filled(house, route)
        if not p.startswith(signed)
    ]  # fmt: skip
    before = house.counts()
    for headers in (
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "https://evil.example"},
        {"origin": "https://evil.example"},
        {},
    ):
        for path in paths:
            for visitor in (house.client(), staff):
                assert 403 == visitor.post(path, data={"email": EMAIL}, headers=headers).status_code, path
    assert before == house.counts()


def test_every_answer_is_dressed(house: WebHouse) -> None:
    """Pages, errors and files carry the headers that keep a browser from being used against its owner."""
    client = house.client()
    for path in [p for route in routes(house, "GET") for p in filled(house, route)] + ["/nothing"]:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), path
        assert "unsafe-eval" not in policy
        assert "script-src" not in policy
        assert "nosniff" == headers["x-content-type-options"]
        assert "no-referrer" == headers["referrer-policy"]
        assert "same-origin" == headers["cross-origin-opener-policy"]
        assert path.startswith("/static/wearwell.css") == (headers["cache-control"] != "no-store"), path


def test_pages_hold_no_inline_style_or_script(house: WebHouse) -> None:
    """The Content-Security-Policy forbids both, so no template may need them."""
    staff = house.at_desk("admin")
    for path in [p for route in routes(house, "GET") for p in filled(house, route)]:
        answer = staff.get(path)
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", answer.text), path


def test_documentation_of_the_api_is_not_public(house: WebHouse) -> None:
    """Nothing describes the API to strangers."""
    for path in ("/docs", "/redoc", "/openapi.json", "/metrics"):
        assert 404 == house.client().get(path).status_code


def test_tokens_never_reach_the_log(house: WebHouse) -> None:
    """A request's line names its route, not its path."""
    _, _, token = house.due()
    with capture_logs() as lines:
        house.client().get(f"/p/{token}")
        house.client().get(f"/p/{token}/nothing")
        house.client().get("/nothing")
        until = time.monotonic() + 5
        while len(lines) < 3 and time.monotonic() < until:  # a request is logged once its answer is out
            time.sleep(0.01)
    assert 3 == len([line for line in lines if line["event"] == "request"])
    assert "/p/{token}" == lines[0]["route"]
    assert token not in str(lines)


def test_what_is_too_large_is_refused(house: WebHouse) -> None:
    """A form of a megabyte is not read, and one that does not say how long it is neither."""

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 16_384

    client = house.client()
    assert 413 == client.post("/sign-in", content=b"x" * 1_000_000, headers=SAME).status_code
    assert 411 == client.post("/sign-in", content=endless(), headers=SAME).status_code


def test_what_goes_wrong_is_told_without_a_trace(house: WebHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours answers 500 with a page for people, dressed like any other; its trace is in the log only."""

    def broken(*_: object) -> None:
        raise RuntimeError("planted canary 8a1f")

    monkeypatch.setattr(fleet, "wants", broken)
    client = house.at_desk("reader")
    with capture_logs() as lines:
        answer = client.get("/console")
    assert 500 == answer.status_code
    assert "went wrong on our side" in answer.text
    assert "Nothing was changed" not in answer.text  # it may have come after the effect
    assert "we do not know whether it was done" in answer.text
    assert ("The log of serve" in answer.text, "Scan the code" in answer.text) == (True, False)  # staff have no product
    assert "canary" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "request failed" in [line["event"] for line in lines]
    assert 200 == client.get("/healthz").status_code
    lost, owners = client.get("/console/nowhere"), client.get("/nowhere")
    assert (404, True) == (lost.status_code, 'href="/console"' in lost.text)
    assert (404, True) == (owners.status_code, "scan the code on your product" in owners.text)


def test_behind_tls_cookies_are_bound_to_the_host(dsn: str) -> None:
    """With an https address, cookies are `__Host-`, Secure and HttpOnly, and HSTS is sent."""
    with open_house(dsn, pay=False) as house:
        object.__setattr__(
            house.app.state.services,
            "settings",
            house.settings.model_copy(update={"public_url": "https://owners.example"}),
        )
        _, _, token = house.due()
        cookie = house.client().get(f"/p/{token}").headers["set-cookie"]
    assert cookie.startswith("__Host-ww_page=")
    for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert word.lower() in cookie.lower()
    assert "domain" not in cookie.lower()


def test_one_maker_never_sees_anothers_units(house: WebHouse) -> None:
    """Staff and owners of one tenant meet a polite nothing where another tenant's things are."""
    unit, _, _ = house.due()
    other, slots = maker(house.conn, "other", "04006381333948")
    theirs = WebHouse(house.app, house.settings, house.conn, house.worker, house.desk, other, slots)
    their_staff = theirs.at_desk("admin")
    house.clients += theirs.clients
    assert 404 == their_staff.get(f"/console/units/{unit.unit_id}").status_code
    assert unit.serial not in their_staff.get("/console/units").text
    assert unit.serial not in their_staff.get("/console/units.csv").text
    assert 404 == their_staff.get(f"/console/units/{unit.unit_id}/qr.svg").status_code


def test_an_expired_session_is_no_session(house: WebHouse) -> None:
    """Idle for an hour, or twelve hours old: staff sign in again."""
    for column, age in (("seen_at", timedelta(hours=1)), ("expires_at", timedelta())):
        client = house.at_desk("editor")
        assert 200 == client.get("/console").status_code
        house.conn.execute(f"update web_session set {column} = %s", (clock.wall() - age - timedelta(seconds=1),))
        answer = client.get("/console/units?q=a")
        assert "/console/login?next=%2Fconsole%2Funits%3Fq%3Da".replace("%2F", "/") == answer.headers["location"]
