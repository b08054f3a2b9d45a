"""What a newcomer sees in the terminal: where to click, and the fleet living."""

from datetime import datetime

import psycopg
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway import clock
from gateway.demo import story

ROWS = 8
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
    """Return the live picture: places, figures, and the slots that end soonest."""
    now = clock.now()
    found = story.counts(conn)
    rows = story.slots(conn, ROWS)
    prompt = story.prompted(conn)
    conn.rollback()
    figures = Text(
        f"{now:%d %B %Y}, {speed / 86_400:.2g} days a second · {found['readings']:,} readings"
        f" of {found['online']}/{found['units']} units · {found['forecasts']:,} forecasts · {found['prompts']} prompts"
        f" · {found['orders']} orders · {found['finished']} cycles finished"
    )
    news = Text("No prompt waits for an answer.", style="dim")
    if prompt:
        news = Text(f"A prompt has arrived: “{prompt.subject}”. Read it at {base}/outbox and tap.", style="bold yellow")
    note = Text("No money moves: the payment page is a stand-in. Ctrl-C stops it all.", style="dim")
    return Panel(Group(where, Text(""), figures, _slots(rows, now), news, note), title="Wearwell demo")


def _slots(rows: list[dict[str, object]], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("unit", "part", "left", "end of life in", "basis", "order"):
        table.add_column(name)
    for row in rows:
        days = [(row[q] - now).days for q in ("eol_q10", "eol_q50", "eol_q90")]  # type: ignore[operator]  # times, by the query
        table.add_row(
            str(row["unit"]),
            str(row["slot"]),
            Text(f"{row['pct_left']:.0f} %", style=STAGE.get(str(row["stage"]), "")),
            f"{days[1]} days ({days[0]} to {days[2]})",
            str(row["basis"]),
            str(row["ordered"] or ""),
        )
    return table


def console() -> Console:
    """Return the terminal that the picture is drawn on; NO_COLOR is honoured."""
    return Console(highlight=False)
