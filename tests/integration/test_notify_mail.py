"""Mail: written when it is sent, handed to a real SMTP server, once; what fails is tried again or given up visibly."""

import email
import email.policy
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from structlog.testing import capture_logs

from gateway import clock
from gateway.db import pool
from gateway.notify import outbox
from gateway.notify.send import Post, send
from gateway.notify.smtp import KeptMail, NotSent, Smtp
from gateway.registry import links, owners
from gateway.replenish import cycles, prompts
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

SENDER = "Acme <hello@acme.example>"
PUBLIC = "https://parts.example"


class Inbox:
    """What a mail server was given; `answers` are what it says before it takes a mail."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    """A mail server and its URL."""
    handler = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def house(conn: psycopg.Connection) -> Iterator[House]:
    found = fleet.build(conn)
    conn.commit()
    yield found
    clock.accelerate(None)


@pytest.fixture
def prompt(conn: psycopg.Connection, house: House) -> int:
    """The message of a prompt that waits in the outbox."""
    return prompt_message(conn, house)


def prompt_message(conn: psycopg.Connection, house: House, locale: str = "en") -> int:
    unit_id = fleet.enrol(conn, house)
    fleet.own(conn, house, unit_id, locale=locale)
    now = fleet.run(conn, unit_id, 100)
    fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    assert 1 == len(prompts.speak(conn, now))
    row = conn.execute("select message_id from outbox where kind = 'prompt'").fetchone()
    conn.commit()
    assert row
    return int(row[0])


def post(url: str | None = None) -> Post:
    return Post(Smtp(url) if url else KeptMail(), SENDER, PUBLIC)


def sending(dsn: str, message_id: int, office: Post, **options: Any) -> None:
    """Send as the job does: each transaction on a connection of its own."""

    @contextmanager
    def begin() -> Iterator[psycopg.Connection[Any]]:
        with pool.connect(dsn, pool.Role.GATEWAY) as conn:
            yield conn

    send(begin, message_id, office, **options)


def parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text
    assert html
    return text.get_content(), html.get_content()


def state(conn: psycopg.Connection, message_id: int) -> outbox.Message:
    found = outbox.get(conn, message_id)
    conn.commit()
    assert found
    return found


def test_a_prompt_says_the_fact_the_reason_and_the_price(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """Subject is the fact; one reason, part and price of the live quote, one button to a page, the other answers."""
    sending(dsn, prompt, post(inbox[1]))
    (mail,) = inbox[0].mails
    assert "Filter in Kitchen purifier: about 3 weeks left" == mail["Subject"]
    assert ("owner@example.com", SENDER) == (mail["To"], mail["From"])
    text, html = parts(mail)
    for words in ("About 3 weeks left", "It has run 800 of about 1,000 rated hours.", "New filter", "€39.90"):
        assert words in text
        assert words in html
    tokens = set(re.findall(rf"{PUBLIC}/p/([\w-]+)", text))
    assert 1 == len(tokens)
    link = links.find(conn, tokens.pop())
    assert link is not None
    assert ("prompt", None) == (link.purpose, link.used_at)
    assert 1 == html.count('class="button"')
    for answer in ("remind", "spare", "changed", "elsewhere", "wrong"):
        assert f"#{answer}" in text
    assert [(3990,)] == conn.execute("select total_minor from quote").fetchall()


def test_a_mail_is_small_the_same_in_both_parts_and_fetches_nothing(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """Under 50 KB, no image, no script, nothing remote; every sentence and link of the HTML stands in the text."""
    sending(dsn, prompt, post(inbox[1]))
    (mail,) = inbox[0].mails
    text, html = parts(mail)
    assert 50_000 > len(mail.as_bytes())
    assert not re.findall(r"<(?:img|script|link|iframe)|url\(|@import", html)
    assert "prefers-color-scheme: dark" in html
    body = html.split("<body>")[1]
    said = [s.strip() for s in re.sub(r"<[^>]+>", "\n", body).splitlines() if s.strip()]
    flat = " ".join(text.replace("\n", " ").split())
    missing = [s for s in said if s.replace("&#39;", "'") not in flat]
    assert [] == missing
    assert set(re.findall(r'href="([^"]+)"', body)) == set(re.findall(r"https://\S+", text))


def test_one_click_unsubscribe_is_a_post(dsn: str, prompt: int, inbox: tuple[Inbox, str]) -> None:
    """The headers of RFC 8058 name an https address, and say that the click is a POST."""
    sending(dsn, prompt, post(inbox[1]))
    (mail,) = inbox[0].mails
    assert re.fullmatch(rf"<{PUBLIC}/u/[\w-]+>", mail["List-Unsubscribe"])
    assert "List-Unsubscribe=One-Click" == mail["List-Unsubscribe-Post"]


def test_a_german_owner_reads_german(
    conn: psycopg.Connection, dsn: str, house: House, inbox: tuple[Inbox, str]
) -> None:
    """Subject, sentence, reason and price in the owner's language."""
    sending(dsn, prompt_message(conn, house, "de-AT"), post(inbox[1]))
    (mail,) = inbox[0].mails
    text, html = parts(mail)
    assert "Filter in Kitchen purifier: noch etwa 3 Wochen" == mail["Subject"]
    assert "Betriebsstunden bisher: 800 von etwa 1.000." in text
    assert "39,90" in text
    assert '<html lang="de">' in html


