"""Where a slot stands, and when a new forecast is worth a row.

Stage: overdue when nothing is left or the median date has passed; due when the order date has; soon when it will within
SOON; ok otherwise. A forecast row is written when it says something new: the first of a cycle, another stage, basis,
flag or model, a point of percent, or a date that moved by more than a day and by a twentieth of what is left.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

SOON = timedelta(days=21)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a forecast says of one slot, as slot_state and forecast keep it."""

    cycle_id: int
    stage: str
    pct_left: float
    eol_q10: datetime
    eol_q50: datetime
    eol_q90: datetime
    order_at: datetime
    basis: str
    flags: list[str]
    stale: bool
    model_version_id: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a slot stood before; the forecast is the last one written."""

    unit_id: int
    cycle_id: int
    forecast_id: int | None
    stage: str
    stale: bool
    pct_left: float | None
    eol_q50: datetime | None
    order_at: datetime | None
    basis: str | None
    flags: list[str]
    model_version_id: int | None


def stage(now: datetime, pct_left: float, eol_q50: datetime, order_at: datetime) -> str:
    """Return the stage of a slot; see the head of this file."""
    if pct_left <= 0 or eol_q50 <= now:
        return "overdue"
    if order_at <= now:
        return "due"
    return "soon" if order_at <= now + SOON else "ok"


def says_something_new(had: Standing, outlook: Outlook, now: datetime) -> bool:
    """Say whether a forecast is worth a row; see the head of this file."""
    if had.forecast_id is None or had.cycle_id != outlook.cycle_id:
        return True
    if had.pct_left is None or had.eol_q50 is None or had.order_at is None:
        return True
    plain = (had.stage, had.stale, had.basis, had.flags, had.model_version_id)
    if plain != (outlook.stage, outlook.stale, outlook.basis, outlook.flags, outlook.model_version_id):
        return True
    worth = max(timedelta(days=1), abs(outlook.eol_q50 - now) / 20)
    moved = max(abs(outlook.eol_q50 - had.eol_q50), abs(outlook.order_at - had.order_at))
    return moved > worth or abs(outlook.pct_left - had.pct_left) >= 1
