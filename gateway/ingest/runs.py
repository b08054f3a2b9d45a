"""Runs: what a unit says in one haul where that is plain batches, each right after the last, as it mostly is.

Whether numbers are new, and who hears of them, is asked once for a whole run; and its columns go on as they are.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, repeat
from operator import call
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.ingest import clocks, opening
from gateway.ingest.arrays import NO_TIME
from gateway.ingest.content import Batch
from gateway.ingest.gathered import Brought, Said
from gateway.ingest.haul import Haul
from gateway.ingest.mail import Mail
from gateway.ingest.parcel import Parcel, Sender
from gateway.ingest.plain import Plain
from gateway.ingest.readings import starts
from gateway.ingest.sessions import Session, Spans
from gateway.ingest.sheet import Sheet, begins, places_within

NO_RUN = -1  # in place of a run's number, and of the unit of a message that can be in none

Ints = NDArray[np.int64]


class Run(NamedTuple):
    """One unit's batches: their session, their numbers, when the last one came, whether any goes by uptime."""

    sender: Sender
    session: int
    first: int
    last: int
    received: int
    relative: bool

    @property
    def unit_id(self) -> int:
        """Whose they are."""
        return self.sender.unit.unit_id

    def follows(self, session: Session) -> bool:
        """Take its numbers into its session, if they come right after the last.

        The first batch that goes by uptime is looked at by itself: it says when that read zero.
        """
        known = session.anchor is not None or not self.relative
        return known and session.sequence.follow(self.first, self.last)


