"""The question whether a part was changed: on the owner's page, in the mail, on the console."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest
from psycopg.types.json import Jsonb

from gateway import clock
from gateway.notify import outbox
from gateway.registry import doubts
from gateway.registry.units import Unit
from tests.integration.web_house import SAME, WebHouse, open_house


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


class Answers(HTMLParser):
    """The buttons that answer the question, by what they say: where they go and what they carry."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.fields = "", dict[str, str]()
        self.found: dict[str, tuple[str, dict[str, str]]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        if tag == "form":
            self.action, self.fields = given.get("action", ""), {}
        elif tag in ("input", "button") and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")
            if tag == "button" and self.action.endswith("/changed"):
                self.found[given["value"]] = (self.action, dict(self.fields))


def in_doubt(house: WebHouse, kind: str = "replaced", state: str = "open") -> tuple[Unit, str, int]:
    """Return a unit whose filter is due and may have been changed ten days ago, its owner's link, and the doubt."""
    unit, _, token = house.due()
    row = house.conn.execute(
        """insert into doubt (tenant_id, unit_id, slot_id, cycle_id, key, kind, probability, happened_at, found_at,
             evidence, state)
           select tenant_id, unit_id, slot_id, cycle_id, cycle_id || ':0', %s, 0.93, %s, %s, %s, %s from cycle
           where unit_id = %s and slot_id = %s returning doubt_id""",
        (
            kind, clock.now() - timedelta(days=10), clock.now(),
            Jsonb({"indicator_before": 110.0, "indicator_after": 42.0, "fresh_part": 41.0}), state, unit.unit_id,
            house.slots["hepa"],
        ),
    ).fetchone()  # fmt: skip
    assert row
    return unit, token, row[0]


def state_of(house: WebHouse, doubt_id: int) -> str:
    row = house.conn.execute("select state from doubt where doubt_id = %s", (doubt_id,)).fetchone()
    assert row
    return str(row[0])


def press(client: httpx.Client, page: str, answer: str) -> httpx.Response:
    action, fields = Answers(page).found[answer]
    return client.post(action, data=fields, headers=SAME)


def test_the_page_asks_before_it_offers_anything(house: WebHouse) -> None:
    """The question with its date, two answers, and why: the order button does not lead the page meanwhile."""
    _, token, _ = in_doubt(house)
    page = house.client().get(f"/p/{token}").text
    day = clock.now() - timedelta(days=10)
    assert f"Did you change it around {day.day} {day:%b %Y}?" in page
    assert {"yes", "no"} == Answers(page).found.keys()
    assert "Not sure" in page
    assert "We cannot tell whether a new one is in" in page
    assert "Or tell us why not" not in page
    assert page.index("Did you change it") < page.index("Order with obligation to pay")


def test_without_an_answer_the_page_goes_on_and_still_asks(house: WebHouse) -> None:
    """Two weeks later it says on what it goes, offers the part again, and an answer still settles it."""
    _, token, doubt_id = in_doubt(house)
    house.conn.execute("update slot_state set flags = '{assumed_new}'")
    client = house.client()
    page = " ".join(client.get(f"/p/{token}").text.split())
    assert "You have not told us whether it was changed, so we go on as if a new one were in." in page
    assert "The range still counts with both." in page
    assert "Or tell us why not" in page
    assert "nobody is reminded" not in page
    press(client, client.get(f"/p/{token}").text, "no")
    assert "denied" == state_of(house, doubt_id)


def test_a_yes_is_a_fitting_at_its_day_and_pressed_twice_is_one(house: WebHouse) -> None:
    """The cycle closes when it happened, and the page asks no more."""
    unit, token, doubt_id = in_doubt(house)
    client = house.client()
    page = client.get(f"/p/{token}").text
    first, second = (press(client, page, "yes") for _ in range(2))
    assert f"/p/{token}?said=fitted" == first.headers["location"]
    assert f"/p/{token}" == second.headers["location"]
    assert "react" in house.work()
    assert "confirmed" == state_of(house, doubt_id)
    fitted = house.conn.execute(
        """select c.source, lower(c.period) = d.happened_at from cycle c join doubt d on d.slot_id = c.slot_id
           where c.unit_id = %s and upper_inf(c.period) and d.doubt_id = %s""",
        (unit.unit_id, doubt_id),
    ).fetchall()
    assert [("owner", True)] == fitted
    assert "Did you change it" not in client.get(f"/p/{token}").text


def test_a_no_goes_on_with_the_part_in_place(house: WebHouse) -> None:
    """Nothing is fitted, the unit is scored again, the page leads with the button again."""
    _, token, doubt_id = in_doubt(house)
    client = house.client()
    answer = press(client, client.get(f"/p/{token}").text, "no")
    assert f"/p/{token}?said=same" == answer.headers["location"]
    house.conn.execute("delete from rescore")
    house.work()
    assert "denied" == state_of(house, doubt_id)
    assert 1 == len(house.conn.execute("select from rescore").fetchall())
    assert [] == house.conn.execute("select from event where type = 'part_fitted'").fetchall()
    assert "We go on with the one that is in place" in client.get(f"/p/{token}?said=same").text


def test_nobody_else_may_answer(house: WebHouse) -> None:
    """A stranger, a press from elsewhere and a doubt of another unit change nothing."""
    unit, token, doubt_id = in_doubt(house)
    other = house.unit("OTHER0000000001")
    elsewhere = house.link(other, house.own(other, "other@example.com"))
    client = house.client()
    action, fields = Answers(client.get(f"/p/{token}").text).found["yes"]
    fields_elsewhere = {
        **fields,
        "page": re.findall(r'name="page" value="([^"]+)"', client.get(f"/p/{elsewhere}").text)[0],
    }
    client.post(f"/p/{elsewhere}/changed", data=fields_elsewhere, headers=SAME)
    client.post(f"/01/{unit.gtin}/21/{unit.serial}/changed", data=fields, headers=SAME)
    client.post(action, data={**fields, "page": "forged"}, headers=SAME)
    client.post(action, data={**fields, "answer": "perhaps"}, headers=SAME)
    assert "open" == state_of(house, doubt_id)


def test_the_mail_asks_once_and_not_when_it_is_settled(house: WebHouse) -> None:
    """Its subject is the question, its button leads to the answers; settled before it is sent, it is not sent."""
    unit, _, doubt_id = in_doubt(house)
    owner = house.conn.execute("select party_id from ownership where unit_id = %s", (unit.unit_id,)).fetchone()
    assert owner
    for key in ("changed?:1", "changed?:2"):
        outbox.put(
            house.conn, tenant_id=house.tenant_id, key=key, channel="email", kind="ask_if_changed",
            payload={"doubt_id": doubt_id}, party_id=owner[0],
        )  # fmt: skip
        house.work()
        doubts.answer(house.conn, doubt_id, "no", clock.now())
    sent, unneeded = house.conn.execute("select rendered, error from outbox order by message_id").fetchall()
    assert "Filter in Kitchen: did you change it?" == sent[0]["subject"]
    assert f"#changed-{house.slots['hepa']}" in sent[0]["text"]
    assert "/u/" in sent[0]["headers"]["List-Unsubscribe"]
    assert "known by now" in unneeded[1]


def test_the_mail_is_not_sent_to_who_stopped_these_mails(house: WebHouse) -> None:
    """Consent is asked for when it is sent, not only when it is written down."""
    _, token, doubt_id = in_doubt(house)
    owner = house.conn.execute("select party_id from ownership").fetchone()
    assert owner
    outbox.put(
        house.conn, tenant_id=house.tenant_id, key="changed?:1", channel="email", kind="ask_if_changed",
        payload={"doubt_id": doubt_id}, party_id=owner[0],
    )  # fmt: skip
    house.client().post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
    house.work()
    said = house.conn.execute("select sent_at, error from outbox").fetchall()
    assert [(None, "not sent: the person agreed to no prompts, or took it back")] == said


@pytest.mark.parametrize(
    ("kind", "state", "said"),
    [
        ("reset", "noted", "Its counter was reset without a new part: the same part counts on"),
        (
            "replaced",
            "open",
            "the owner is asked, 93 % for a new part; indicator 110.0 to 42.0, a fresh part reads 41.0",
        ),
        ("sensor", "noted", "The sensor jumped: its indicator is not used in this cycle"),
        ("cleaned", "noted", "The part seems to have been cleaned"),
    ],
)
def test_the_console_says_what_was_noticed(house: WebHouse, kind: str, state: str, said: str) -> None:
    """Each thing noticed, with the numbers that it rests on and what became of it."""
    unit, _, _ = in_doubt(house, kind, state)
    page = house.at_desk().get(f"/console/units/{unit.unit_id}").text
    assert said in page
