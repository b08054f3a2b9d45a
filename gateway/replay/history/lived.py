"""A history lived through in its own time, as if the gateway had run then: day by day, what had arrived by that day.

The world's time stands (clock.standing) where the history is. Readings and events go through ingest as messages that
were received when they arrived; an event is answered at that moment, before it what its unit had said is forecast. At
the end of each UTC day units with news are forecast, and those of which nobody spoke for longer than a day; models that
are ripe learn. So labels, forecasts and versions bear the times at which a gateway would have known them.

Nobody is asked anything: no chore that speaks is done, no unit has an owner, and what is put out for units is let go.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway import clock
from gateway.ingest.directory import Directory
from gateway.ingest.envelope import Envelope
from gateway.ingest.settle import settle
from gateway.registry import declaration, units
from gateway.replay.history import cells
from gateway.replay.history.files import History
from gateway.replay.history.ledger import EVENT, Entry
from gateway.replay.history.room import Room
from gateway.replay.history.roster import Member
from gateway.replay.history.speech import Speech
from gateway.replenish import reactions, score

DAY_MS = 86_400_000
AT_ONCE = 50_000  # values that wait for the end of their day, at most
EVERYBODY = 1_000_000_000
TELL_S = 5.0
WAITING = """
select event_id from event where handled_at is null and (%(unit)s::bigint is null or unit_id = %(unit)s)
order by event_id"""
COUNTS = "select (select count(*) from cycle where not upper_inf(period)), (select count(*) from forecast)"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a history is lived through: day `day` of `days`, and what stands in the store by then."""

    day: int
    days: int
    at: datetime
    readings: int
    cycles: int
    forecasts: int


class Life:
    """A history on its way through a room."""

    def __init__(self, room: Room, history: History, tell: Callable[[Progress], None]) -> None:
        self.room, self.history, self.tell = room, history, tell
        self.directory = Directory()
        self.unit_ids: dict[int, int] = {}
        self.speeches = {member.number: Speech(member.device) for member in history.members}
        self.waiting: dict[int, list[Entry]] = {}
        self.held = 0
        self.stored = 0

    def live(self) -> None:
        """Live through all of it."""
        span = self.history.ledger.span()
        if span is None:
            return
        first, last = (ms // DAY_MS for ms in span)
        with clock.standing(cells.at(first * DAY_MS)), self.room.conn.transaction():
            tenant_id = declaration.declare(self.room.conn, self.history.declared)
        unborn = sorted(self.history.members, key=lambda member: (member.born or 0, member.number), reverse=True)
        told = time.monotonic()
        arriving = self.history.ledger.by_day(DAY_MS)
        next_day, entries = next(arriving, (last + 1, ()))
        for day in range(first, last + 1):
            end = (day + 1) * DAY_MS
            while unborn and (unborn[-1].born or 0) < end:
                self._enrol(tenant_id, unborn.pop())
            if day == next_day:
                self._hear(entries)
                next_day, entries = next(arriving, (last + 1, ()))
            self._end_day(min(cells.at(end), clock.wall()))
            if day == last or time.monotonic() - told >= TELL_S:
                self.tell(self._progress(day - first + 1, last - first + 1, cells.at(day * DAY_MS)))
                told = time.monotonic()

    def _enrol(self, tenant_id: int, member: Member) -> None:
        """Enrol a unit as of its birth, which may lie before the first thing that was ever heard."""
        with self.room.conn.transaction():
            made = units.enrol(
                self.room.conn,
                tenant_id,
                member.model.gtin,
                member.serial,
                now=cells.at(member.born or 0),
                device=member.device,
                hw_rev=member.hw_rev,
                region=member.region,
                name=member.name,
            )
        self.unit_ids[member.number] = made.unit.unit_id

    def _hear(self, entries: Iterable[Entry]) -> None:
        """Take what arrived on one day, in that order; readings wait for its end, or for an event of their unit."""
        for entry in entries:
            if entry.kind == EVENT:
                self._happen(entry)
                continue
            self.waiting.setdefault(entry.unit, []).append(entry)
            self.held += entry.values
            if self.held >= AT_ONCE:
                self._settle_readings(cells.at(entry.arrived))

    def _happen(self, entry: Entry) -> None:
        """Record an event and answer it, when it arrived; what its unit said before is known and forecast by then."""
        at, unit_id = cells.at(entry.arrived), self.unit_ids[entry.unit]
        speech = self.speeches[entry.unit]
        if before := self.waiting.pop(entry.unit, None):
            self.held -= sum(each.values for each in before)
            self._settle(list(speech.readings(before)), at)
        with clock.standing(at), self.room.conn.transaction():
            score.score_units(self.room.conn, [unit_id], at)
        self._settle([speech.event(entry)], at)
        self._react(at, unit_id)

    def _end_day(self, at: datetime) -> None:
        """Store what waits, learn what is ripe, and forecast who is to be forecast; then let go of what was put out."""
        self._settle_readings(at)
        chores = self.room.chores
        with clock.standing(at):
            chores.learn_habits()
            chores.learn()
            with self.room.conn.transaction():
                score.want_aged(self.room.conn, at, EVERYBODY)
            while chores.score():
                self._react(at)  # a replacement that a unit's own signals told beyond doubt
        self.room.conn.execute("delete from outbox")
        self.room.conn.execute("delete from procrastinate_jobs")

    def _settle_readings(self, at: datetime) -> None:
        envelopes = [batch for unit, said in self.waiting.items() for batch in self.speeches[unit].readings(said)]
        self.waiting.clear()
        self.held = 0
        self._settle(envelopes, at)

    def _settle(self, envelopes: list[Envelope], at: datetime) -> None:
        if envelopes:
            with clock.standing(at):
                self.stored += settle(self.room.conn, self.directory, envelopes).stored

    def _react(self, at: datetime, unit_id: int | None = None) -> None:
        """Take the steps that follow from events that nobody has answered yet."""
        with clock.standing(at):
            for (event_id,) in self.room.conn.execute(WAITING, {"unit": unit_id}).fetchall():
                with self.room.conn.transaction():
                    reactions.react(self.room.conn, event_id, self.room.desk, at)

    def _progress(self, day: int, days: int, at: datetime) -> Progress:
        row = self.room.conn.execute(COUNTS).fetchone()
        cycles, forecasts = row or (0, 0)
        return Progress(day, days, at, self.stored, cycles, forecasts)
