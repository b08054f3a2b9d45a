"""Recorded filter-clogging runs through the front door: each forecast as it stood, beside the truth.

Every second run has already happened: it is published whole, its filter is changed at its end, and the cycle becomes a
label. The others live: what they had said by 50, 70 and 90 % of their life is published, and forecast from the store,
by a model that has seen neither them nor anything later. On the rig seconds stand in for hours of use.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from gateway import clock
from gateway.errors import WearwellError
from gateway.replay import phme20
from gateway.replay.phme20 import EOL_PA, Run
from gateway.replay.score import FRACTIONS
from gateway.replay.stage import Speaker, Stage
from gateway.replenish import learn, reactions, score

GTIN = "09520000000042"
HOURS_PER_S = 1.0  # of the rig: a filter that lasted four minutes lasted ten days
SEEN_AFTER_S = 4.0  # what was recorded past the end before the filter was changed
PER_BATCH = 500
BEFORE = -1.0  # seconds: before the first sample, which is at zero
LEVELS = (0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7)  # of the end
MAKER = """
tenant = "rig"
name = "A rig for liquid filters"
[[models]]
gtin = "{gtin}"
name = "Filter rig"
[[models.slots]]
code = "filter"
name = "Filter"
predictor = "hit"
life_h = {life_h:.0f}
life_d = {life_d:.0f}
load_channel = "load"
load_ref = {load_ref:.6g}
indicator_channel = "pressure_drop"
indicator_eol = {eol:.0f}
levels = {levels}  # few, for a dozen filters teach
"""
MISSING = """
select u.device from unit u join unnest(%s::text[], %s::bigint[]) t(device, seq) using (device)
left join unit_session s on s.unit_id = u.unit_id where coalesce(s.high_seq, 0) < t.seq
  or exists (select from gap g where g.unit_id = u.unit_id and g.closed_at is null)"""
UNTOLD = """
select d.name from unnest(%s::text[]) d(name) where not exists (
  select from event e join unit u using (unit_id) where u.device = d.name and e.type = 'part_fitted')"""
WAITING = "select event_id from event where handled_at is null order by event_id"
STANDING = "select eol_q10, eol_q50, eol_q90, basis from slot_state where unit_id = %s"


@dataclass(frozen=True, slots=True)
class Stood:
    """One forecast as it stood: times in seconds of the rig since the filter was fitted."""

    run: str
    profile: str
    fraction: float
    now_s: float
    truth_s: float
    q10: float
    q50: float
    q90: float
    basis: str


@dataclass(frozen=True, slots=True)
class Life:
    """One run as a unit: who speaks, and when its filter was fitted."""

    run: Run
    speaker: Speaker
    fitted_at: datetime

    @property
    def eol_s(self) -> float:
        """When it ended, in seconds of the rig."""
        return float(self.run.eol_s or 0.0)

    def at(self, second: float) -> datetime:
        """Return the moment that a second of the rig stands for."""
        return self.fitted_at + timedelta(hours=HOURS_PER_S * second)

    def second(self, at: datetime) -> float:
        """Return the second of the rig that a moment stands for."""
        return (at - self.fitted_at) / timedelta(hours=HOURS_PER_S)

    def batches(self, since_s: float, until_s: float) -> Iterator[tuple[str, bytes]]:
        """Yield what it measured in (since, until] as the protocol's batches."""
        run = self.run
        first, last = np.searchsorted(run.time_s, [since_s, until_s], side="right")
        runtime = run.time_s * HOURS_PER_S
        load = run.flow_m3_h.clip(min=0) * (run.solid_ratio or 0.0)
        for start in range(first, last, PER_BATCH):
            samples = [
                [
                    round((runtime[i] - runtime[start]) * 3600, 3),
                    {"runtime": runtime[i], "pressure_drop": run.pressure_drop_pa[i], "load": load[i]},
                ]
                for i in range(start, min(start + PER_BATCH, last))
            ]
            t = self.at(float(run.time_s[start])).timestamp()
            batch = {"v": 1, "s": 1, "q": start + 1, "t": t, "c": "synced", "r": samples}
            yield f"ww/v1/{self.speaker.device}/tlm", json.dumps(batch).encode()

    def sent(self, until_s: float) -> int:
        """Return the sequence number of the last sample that was measured by then."""
        return int(np.searchsorted(self.run.time_s, until_s, side="right"))

    def changed(self) -> tuple[str, bytes]:
        """Return the event that says that the filter was changed, once its end had been seen."""
        at = self.at(self.eol_s + SEEN_AFTER_S).timestamp()
        event = {"v": 1, "s": 1, "id": "changed", "t": at, "c": "synced", "type": "part_fitted", "slot": "filter"}
        return f"ww/v1/{self.speaker.device}/evt", json.dumps(event | {"by": "button"}).encode()


