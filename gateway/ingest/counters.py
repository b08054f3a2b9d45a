"""The greatest value of each counter: what "went back" is measured against."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import psycopg

from gateway.ingest.arrays import MICROS, Float8s, Int4s, Int8s, Times, columns
from gateway.ingest.believe import went_back
from gateway.ingest.clocks import Flag
from gateway.ingest.readings import Readings, starts

SELECT = f"select unit_id, slot_id, channel_id, value, {MICROS.format('ts')} from counter_high where unit_id = any(%s)"
UPSERT = """insert into counter_high (tenant_id, unit_id, slot_id, channel_id, value, ts)
    select * from unnest(%s, %s, %s, %s, %s, %s)
    on conflict (unit_id, slot_id, channel_id) do update set value = excluded.value, ts = excluded.ts"""

Key = tuple[int, int, int]  # unit, slot, channel
UNSEEN = (float("-inf"), np.iinfo(np.int64).min)  # the mark of a counter that nothing contradicts


class Reset(NamedTuple):
    """A unit says that counters begin again: after how many batches of its haul, which (None: the slot's), at what."""

    after: int
    tenant_id: int
    unit_id: int
    slot_id: int
    channel_id: int | None
    value: float
    ts: int


@dataclass(slots=True)
class Highs:
    """The counters of some units, as they stand and as this batch changes them."""

    known: dict[Key, tuple[float, int]]
    changed: dict[Key, int] = field(default_factory=dict)  # with the tenant

    def flag(self, readings: Readings) -> None:
        """Flag the counters' readings that went back, in the order that they came; the others lift the high marks."""
        places = np.flatnonzero(readings["counter"] & (readings["flags"] & Flag.NO_VALUE == 0))
        if not places.size:
            return
        places = places[np.argsort(readings["key"][places], kind="stable")]
        rows = np.take(readings, places)
        begin = starts(rows["key"])
        end = np.append(begin[1:], len(rows))
        keys = list(zip(*(rows[name][begin].tolist() for name in ("unit_id", "slot_id", "channel_id")), strict=True))
        marks = np.array([self.known.get(key, UNSEEN) for key in keys], [("value", "f8"), ("ts", "i8")])
        # What each reading must not contradict, as long as none before it did: the one before, at first the mark.
        before, before_ts = np.roll(rows["value"], 1), np.roll(rows["ts"], 1)
        before[begin], before_ts[begin] = marks["value"], marks["ts"]
        rises = (rows["value"] >= before) & (rows["ts"] >= before_ts)
        lifts = np.where(rows["value"] > before, np.arange(len(rows)), -1)
        calm = np.logical_and.reduceat(rises, begin)
        lifted = np.maximum.reduceat(lifts, begin)
        for place, key in enumerate(keys):
            if not calm[place]:
                self._flag_one_by_one(readings, places[begin[place] : end[place]], key)
            elif lifted[place] >= 0:
                row = rows[lifted[place]]
                self._lift(key, float(row["value"]), int(row["ts"]), int(row["tenant_id"]))

    def _flag_one_by_one(self, readings: Readings, places: np.ndarray, key: Key) -> None:
        for place in places:
            value, ts = float(readings["value"][place]), int(readings["ts"][place])
            high = self.known.get(key)
            if high is not None and went_back(value, ts, *high):
                readings["flags"][place] |= Flag.BACK
            elif high is None or value > high[0]:
                self._lift(key, value, ts, int(readings["tenant_id"][place]))

    def _lift(self, key: Key, value: float, ts: int, tenant_id: int) -> None:
        self.known[key] = (value, ts)
        self.changed[key] = tenant_id

    def reset(self, told: Reset) -> None:
        """Let counters begin again: their part was fitted, or their unit says that they were reset."""
        keys = (
            [(told.unit_id, told.slot_id, told.channel_id)]
            if told.channel_id is not None
            else [key for key in self.known if key[:2] == (told.unit_id, told.slot_id)]
        )
        for key in keys:
            self._lift(key, told.value, told.ts, told.tenant_id)


def load(conn: psycopg.Connection, unit_ids: list[int]) -> Highs:
    """Return the counters of these units."""
    found = conn.execute(SELECT, (Int8s(unit_ids),), binary=True).fetchall()
    return Highs({(row[0], row[1], row[2]): (row[3], row[4]) for row in found})


def save(conn: psycopg.Connection, highs: Highs) -> None:
    """Write the marks that changed."""
    if highs.changed:
        rows = [(tenant, *key, *highs.known[key]) for key, tenant in highs.changed.items()]
        conn.execute(UPSERT, columns(rows, Int4s, Int8s, Int4s, Int4s, Float8s, Times))
