"""What a unit's own signals say happened to a part, where nobody told it: rows, and what an owner answers.

While a doubt is open its owner is asked, once; nothing else is asked or ordered for that cycle until somebody knows.
Whoever does not answer for WAIT is asked no more and is not left alone either: it goes on by the likelier reading.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.errors import WearwellError
from gateway.events import Event, EventType
from gateway.registry import history

Kind = Literal["replaced", "cleaned", "reset", "unreset", "unknown", "sensor"]
State = Literal["open", "acted", "noted", "confirmed", "denied", "closed"]
UNSETTLED = ("open", "acted")
WAIT = timedelta(days=14)
LIKELIER = 0.5  # probability of another part, from which on it is the likelier reading
ASSUMED = ("assumed_new", "assumed_same")  # flags of a forecast that goes on without an answer
ANSWERS = {"yes": "confirmed", "no": "denied"}

COLUMNS = """doubt_id, tenant_id, unit_id, slot_id, cycle_id, key, kind, probability, happened_at, found_at, evidence,
    state, answered_at"""
NOTICE = """
insert into doubt (tenant_id, unit_id, slot_id, cycle_id, key, kind, probability, happened_at, found_at, evidence,
  state)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant_id, key) do nothing returning doubt_id"""


class NoSuchAnswer(WearwellError):
    """Whether a part was changed is answered with yes or no."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A row of table doubt."""

    doubt_id: int
    tenant_id: int
    unit_id: int
    slot_id: int
    cycle_id: int
    key: str
    kind: Kind
    probability: float
    happened_at: datetime
    found_at: datetime
    evidence: dict[str, Any]
    state: State
    answered_at: datetime | None

    @property
    def unsettled(self) -> bool:
        """Whether nobody knows yet which part is in place."""
        return self.state in UNSETTLED

    def assumed(self, now: datetime) -> str | None:
        """Return the flag of the likelier reading once the owner has not answered for WAIT, None until then."""
        if self.state != "open" or now - self.found_at < WAIT:
            return None
        return ASSUMED[0] if self.probability >= LIKELIER else ASSUMED[1]

    @property
    def another_part(self) -> bool:
        """Whether it is likelier that another part is in place since: its owner said so, or said nothing yet."""
        return self.state == "confirmed" or (self.unsettled and self.probability >= LIKELIER)


def of_cycles(conn: psycopg.Connection, cycle_ids: list[int]) -> list[Doubt]:
    """Return everything noticed in these cycles, in the order in which it was noticed."""
    return _all(conn, "where cycle_id = any(%s) order by doubt_id", cycle_ids)


def of_unit(conn: psycopg.Connection, unit_id: int) -> list[Doubt]:
    """Return everything noticed at a unit, newest first."""
    return _all(conn, "where unit_id = %s order by happened_at desc, doubt_id desc limit 50", unit_id)


def notice(conn: psycopg.Connection, found: Doubt) -> Doubt | None:
    """Keep what was noticed and return it with its id, or None when its key was noticed before."""
    row = conn.execute(
        NOTICE,
        (found.tenant_id, found.unit_id, found.slot_id, found.cycle_id, found.key, found.kind, found.probability,
         found.happened_at, found.found_at, Jsonb(found.evidence), found.state),
    ).fetchone()  # fmt: skip
    return replace(found, doubt_id=row[0]) if row else None


def turn(conn: psycopg.Connection, known: Doubt) -> bool:
    """Let a doubt become what is known by now; one that was answered or closed meanwhile stays: tell which."""
    turned = conn.execute(
        """update doubt set kind = %s, state = %s, probability = %s, happened_at = %s, found_at = %s, evidence = %s
           where doubt_id = %s and state in ('open', 'acted', 'noted')""",
        (known.kind, known.state, known.probability, known.happened_at, known.found_at, Jsonb(known.evidence),
         known.doubt_id),
    )  # fmt: skip
    return turned.rowcount > 0


def end(conn: psycopg.Connection, cycle_id: int) -> None:
    """Close what is open in a cycle that ends."""
    conn.execute("update doubt set state = 'closed' where cycle_id = %s and state = any(%s)", (cycle_id, [*UNSETTLED]))


def answer(conn: psycopg.Connection, doubt_id: int, given: str, now: datetime) -> None:
    """Take an owner's yes or no, once: yes tells that the part was fitted when it was noticed, no that it was not.

    Raises NoSuchAnswer for another word. A doubt that is settled stays as it is.
    """
    if given not in ANSWERS:
        raise NoSuchAnswer(f"{given!r} is no answer; there are {', '.join(ANSWERS)}")
    with conn.cursor(row_factory=class_row(Doubt)) as cursor:
        doubt = cursor.execute(
            f"""update doubt set state = %s, answered_at = %s where doubt_id = %s and state = 'open'
                returning {COLUMNS}""",
            (ANSWERS[given], now, doubt_id),
        ).fetchone()
    if doubt is None:
        return
    where = (doubt.tenant_id, doubt.unit_id, doubt.slot_id)
    payload = {"doubt_id": doubt.doubt_id, "answer": given}
    key = f"doubt:{doubt.doubt_id}:{given}"
    history.record(conn, Event(*where, EventType.DOUBT_ANSWERED, key, now, payload))
    if given == "yes":
        key, payload = f"fitted:owner:{doubt.cycle_id}", {"by": "owner", "doubt_id": doubt.doubt_id}
        history.record(conn, Event(*where, EventType.PART_FITTED, key, doubt.happened_at, payload))


def _all(conn: psycopg.Connection, where: str, *values: object) -> list[Doubt]:
    with conn.cursor(row_factory=class_row(Doubt)) as cursor:
        return cursor.execute(f"select {COLUMNS} from doubt {where}", values).fetchall()