def test_a_mail_is_sent_once(conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]) -> None:
    """A job that runs again finds that it is done."""
    for _ in range(3):
        sending(dsn, prompt, post(inbox[1]))
    assert 1 == len(inbox[0].mails)
    assert state(conn, prompt).sent_at


def test_killed_between_sending_and_marking_it_is_recognisable(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """The second mail has the Message-ID of the first, and the links of both work."""

    class Killed(Exception):
        """The process ends here."""

    class Dying(Smtp):
        def deliver(self, mail: Any) -> None:
            super().deliver(mail)
            raise Killed

    with pytest.raises(Killed):
        sending(dsn, prompt, Post(Dying(inbox[1]), SENDER, PUBLIC))
    assert None is state(conn, prompt).sent_at
    sending(dsn, prompt, post(inbox[1]))
    first, second = inbox[0].mails
    assert first["Message-ID"] == second["Message-ID"]
    for mail in (first, second):
        token = re.findall(rf"{PUBLIC}/p/([\w-]+)", parts(mail)[0])[0]
        assert links.find(conn, token)


def test_a_busy_server_is_asked_again_and_then_given_up(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """4yz raises for the job to come again; the last attempt ends it with its reason in the row."""
    inbox[0].answers = ["451 busy", "451 busy", "451 busy"]
    with pytest.raises(NotSent):
        sending(dsn, prompt, post(inbox[1]))
    assert (1, None) == (state(conn, prompt).attempts, state(conn, prompt).failed_at)
    sending(dsn, prompt, post(inbox[1]), last=lambda attempts: attempts >= 2)
    given_up = state(conn, prompt)
    assert given_up.failed_at
    assert "451 busy" in str(given_up.error)
    sending(dsn, prompt, post(inbox[1]))
    assert [] == inbox[0].mails


def test_a_refused_mail_is_given_up_at_once(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """5yz is for ever."""
    inbox[0].answers = ["550 no such mailbox"]
    sending(dsn, prompt, post(inbox[1]))
    assert "550 no such mailbox" in str(state(conn, prompt).error)
    assert state(conn, prompt).failed_at


def test_a_mail_that_cannot_be_written_is_seen_to_fail(
    conn: psycopg.Connection, dsn: str, prompt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt is counted and says why; after the last one the row is given up, not waiting for ever."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a template's mistake")

    monkeypatch.setattr("gateway.notify.mail.compose", broken)
    with pytest.raises(NotSent):
        sending(dsn, prompt, post())
    assert (1, "cannot be written: KeyError") == (state(conn, prompt).attempts, state(conn, prompt).error)
    sending(dsn, prompt, post(), last=lambda attempts: attempts >= 2)
    assert state(conn, prompt).failed_at


@pytest.mark.parametrize("answer", ["550 no mailbox Owner@example.com here", "451 <owner@example.com> is busy"])
def test_what_a_server_says_of_a_person_is_kept_without_their_address(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str], answer: str
) -> None:
    """People stand in party and site only: not in the outbox, nor in the log."""
    inbox[0].answers = [answer]
    with capture_logs() as lines, suppress(NotSent):
        sending(dsn, prompt, post(inbox[1]))
    said = str(state(conn, prompt).error)
    assert "the recipient" in said
    assert "@example.com" not in f"{said} {lines}".lower()


def test_a_server_that_is_away_is_asked_again(conn: psycopg.Connection, dsn: str, prompt: int) -> None:
    """Nothing is lost, and the row says why."""
    with pytest.raises(NotSent):
        sending(dsn, prompt, post("smtp://127.0.0.1:9"))
    assert "does not answer" in str(state(conn, prompt).error)


def test_without_a_mail_server_the_row_keeps_the_mail(conn: psycopg.Connection, dsn: str, prompt: int) -> None:
    """The outbox one can read: to, subject, text and HTML."""
    sending(dsn, prompt, post())
    kept = state(conn, prompt).rendered
    assert kept
    assert ("owner@example.com", True) == (kept["to"], "/p/" in kept["text"])
    assert {"to", "subject", "text", "html", "headers", "message_id"} == set(kept)


@pytest.mark.parametrize(
    "case",
    [
        ("update prompt set state = 'answered', answer = 'spare'", "answered or closed"),
        ("update consent set withdrawn_at = given_at", "took it back"),
        ("update party set channel = 'none'", "wants no mail"),
        ("update party set email = null, display_name = null, erased_at = created_at", "the person is gone"),
        ("update ownership set period = tstzrange(lower(period), lower(period) + interval '1 day')", "someone else's"),
    ],
)
def test_what_is_no_longer_to_be_said_is_not_sent(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str], case: tuple[str, str]
) -> None:
    """Between the prompt and its mail an owner may answer, withdraw, go, or sell the unit: no mail, and no link."""
    change, why = case
    conn.execute(change)
    conn.commit()
    sending(dsn, prompt, post(inbox[1]))
    assert [] == inbox[0].mails
    assert why in str(state(conn, prompt).error)
    assert [(0,)] == conn.execute("select count(*) from owner_link").fetchall()


def test_an_address_is_read_when_the_mail_is_sent(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """A new address gets the mail, not the one on file when the prompt was made."""
    conn.execute("update party set email = 'moved@example.com'")
    conn.commit()
    sending(dsn, prompt, post(inbox[1]))
    assert ["moved@example.com"] == [mail["To"] for mail in inbox[0].mails]


def test_a_name_cannot_write_headers_or_markup(
    conn: psycopg.Connection, dsn: str, prompt: int, inbox: tuple[Inbox, str]
) -> None:
    """What an owner calls a unit is text: no header grows from it, no tag."""
    conn.execute("update unit set name = E'Kitchen\\r\\nBcc: other@example.com <b>x</b>'")
    conn.commit()
    sending(dsn, prompt, post(inbox[1]))
    (mail,) = inbox[0].mails
    assert None is mail["Bcc"]
    assert "<b>x</b>" not in parts(mail)[1]


def test_an_estimate_is_a_question(conn: psycopg.Connection, dsn: str, house: House, inbox: tuple[Inbox, str]) -> None:
    """A unit that cannot speak: its owner is asked to look, and told why we do not know."""
    unit_id = fleet.enrol(conn, house, "Q1", "04006381333948", radio=False)
    fleet.own(conn, house, unit_id)
    now = BORN + timedelta(days=55)
    fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    prompts.speak(conn, now)
    row = conn.execute("select message_id from outbox").fetchone()
    assert row
    conn.commit()
    sending(dsn, row[0], post(inbox[1]))
    (mail,) = inbox[0].mails
    assert "Cartridge in Kitchen jug: is it time to change it?" == mail["Subject"]
    assert "goes by the calendar" in parts(mail)[0]


def test_several_parts_share_one_mail(
    conn: psycopg.Connection, dsn: str, house: House, inbox: tuple[Inbox, str]
) -> None:
    """Each has its own section, its own link and its own button."""
    for serial in ("A1", "A2"):
        unit_id = fleet.enrol(conn, house, serial)
        fleet.own(conn, house, unit_id)
        now = fleet.run(conn, unit_id, 100)
        fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    prompts.speak(conn, now)
    row = conn.execute("select message_id from outbox where kind = 'prompt'").fetchone()
    assert row
    conn.commit()
    sending(dsn, row[0], post(inbox[1]))
    (mail,) = inbox[0].mails
    assert "2 parts are due soon, the first: Filter in Kitchen purifier" == mail["Subject"]
    assert 2 == parts(mail)[1].count('class="button"')


def test_a_link_to_sign_in_is_made_when_it_is_sent(
    conn: psycopg.Connection, dsn: str, house: House, inbox: tuple[Inbox, str]
) -> None:
    """The row holds no token; the mail does, for a quarter of an hour."""
    party_id = fleet.own(conn, house, fleet.enrol(conn, house))
    message_id = outbox.put(
        conn,
        tenant_id=house.tenant_id,
        key="sign_in:1",
        channel="email",
        kind="sign_in",
        payload={},
        party_id=party_id,
    )
    assert message_id
    conn.commit()
    sending(dsn, message_id, post(inbox[1]))
    token = re.findall(rf"{PUBLIC}/sign-in/([\w-]+)", parts(inbox[0].mails[0])[0])[0]
    link = links.find(conn, token)
    assert link is not None
    assert ("sign_in", True) == (link.purpose, link.expires_at <= clock.wall() + timedelta(minutes=15))


def test_who_fitted_it_already_is_not_asked(
    conn: psycopg.Connection, dsn: str, house: House, inbox: tuple[Inbox, str]
) -> None:
    """The question whether the part is fitted waits for the old one's end, and is dropped when the cycle has ended."""
    unit_id = fleet.enrol(conn, house)
    fleet.own(conn, house, unit_id)
    now = fleet.run(conn, unit_id, 100)
    fleet.scored(conn, unit_id, now)
    conn.execute("insert into spare values (%s, %s, %s, 1)", (house.tenant_id, unit_id, house.slot.slot_id))
    prompts.ask_if_fitted(conn, unit_id, house.slot.slot_id, now)
    row = conn.execute("select message_id from outbox where kind = 'ask_if_fitted'").fetchone()
    assert row
    conn.commit()
    fleet.set_clock(now)
    sending(dsn, row[0], post(inbox[1]))
    assert ["Filter in Kitchen purifier: have you fitted the new part?"] == [m["Subject"] for m in inbox[0].mails]
    conn.execute("update outbox set sent_at = null")
    cycles.fitted(conn, cycles.Fitting(unit_id, house.slot.slot_id, now, "device"), now)
    conn.commit()
    sending(dsn, row[0], post(inbox[1]))
    assert 1 == len(inbox[0].mails)
    assert owners.owner_of(conn, unit_id, now)


def test_the_same_cause_says_it_once(conn: psycopg.Connection, house: House) -> None:
    """A key that stands is not written again, and no second job is deferred."""
    ids = [
        outbox.put(conn, tenant_id=house.tenant_id, key="k", channel="email", kind="sign_in", payload={})
        for _ in range(2)
    ]
    assert [True, False] == [found is not None for found in ids]
    assert [(1,)] == conn.execute("select count(*) from procrastinate_jobs").fetchall()
