"""The greatest value of each counter: what "went back" is measured against."""

from dataclasses import dataclass, field

import psycopg

from gateway.ingest.arrays import MICROS, TIMES, literal
from gateway.ingest.believe import went_back
from gateway.ingest.clocks import Flag
from gateway.ingest.hourly import Key
from gateway.ingest.store import Row

SELECT = f"select unit_id, slot_id, channel_id, value, {MICROS.format('ts')} from counter_high where unit_id = any(%s)"
UPSERT = f"""insert into counter_high (tenant_id, unit_id, slot_id, channel_id, value, ts)
    select tenant_id, unit_id, slot_id, channel_id, value, {TIMES.format("ts")}
    from unnest(%s::int[], %s::bigint[], %s::int[], %s::int[], %s::float8[], %s::bigint[])
        t(tenant_id, unit_id, slot_id, channel_id, value, ts)
    on conflict (unit_id, slot_id, channel_id) do update set value = excluded.value, ts = excluded.ts"""


@dataclass(slots=True)
class Highs:
    """The counters of some units, as they stand and as this batch changes them."""

    known: dict[Key, tuple[float, int]]
    changed: dict[Key, int] = field(default_factory=dict)  # with the tenant

    def flagged(self, row: Row) -> Row:
        """Return a counter's reading, flagged if it went back; one that did not lifts the high mark."""
        key = (row.unit_id, row.slot_id, row.channel_id)
        high = self.known.get(key)
        if high is not None and went_back(row.value, row.ts, *high):
            return row._replace(flags=row.flags | Flag.BACK)
        if high is None or row.value > high[0]:
            self.known[key] = (row.value, row.ts)
            self.changed[key] = row.tenant_id
        return row

    def reset(self, tenant_id: int, key: Key, value: float, ts: int) -> None:
        """Let a counter begin again at `value`: its part was fitted, or its unit says that it was reset."""
        self.known[key] = (value, ts)
        self.changed[key] = tenant_id

    def of_slot(self, unit_id: int, slot_id: int) -> list[Key]:
        """Return the counters of one slot of one unit."""
        return [key for key in self.known if key[:2] == (unit_id, slot_id)]


def load(conn: psycopg.Connection, unit_ids: list[int]) -> Highs:
    """Return the counters of these units."""
    return Highs({(row[0], row[1], row[2]): (row[3], row[4]) for row in conn.execute(SELECT, (unit_ids,))})


def save(conn: psycopg.Connection, highs: Highs) -> None:
    """Write the marks that changed."""
    if highs.changed:
        rows = [(tenant, *key, *highs.known[key]) for key, tenant in highs.changed.items()]
        conn.execute(UPSERT, tuple(map(literal, zip(*rows, strict=True))))
