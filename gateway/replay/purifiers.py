"""Recorded purifiers through the front door: what each said, and what the store made of it."""

from dataclasses import dataclass
from pathlib import Path

from gateway import clock
from gateway.replay import dyson
from gateway.replay.stage import Stage
from gateway.replenish import score

GTIN = "09520000000035"
MAKER = f"""
tenant = "recorded"
name = "Recorded messages of Dyson units"
[[models]]
gtin = "{GTIN}"
name = "Purifier"
category = "air purifier"
adapter = "dyson"
slots = [
  {{ code = "filter", name = "Filter", life_h = 4300, life_d = 365 }},
  {{ code = "hepa", name = "HEPA filter", life_h = 4300, life_d = 365 }},
  {{ code = "carbon", name = "Carbon filter", life_h = 4300, life_d = 365 }},
  {{ code = "sco", name = "Formaldehyde filter", life_h = 26000, life_d = 2190 }},
]
"""
LAST = b'{"msg": "GOODBYE"}'  # a unit's own last word: when it is heard, everything before it has arrived
TALKING = "select device from unit where device = any(%s) and connection <> 'lost'"
STORED = "select count(*) from reading where unit_id = %s"
REFUSED = "select reason, count(*) from quarantine where device = %s group by reason order by reason"
LEFT = """
select s.code, c.name, count(*), (array_agg(r.value order by r.ts, r.seq) filter (where r.value <> 'NaN'))[1],
  (array_agg(r.value order by r.ts desc, r.seq desc) filter (where r.value <> 'NaN'))[1]
from reading r join slot s using (slot_id) join channel c using (channel_id)
where r.unit_id = %s group by s.code, c.name order by s.code, c.name"""
FORECAST = """
select s.code, st.updated_at, st.eol_q10, st.eol_q50, st.eol_q90, st.basis
from slot_state st join slot s using (slot_id) where st.unit_id = %s"""


@dataclass(frozen=True, slots=True)
class Left:
    """What a unit said is left in one slot, first and last, and what that amounts to as a forecast."""

    slot: str
    channel: str
    times: int
    first: float | None
    last: float | None
    forecast_on: str
    eol_q10: str
    eol_q50: str
    eol_q90: str
    basis: str


@dataclass(frozen=True, slots=True)
class Told:
    """One recorded unit: how much it said, how much was stored, what was refused and why."""

    unit: str
    source: str
    messages: int
    stored: int
    refused: dict[str, int]
    left: list[Left]


def replay(stage: Stage, path: Path) -> list[Told]:
    """Publish every recording as its unit, in order, and return what stands in the store afterwards."""
    recordings = list(dyson.recordings(path))
    tenant_id = stage.declare(MAKER)
    spans = [recording.span(otherwise=clock.now()) for recording in recordings]
    speakers = [
        stage.enrol(tenant_id, GTIN, recording.serial, began)
        for recording, (began, _) in zip(recordings, spans, strict=True)
    ]
    stage.admit()
    for recording, speaker in zip(recordings, speakers, strict=True):
        with stage.publisher(speaker) as publisher:
            publisher.send(
                [*recording.messages, (f"{recording.device_type}/{recording.serial}/status/connection", LAST)]
            )
    stage.wait(TALKING, ([speaker.device for speaker in speakers],), "recorded units that have not said all")
    for speaker, (_, ended) in zip(speakers, spans, strict=True):
        score.score_units(stage.conn, [speaker.unit.unit_id], ended)
    return [
        _told(stage, speaker.unit.unit_id, recording) for recording, speaker in zip(recordings, speakers, strict=True)
    ]


def _told(stage: Stage, unit_id: int, recording: dyson.Recording) -> Told:
    stored = stage.conn.execute(STORED, (unit_id,)).fetchone()
    forecasts = {code: dates for code, *dates in stage.conn.execute(FORECAST, (unit_id,))}
    left = []
    for slot, channel, times, first, last in stage.conn.execute(LEFT, (unit_id,)):
        *dates, basis = forecasts[slot]
        on, q10, q50, q90 = (f"{date:%Y-%m-%d}" for date in dates)
        left.append(Left(slot, channel, times, first, last, on, q10, q50, q90, basis))
    return Told(
        unit=recording.serial,
        source=recording.source,
        messages=len(recording.messages),
        stored=stored[0] if stored else 0,
        refused=dict(stage.conn.execute(REFUSED, (recording.serial,)).fetchall()),
        left=left,
    )
