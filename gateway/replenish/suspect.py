"""To suspect: what a unit's own signals say against its forecast, and what follows from it.

- A replacement that nobody told: its owner is asked, and until they answer the forecast is a mixture of both parts.
- What was noted is judged anew while more looks come: a part that read as if it was cleaned may prove to be a new one.
- Beyond doubt, counter and indicator together: the cycle closes, reported by the unit's own signals.
- A counter set anew without a new part, or not set anew with one: it is not gone by.
- A part that was cleaned: the levels crossed before say nothing any more.
- A sensor that stuck, jumped or lies: the forecast goes by exposure alone. One that jumped past the end at once may be
  right, so that is shown as the end, and asked rather than told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from gateway.events import Event, EventType
from gateway.notify import outbox
from gateway.registry import doubts, history, owners
from gateway.registry.doubts import Doubt, Kind, State
from gateway.replenish import signals, way
from gateway.replenish.features import Seen
from gateway.replenish.signals import Signals
from gateway.replenish.suspicion import Suspicion
from predictors import changepoint, replacement, sensor
from predictors.replacement import Verdict, Verdicts, Window
from predictors.sensor import Fault

SAME = timedelta(days=3)  # two moments nearer than this are one
SETTLED_IN = timedelta(days=2)  # after a fitting somebody told: the button is pressed a day later, the air must run in
YOUNG = timedelta(days=14)  # cycles whose counter is compared with the one before
ASKED = 0.2  # probability of another part, from which on an unclear case is asked
KINDS: dict[int, Kind] = {
    Verdict.REPLACED: "replaced",
    Verdict.CLEANED: "cleaned",
    Verdict.RESET: "reset",
    Verdict.UNRESET: "unreset",
    Verdict.UNKNOWN: "unknown",
}
FAULTS = {Fault.STUCK: "sensor_stuck", Fault.BIASED: "sensor_biased", Fault.UNORDERED: "sensor_biased"}

BEFORE = """
select st.unit_id, (f.inputs ->> 'left_pct')::float8, (f.inputs ->> 'left_h')::float8
from slot_state st join forecast f on f.forecast_id = st.forecast_id and f.cycle_id = st.cycle_id
where st.slot_id = %s and st.unit_id = any(%s)"""


def look(conn: psycopg.Connection, seen: Seen, now: datetime) -> Suspicion:
    """Look for what the signals say against what was seen; keep what is new as rows, and ask whom there is to ask."""
    found = Suspicion.none(seen)
    before = _noticed(conn, seen)
    if rows := _worth_a_look(conn, seen, before):
        shown = signals.read(conn, seen, rows)
        for bench in _benches(conn, found, shown, before, now):
            bench.judge()
        before = _noticed(conn, seen)
    for row, cycle_id in enumerate(seen.cycle_ids):
        for doubt in before.get(cycle_id, []):
            found.mark(row, doubt, now)
    return found


def _noticed(conn: psycopg.Connection, seen: Seen) -> dict[int, list[Doubt]]:
    noticed: dict[int, list[Doubt]] = {}
    for doubt in doubts.of_cycles(conn, seen.cycle_ids):
        noticed.setdefault(doubt.cycle_id, []).append(doubt)
    return noticed


def _worth_a_look(conn: psycopg.Connection, seen: Seen, noticed: dict[int, list[Doubt]]) -> list[int]:
    """Return the rows with an indicator, and those whose own counter may have begun again or may have failed to."""
    if seen.slot.indicator_channel:
        return list(range(len(seen.unit_ids)))
    told = np.fmax(seen.batch.left_pct / 100.0, seen.batch.left_h / (seen.slot.life_h or np.nan))
    counts = np.flatnonzero(np.isfinite(told))
    if not counts.size:
        return []
    was = {
        unit_id: np.fmax(np.nan if pct is None else pct / 100.0, (hours or np.nan) / (seen.slot.life_h or np.nan))
        for unit_id, pct, hours in conn.execute(BEFORE, (seen.slot.slot_id, [seen.unit_ids[i] for i in counts]))
    }
    young = seen.batch.age_d <= YOUNG / timedelta(days=1)
    rose = [told[i] - was.get(seen.unit_ids[i], np.nan) >= replacement.RISE for i in counts]
    return [int(i) for i, up in zip(counts, rose, strict=True) if up or young[i] or seen.cycle_ids[i] in noticed]


def _benches(
    conn: psycopg.Connection, found: Suspicion, shown: Signals, noticed: dict[int, list[Doubt]], now: datetime
) -> Iterator["Bench"]:
    """Yield what is to be judged, unit by unit; the mathematics is done for all of them at once."""
    nobody = np.full(len(shown.rows), -1)
    verdicts = replacement.judge(Window(shown.y, shown.left, shown.fresh, shown.fresh_sd, nobody, shown.reset))
    faults, jumped = sensor.check(shown.y, shown.exposure, shown.fresh, shown.fresh_sd, shown.said)
    for i, row in enumerate(shown.rows):
        known = noticed.get(found.seen.cycle_ids[row], [])
        yield Bench(conn, found, shown, verdicts, Fault(int(faults[i])), int(jumped[i]), known, now, i, row)


@dataclass(slots=True)
class Bench:
    """One unit's signals, with what was noticed of its cycle before.

    `i` is its row in the signals, `row` the one in what was seen.
    """

    conn: psycopg.Connection
    found: Suspicion
    shown: Signals
    verdicts: Verdicts
    fault: Fault
    jumped: int
    known: list[Doubt]
    now: datetime
    i: int
    row: int

    def judge(self) -> None:
        """Keep what is new about the unit, and mark what is not believed."""
        if self.verdicts.waits[self.i]:
            self.found.report[self.row] = True
        if (flag := FAULTS.get(self.fault)) is not None:
            self.found.flag(self.row, flag)
            self.found.levels[self.row] = self.found.level[self.row] = True
        elif self.fault == Fault.JUMPED:
            self._jump(self._when(self.jumped))
        self._counter()
        if self.verdicts.kind[self.i] != Verdict.NOTHING:
            self._verdict(self._when(int(self.verdicts.at[self.i])))

    def _when(self, column: int) -> datetime:
        return self.shown.hours[self.i][column]

    def _jump(self, at: datetime) -> None:
        """Note a sensor that jumped, which is not used in this cycle any more; past the end it may be right."""
        if self.found.seen.ended[self.row]:
            self.found.flag(self.row, "sudden")
        elif not any(d.kind == "sensor" and abs(d.happened_at - at) <= SAME for d in self.known):
            self._notice("sensor", "noted", 0.0, at, {})

    def _counter(self) -> None:
        """Note a fitted part whose counter nobody set anew, until somebody presses the button after all."""
        reset_at = self._when(int(self.verdicts.reset[self.i])) if self.verdicts.reset[self.i] >= 0 else None
        since = self.shown.began[self.i]
        late = next((d for d in self.known if d.kind == "unreset" and d.state == "noted"), None)
        if late is not None:
            if reset_at is not None and reset_at > late.happened_at:
                doubts.turn(self.conn, replace(late, state="closed"))
            return
        pressed = reset_at is not None and reset_at > since - SETTLED_IN
        if self.shown.assumed[self.i] or self.found.seen.at - since > YOUNG or pressed:
            return
        left, hours = self.shown.left[self.i], self.shown.hours[self.i]
        before = [share for share, hour in zip(left, hours, strict=False) if np.isfinite(share) and hour <= since]
        after = [share for share, hour in zip(left, hours, strict=False) if np.isfinite(share) and hour > since]
        if before and len(after) >= replacement.HELD and max(before[-1], *after) < replacement.NEW:
            self._notice("unreset", "noted", 1.0, since, {"counter": float(after[-1])})

    def _verdict(self, at: datetime) -> None:
        """Keep a verdict: as a question, as a fact or as a note; bring up to date what was noticed of it before."""
        run_in = timedelta(0) if self.shown.assumed[self.i] else SETTLED_IN
        if at <= self.shown.began[self.i] + run_in:
            return
        kind, state = self._reading()
        p, evidence = round(float(self.verdicts.probability[self.i]), 4), self._evidence(at)
        same = [d for d in self.known if abs(d.happened_at - at) <= SAME and d.kind != "sensor"]
        if not same:
            if not self._waiting():
                self._notice(kind, state, p, at, evidence)
        elif all(d.state in ("open", "noted") for d in same):
            was = next((d for d in same if d.unsettled), same[0])
            self._anew(was, replace(was, kind=kind, state=state, probability=p, evidence=evidence), at)

    def _waiting(self) -> bool:
        """Whether something waits: one question at a time; a button pressed late belongs to what was changed before."""
        return any(d.unsettled or (d.kind == "unreset" and d.state == "noted") for d in self.known)

    def _anew(self, was: Doubt, now: Doubt, at: datetime) -> None:
        """Let what was noticed become what is known by now: a question a fact or a note, a note a question."""
        turns = (was.kind, was.state) != (now.kind, now.state)
        if was.state == "noted":
            if not self._tells_more(was, now, at) or (now.unsettled and self._waiting()):
                return
            now = replace(now, happened_at=at, found_at=self.now if now.state == "open" else was.found_at)
        elif not turns and not self._fuller(was, now):
            return
        if not doubts.turn(self.conn, now) or not turns:
            return
        if now.state == "acted":
            _act(self.conn, now, now.evidence)
        if now.state == "open":
            _ask(self.conn, now, self.now)

    def _tells_more(self, was: Doubt, now: Doubt, at: datetime) -> bool:
        """Whether more is known than when it was noted: more looks, the counter's word, or another, later moment."""
        counter = now.evidence["counter_began_again"] and not was.evidence.get("counter_began_again")
        later = self._looks(was.happened_at) - self._looks(at) >= changepoint.LEAST
        return bool(counter or later or self._fuller(was, now))

    def _fuller(self, was: Doubt, now: Doubt) -> bool:
        """Whether looks came after the moment since; a level is taken from so many, and more tell nothing of it."""
        then: int = was.evidence.get("looks", 0)
        return bool(then < changepoint.SEGMENT and now.evidence["looks"] > then)

    def _looks(self, since: datetime) -> int:
        read = np.isfinite(self.shown.y[self.i])
        return sum(bool(there) for hour, there in zip(self.shown.hours[self.i], read, strict=False) if hour >= since)

    def _reading(self) -> tuple[Kind, State]:
        kind = KINDS[int(self.verdicts.kind[self.i])]
        if self.verdicts.certain[self.i]:
            return kind, "acted"
        if any(d.state == "denied" for d in self.known) and self.verdicts.reset[self.i] < 0:
            return kind, "noted"  # a part that regenerates: once told that it is the same one, its owner is left alone
        unclear = kind == "unknown" and self.verdicts.probability[self.i] >= ASKED
        return kind, "open" if kind in ("replaced", "unreset") or unclear else "noted"

    def _evidence(self, at: datetime) -> dict[str, Any]:
        change, i = self.verdicts.change, self.i
        return {
            "counter_began_again": bool(self.verdicts.reset[i] >= 0),
            "indicator_before": self._level(change.before[i]),
            "indicator_after": self._level(change.after[i]),
            "fresh_part": self._level(self.shown.fresh[i]),
            "posterior": [round(float(share), 4) for share in self.verdicts.posterior[i]],
            "looks": self._looks(at),
        }

    def _level(self, log: float) -> float | None:
        if not np.isfinite(log):
            return None
        slot = self.found.seen.slot
        return round(float(np.exp(-log if way.declared(slot).falling else log)) - signals.floor(slot), 3)

    def _notice(self, kind: Kind, state: State, p: float, at: datetime, evidence: dict[str, Any]) -> None:
        seen, cycle_id = self.found.seen, self.found.seen.cycle_ids[self.row]
        doubt = doubts.notice(
            self.conn,
            Doubt(
                doubt_id=0,
                tenant_id=seen.slot.tenant_id,
                unit_id=seen.unit_ids[self.row],
                slot_id=seen.slot.slot_id,
                cycle_id=cycle_id,
                key=f"{cycle_id}:{len(self.known)}",
                kind=kind,
                probability=p,
                happened_at=at,
                found_at=self.now,
                evidence=evidence,
                state=state,
                answered_at=None,
            ),
        )
        if doubt is None:
            return
        self.known.append(doubt)
        if state == "acted":
            _act(self.conn, doubt, evidence)
        if state == "open":
            _ask(self.conn, doubt, self.now)


def _act(conn: psycopg.Connection, doubt: Doubt, evidence: dict[str, Any]) -> None:
    """Tell that the part was fitted, in the name of the unit's own signals."""
    key, payload = f"fitted:signals:{doubt.doubt_id}", {"by": "signals", "doubt_id": doubt.doubt_id}
    where = (doubt.tenant_id, doubt.unit_id, doubt.slot_id)
    told = {**payload, "evidence": {**evidence, "probability": doubt.probability}}
    history.record(conn, Event(*where, EventType.PART_FITTED, key, doubt.happened_at, told))


def _ask(conn: psycopg.Connection, doubt: Doubt, now: datetime) -> None:
    """Write to the owner, once; the page asks whoever opens it."""
    owner = owners.owner_of(conn, doubt.unit_id, now)
    if owner is not None and owners.agreed(conn, owner.party_id, "replacement_prompts"):
        outbox.put(
            conn,
            tenant_id=doubt.tenant_id,
            key=f"changed?:{doubt.key}",
            channel="email",
            kind="ask_if_changed",
            payload={"doubt_id": doubt.doubt_id},
            party_id=owner.party_id,
        )
