"""What a newcomer sees in the terminal: where to click, and the fleet living."""

from datetime import datetime
from typing import Any

import psycopg
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway import clock
from gateway.demo import story

ROWS = 8
OVERDUE = 2  # of the rows: the demo's other owners never tap, and would fill the picture
NEWS = 4
STAGE = {"ok": "green", "soon": "yellow", "due": "red", "overdue": "bold red"}


def places(base: str, jug: str, email: str, password: str) -> Table:
    """Return the addresses to open."""
    table = Table.grid(padding=(0, 2))
    for what, where in (
        ("owners' mail", f"{base}/outbox"),
        ("a QR code's page", f"{base}{jug}"),
        ("console", f"{base}/console"),
        ("sign in with", f"{email}  {password}"),
    ):
        table.add_row(Text(what, style="dim"), Text(where, style="bold" if where.startswith("http") else ""))
    return table


def draw(conn: psycopg.Connection, where: Table, base: str, speed: float) -> RenderableType:
    """Return the live picture: places, figures, what is ordered and what ends soonest, and who is to be asked."""
    now = clock.now()
    found = story.counts(conn)
    rows, hidden = story.slots(conn, now, ROWS, OVERDUE)
    waiting, subject = story.waiting(conn, now)
    happened = story.news(conn, NEWS)
    conn.rollback()
    figures = Text(
        f"{now:%d %B %Y}, {_days(speed)} a second · {found['readings']:,} readings"
        f" of {found['online']}/{found['units']} units · {found['forecasts']:,} forecasts · {found['prompts']} prompts"
        f" · {found['orders']} orders · {found['finished']} cycles finished"
    )
    asked = Text("No prompt waits for an answer.", style="dim")
    if waiting:
        many = (
            "A prompt waits for its owner" if waiting == 1 else f"{waiting} prompts wait for their owners, the latest"
        )
        asked = Text(f"{many}: “{subject}”. Read it at {base}/outbox and tap.", style="bold yellow")
    note = Text("No money moves: the payment page is a stand-in. Ctrl-C stops it all.", style="dim")
    lines = Group(*map(_line, happened))
    more = [Text(f"{hidden} more are overdue: their owners have not answered yet.", style="dim")] if hidden else []
    whole = Group(where, Text(""), figures, Text(""), _slots(rows, now), *more, Text(""), asked, lines, note)
    return Panel(whole, title="Wearwell demo")


def _days(speed: float) -> str:
    days = speed / 86_400
    return "a day" if days == 1 else f"{days:.2g} days"


def _line(event: dict[str, Any]) -> Text:
    what = f"{event['occurred_at']:%d %B}  {str(event['type']).replace('_', ' ')}: {event['slot']} of {event['unit']}"
    return Text(what, style="green")


def _slots(rows: list[dict[str, Any]], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("unit", "part", "left", "end of life in", "basis", "order"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            str(row["unit"]),
            str(row["slot"]),
            Text(f"{row['pct_left']:.0f} %", style=STAGE.get(str(row["stage"]), "")),
            story.left(row, now),
            str(row["basis"]),
            str(row["ordered"] or ""),
        )
    return table


def console() -> Console:
    """Return the terminal that the picture is drawn on; NO_COLOR is honoured."""
    return Console(highlight=False)