class Runs:
    """The runs among a haul's plain messages. What is in none is handed out, message by message, as is what leaves."""

    def __init__(self, mail: Mail, plain: Plain, senders: Mapping[str, Sender], aside: Collection[str]) -> None:
        """Find the runs of units that are known and say nothing else; those set `aside`, by their devices, do."""
        self._mail, self._plain, self._senders = mail, plain, senders
        self._runs: list[Run] = []
        self._run = np.full(len(plain), NO_RUN)  # of each message
        self._here = np.ones(len(plain), bool)  # until it is handed out
        self._gone: set[int] = set()  # runs of units that were handed out
        if len(plain):
            self._find({
                device: sender.unit.unit_id
                for device, sender in senders.items()
                if sender.unit.adapter == "wearwell" and device not in aside
            })  # fmt: skip

    @property
    def spans(self) -> dict[tuple[int, int, int], Spans]:
        """The numbers that those still here bring, by tenant, unit and session."""
        return {
            (run.sender.unit.tenant_id, run.unit_id, run.session): [(run.first, run.last)]
            for place, run in enumerate(self._runs)
            if place not in self._gone
        }

    def others(self) -> list[Parcel]:
        """Hand out the messages that are in no run."""
        return self._handed_out(self._run == NO_RUN)

    def without(self, units: Collection[int]) -> list[Parcel]:
        """Hand out the messages of these units."""
        self._gone = {place for place, run in enumerate(self._runs) if run.unit_id in units}
        return self._handed_out(np.isin(self._run, list(self._gone)))

    def take_in(self, haul: Haul) -> list[Parcel]:
        """Add to a haul the runs that follow right on what is stored; hand out the messages of the others."""
        taken = np.zeros(len(self._runs) + 1, bool)  # the last place is that of NO_RUN
        zero = np.full(len(self._runs), NO_TIME)  # when a session's uptime read zero
        for place, run in enumerate(self._runs):
            if place in self._gone or not run.follows(session := haul.sessions[run.unit_id, run.session]):
                continue
            taken[place] = True
            haul.heard[run.unit_id, run.session] = run.sender
            haul.presences[run.unit_id].hear(run.received)
            if session.anchor is not None:
                zero[place] = session.anchor
        left = self._handed_out(~taken[self._run])
        if self._here.any():
            rows = np.flatnonzero(self._here).tolist()
            haul.gathered.take(Brought(self._sheet(zero), lambda place: self._said(rows[place]), self._not_resent))
        return left

    def _find(self, unit_ids: Mapping[str, int]) -> None:
        """Sort the messages by unit: those of one follow one another, or make no run."""
        plain = self._plain
        devices = [address.device for address in plain.addresses]
        unit = np.array([unit_ids.get(device, NO_RUN) for device in devices])
        order = np.argsort(unit, kind="stable")
        unit, session, first, received = (each[order] for each in (unit, plain.session, plain.first, plain.received))
        last = first + plain.length[order] - 1
        relative = plain.clock[order] == clocks.PLACE["relative"]
        begin = starts(unit)
        size = np.diff(begin, append=len(unit))
        follows = np.append(True, (session[1:] == session[:-1]) & (first[1:] == last[:-1] + 1))
        follows[begin] = True
        whole = np.logical_and.reduceat(follows & (unit != NO_RUN), begin)
        self._run[order] = np.repeat(np.where(whole, np.cumsum(whole) - 1, NO_RUN), size)
        told = (
            session[begin],
            first[begin],
            last[begin + size - 1],
            np.maximum.reduceat(received, begin),
            np.logical_or.reduceat(relative, begin),
        )
        senders = [self._senders[devices[row]] for row in order[begin[whole]].tolist()]
        self._runs = list(map(Run, senders, *(each[whole].tolist() for each in told)))

    def _sheet(self, zero: Ints) -> Sheet:
        plain, run = self._plain.chosen(self._here), self._run[self._here]
        units = [run.sender.unit for run in self._runs]
        first = begins(plain.length)
        return Sheet(
            tenant_id=np.array([unit.tenant_id for unit in units])[run],
            unit_id=np.array([unit.unit_id for unit in units])[run],
            session=plain.session,
            first=plain.first,
            t=plain.t,
            clock=plain.clock,
            received=plain.received,
            zero=zero[run],
            last=np.maximum.reduceat(plain.offset, first),
            length=plain.length,
            offset=plain.offset,
            within=places_within(plain.length),
            width=plain.width,
            code=np.fromiter(self._codes(plain, run, first), int, len(plain.names)),
            value=plain.values,
        )

    def _codes(self, plain: Plain, run: Ints, first: Ints) -> Iterator[int]:
        """Return the number of each value's target, one after another."""
        lookups = [run.sender.shelf.codes.__getitem__ for run in self._runs]
        if len({id(run.sender.shelf) for run in self._runs}) == 1:
            return map(lookups[0], plain.names)
        values = np.add.reduceat(plain.width, first).tolist()  # of each message
        each = chain.from_iterable(map(repeat, (lookups[place] for place in run.tolist()), values))
        return map(call, each, plain.names)

    def _not_resent(self) -> set[int]:
        """Return the units of which a message came that they did not send again themselves."""
        odd = self._mail.odd
        rows = np.flatnonzero(self._here) if odd else ()
        marked = (row for row in rows if (turn := int(self._plain.turn[row])) in odd and not self._mail[turn].resent)
        return {self._runs[self._run[row]].unit_id for row in marked}

    def _handed_out(self, some: NDArray[np.bool_]) -> list[Parcel]:
        rows = np.flatnonzero(some & self._here)
        self._here[rows] = False
        return self._parcels(rows)

    def _parcels(self, rows: Ints) -> list[Parcel]:
        """Open messages once more: to keep what each said, when most are never asked for, costs more."""
        found = list(opening.opened_again(self._mail, self._plain.turn[rows].tolist()))
        for row, parcel in zip(rows.tolist(), found, strict=True):
            parcel.sender = self._senders.get(self._plain.addresses[row].device)
        return found

    def _said(self, row: int) -> Said:
        [parcel] = self._parcels(np.array([row]))
        [batch] = (content for content in parcel.contents if isinstance(content, Batch))
        return Said(parcel, self._runs[self._run[row]].sender, batch)
