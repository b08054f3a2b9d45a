"""Comparisons that staff ask for in the console: a row each, worked out by the worker, read by whoever looks.

A comparison fits models for many days, which takes longer than a page may; so the page asks, and the worker answers.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway.bench import backtest, choose, compare, measured, read, shadow
from gateway.bench.plain import plain
from gateway.errors import Conflict, WearwellError
from gateway.registry import models
from gateway.registry.models import Slot

ORIGINS = 6  # days on which models are fitted: half of the command line's, for somebody waits
COLUMNS = "comparison_id, tenant_id, slot_id, challenger, actor, asked_at, done_at, found, failed"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """A row of table comparison; `found` is a Comparison as plain data, with `promote`."""

    comparison_id: int
    tenant_id: int
    slot_id: int
    challenger: str
    actor: str
    asked_at: datetime
    done_at: datetime | None
    found: dict[str, Any] | None
    failed: str | None


def ask(conn: psycopg.Connection, slot: Slot, challenger: str, *, actor: str, now: datetime) -> None:
    """Ask for a slot's champion to be compared with a challenger. The caller commits.

    Raises NotFound where there is no such version of the slot or predictor, Conflict where one is under way.
    """
    if challenger.isdecimal():
        shadow.own(conn, slot, int(challenger))
    else:
        choose.known(challenger)
    row = conn.execute(
        """insert into comparison (tenant_id, slot_id, challenger, actor, asked_at) values (%s, %s, %s, %s, %s)
           on conflict (slot_id) where done_at is null do nothing returning comparison_id""",
        (slot.tenant_id, slot.slot_id, challenger, actor, now),
    ).fetchone()
    if row is None:
        raise Conflict("a comparison of this slot is under way; wait for it")


def latest(conn: psycopg.Connection, slot: Slot) -> Asked | None:
    """Return what was asked for last of a slot, answered or not."""
    with conn.cursor(row_factory=class_row(Asked)) as cursor:
        cursor.execute(
            f"""select {COLUMNS} from comparison where tenant_id = %s and slot_id = %s
                order by comparison_id desc limit 1""",
            (slot.tenant_id, slot.slot_id),
        )
        return cursor.fetchone()


def answer(conn: psycopg.Connection, now: datetime) -> bool:
    """Work out the oldest one that waits and that no other worker has in hand; tell whether there was one.

    The caller commits: a worker that is killed leaves it waiting. What cannot be compared is answered with the reason.
    """
    with conn.cursor(row_factory=class_row(Asked)) as cursor:
        asked = cursor.execute(
            f"""select {COLUMNS} from comparison where done_at is null order by comparison_id limit 1
                for update skip locked"""
        ).fetchone()
    if asked is None:
        return False
    found, failed = None, None
    try:
        found = _compared(conn, asked, now)
    except WearwellError as error:
        failed = str(error)
    except (ValueError, ArithmeticError, LookupError):  # it keeps no other from being answered
        log.exception("not compared", slot_id=asked.slot_id, challenger=asked.challenger)
        failed = "it could not be worked out; the worker's log says why"
    conn.execute(
        "update comparison set done_at = %s, found = %s, failed = %s where comparison_id = %s",
        (now, None if found is None else Jsonb(found), failed, asked.comparison_id),
    )
    return True


def _compared(conn: psycopg.Connection, asked: Asked, now: datetime) -> dict[str, Any]:
    of = models.get_slot(conn, asked.slot_id)
    record = read.record(conn, of, now)
    champion, challenger = choose.pair(conn, record, asked.challenger)
    rule = compare.declared_rule(conn, of.tenant_id)
    found = compare.compare(record, champion, challenger, rule, at=backtest.origins(record, ORIGINS))
    if all(found.scores.values()):
        measured.keep(conn, record, [champion, challenger], now)
    return {**plain(found), "promote": found.promote, "version": challenger.version_id}
