"""What lies in quarantine, as an operator reads it: by reason and by unit, with what to do next."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

ENROL = "enrol the unit: its messages go through by themselves then"
MAKER = "ask the unit's maker with one message: wearwell quarantine show ID; what cannot be read stays refused"
DECLARE = "declare it (wearwell declare), then release"
REMEDIES = {
    "unknown_topic": "see which client publishes there; narrow WEARWELL_MQTT_SUBSCRIPTIONS if it is none of yours",
    "unknown_unit": ENROL,
    "other_key": "the bridge must take a record's key from the topic that it came on: put it right there, then release",
    "other_adapter": "declare the model's adapter as what its units speak, then release",
    "retained_telemetry": "the firmware must not retain telemetry; clear it at the broker",
    "too_large": "the firmware must send smaller batches: 64 KiB at most",
    "too_deep": MAKER,
    "bad_text": MAKER,
    "bad_json": MAKER,
    "bad_cbor": MAKER,
    "duplicate_key": MAKER,
    "not_finite": MAKER,
    "unknown_version": "a newer firmware than this gateway: update Wearwell, then release",
    "wrong_shape": MAKER,
    "unknown_event": "a newer firmware than this gateway: update Wearwell, then release",
    "unknown_slot": DECLARE,
    "unknown_channel": DECLARE,
    "unbelievable": "a broken sensor, or limits declared too narrow: put them right, then release",
    "indigestible": "a fault of the gateway: report it, keep the message, release it after an update",
}

# No release lets these through: they cannot be read, nobody reads their topic, or only their beginning was kept.
STUCK = (*(reason for reason, remedy in REMEDIES.items() if remedy is MAKER), "unknown_topic", "too_large")

BY_REASON = """
select reason, count(*) as messages, count(distinct device) as units, min(received_at) as oldest,
       max(received_at) as newest, (array_agg(detail order by quarantine_id desc))[1] as example
from quarantine where released_at is null and (%(device)s::text is null or device = %(device)s)
group by reason order by messages desc, reason"""

BY_UNIT = """
select q.device, u.unit_id is not null as enrolled, q.reason, count(*) as messages, min(q.received_at) as oldest,
       max(q.received_at) as newest
from quarantine q left join unit u using (device)
where q.released_at is null
group by q.device, u.unit_id, q.reason order by messages desc, q.device, q.reason limit %(limit)s"""


def by_reason(conn: psycopg.Connection, device: str | None = None) -> list[dict[str, Any]]:
    """Return what waits, by its reason, most first, each with the newest one's detail and what to do next."""
    rows = _asked(conn, BY_REASON, device=device)
    return [row | {"do": REMEDIES.get(row["reason"], MAKER)} for row in rows]


def by_unit(conn: psycopg.Connection, *, limit: int) -> list[dict[str, Any]]:
    """Return what waits by unit and reason, most first; `enrolled` says whether we know the unit."""
    return _asked(conn, BY_UNIT, limit=limit)


def _asked(conn: psycopg.Connection, query: str, **given: object) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), given).fetchall()