def replay(stage: Stage, path: Path) -> list[Stood]:
    """Publish the runs, learn from the past ones, and return the others' forecasts as they stood."""
    past, alive = split([run for run in phme20.runs(path, beyond_s=SEEN_AFTER_S) if run.eol_s is not None])
    lives = _enrol(stage, past, alive)
    happened, living = lives[: len(past)], lives[len(past) :]
    _publish(stage, [(life, BEFORE, life.eol_s + SEEN_AFTER_S) for life in happened])
    _change(stage, happened)
    rows: list[Stood] = []
    reached = {life.run.name: BEFORE for life in living}
    for fraction in FRACTIONS:
        _publish(stage, [(life, reached[life.run.name], fraction * life.eol_s) for life in living])
        rows += [_forecast(stage, life, fraction) for life in living]
        reached = {life.run.name: fraction * life.eol_s for life in living}
    return rows


def split(runs: list[Run]) -> tuple[list[Run], list[Run]]:
    """Return the runs that have happened and those that live: the set's own parts where it has two, else every second.

    Raises WearwellError where one of them is empty.
    """
    parts = {run.part for run in runs}
    test = [run for run in runs if run.part == "test"] if len(parts) > 1 else runs[1::2]
    train = [run for run in runs if run not in test] if len(parts) > 1 else runs[0::2]
    if not train or not test:
        raise WearwellError(f"{len(runs)} complete runs are too few: some must have happened and some must live")
    return train, test


def _enrol(stage: Stage, past: list[Run], alive: list[Run]) -> list[Life]:
    life_h = HOURS_PER_S * float(np.median([run.eol_s for run in past]))
    loads = [float(np.mean(run.flow_m3_h)) * (run.solid_ratio or 0.0) for run in past]
    toml = MAKER.format(
        gtin=GTIN,
        life_h=life_h,
        life_d=max(1.0, life_h / 24),
        load_ref=float(np.median(loads)),
        eol=EOL_PA,
        levels=[round(share * EOL_PA) for share in LEVELS],
    )
    tenant_id = stage.declare(toml)
    runs = [*past, *alive]
    longest = timedelta(hours=HOURS_PER_S * max(float(run.time_s[-1]) for run in runs))
    fitted_at = (clock.now() - longest - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    lives = [Life(run, stage.enrol(tenant_id, GTIN, run.name, fitted_at), fitted_at) for run in runs]
    stage.admit()
    return lives


def _publish(stage: Stage, spans: list[tuple[Life, float, float]]) -> None:
    for life, since_s, until_s in spans:
        with stage.publisher(life.speaker) as publisher:
            publisher.send(life.batches(since_s, until_s))
    stage.wait(
        MISSING,
        ([life.speaker.device for life, _, _ in spans], [life.sent(until) for life, _, until in spans]),
        "samples of the rig's units",
    )


def _change(stage: Stage, lives: list[Life]) -> None:
    """Change the filters of the runs that ended, and let the model learn from their cycles."""
    for life in lives:
        with stage.publisher(life.speaker) as publisher:
            publisher.send([life.changed()])
    stage.wait(UNTOLD, ([life.speaker.device for life in lives],), "changed filters")
    for (event_id,) in stage.conn.execute(WAITING).fetchall():
        with stage.conn.transaction():
            reactions.react(stage.conn, event_id, stage.desk, clock.now())
    for slot_id in learn.ripe(stage.conn):
        with stage.conn.transaction():
            learn.learn(stage.conn, slot_id, clock.now())


def _forecast(stage: Stage, life: Life, fraction: float) -> Stood:
    now_s = fraction * life.eol_s
    with stage.conn.transaction():
        score.score_units(stage.conn, [life.speaker.unit.unit_id], life.at(now_s))
    row = stage.conn.execute(STANDING, (life.speaker.unit.unit_id,)).fetchone()
    if row is None:
        raise WearwellError(f"{life.run.name} has no forecast; its readings did not reach the store")
    q10, q50, q90 = (life.second(at) for at in row[:3])
    return Stood(life.run.name, life.run.profile, fraction, now_s, life.eol_s, q10, q50, q90, row[3])
