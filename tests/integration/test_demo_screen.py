"""The demo's picture tells a newcomer what there is to do, and is not filled by owners who never answer."""

import io
from datetime import timedelta

import psycopg
import pytest
from rich.console import Console

from gateway import clock
from gateway.demo import screen, story
from gateway.replenish import prompts
from tests.integration import replenish_fleet as fleet
from tests.integration.replenish_fleet import BORN, House

DAY = timedelta(days=1)


@pytest.fixture
def house(conn: psycopg.Connection) -> House:
    return fleet.build(conn)


def ends(conn: psycopg.Connection, unit_id: int, in_days: float) -> None:
    """Let a unit's slot be forecast to end in so many days."""
    conn.execute(
        """update slot_state set eol_q10 = %(at)s, eol_q50 = %(at)s, eol_q90 = %(at)s, pct_left = 5
           where unit_id = %(unit)s""",
        {"at": clock.now() + timedelta(days=in_days), "unit": unit_id},
    )


def test_running_slots_come_first_and_overdue_ones_fill_two_rows(conn: psycopg.Connection, house: House) -> None:
    """With nine overdue slots the three that run are still there to be seen, soonest first; the rest is a number."""
    fleet.set_clock(BORN + 100 * DAY)
    for i in range(12):
        unit_id = fleet.enrol(conn, house, f"U{i:02}")
        conn.execute("update unit set name = serial where unit_id = %s", (unit_id,))
        fleet.scored(conn, unit_id, clock.now())
        ends(conn, unit_id, i - 8.5)
    rows, hidden = story.slots(conn, clock.now(), screen.ROWS, screen.OVERDUE)
    assert ["U09", "U10", "U11", "U08", "U07"] == [row["unit"] for row in rows]
    assert 7 == hidden
    shown = drawn(conn)
    assert "7 more are overdue" in shown
    assert shown.index("U09") < shown.index("U08")
    assert 2 == sum(name in shown for name in (f"U{i:02}" for i in range(9)))


def drawn(conn: psycopg.Connection, width: int = 100) -> str:
    conn.commit()  # the picture ends the transaction that it read in
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(screen.draw(conn, screen.places("http://127.0.0.1:8000", "/01", "a@example.com", "x"), "B", 86_400))
    return console.export_text()


def test_a_prompt_that_lies_in_the_mail_is_told_of(conn: psycopg.Connection, house: House) -> None:
    """Of a jug and of a part that is due already as well: whatever can be tapped is counted, until it is answered."""
    now = BORN + 120 * DAY
    for serial, gtin in (("A1", fleet.GTIN), ("J1", "04006381333948")):
        unit_id = fleet.enrol(conn, house, serial, gtin, radio=serial == "A1")
        fleet.own(conn, house, unit_id)
        if serial == "A1":
            now = fleet.run(conn, unit_id, 120)
        fleet.scored(conn, unit_id, now)
    fleet.set_clock(now)
    assert "No prompt waits" in drawn(conn)
    asked = prompts.speak(conn, now)
    assert 2 == len(asked)
    mails = [row[0] for row in conn.execute("select message_id from outbox where kind = 'prompt'")]
    conn.execute(
        "update outbox set sent_at = %s, rendered = %s where message_id = any(%s)", (now, '{"subject": "due"}', mails)
    )
    assert "2 prompts wait for their owners" in drawn(conn)
    for prompt_id in asked:
        prompts.answer(conn, prompt_id, "elsewhere", now)
    assert "No prompt waits" in drawn(conn)
