"""Quarantine: messages that were refused, whole, with the reason, until somebody looks or their unit is enrolled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from gateway.errors import NotFound
from gateway.ingest.envelope import Envelope, Released
from gateway.ingest.rejection import Rejected, UnknownUnit

KEPT = 65_536  # bytes of a payload; what is larger is refused for that, and its beginning tells enough
COLUMNS = """quarantine_id, tenant_id, device, topic, payload, content_type, reason, detail, received_at, released_at,
    places, digest = sha256(payload) as whole"""

KEEP = """insert into quarantine
        (tenant_id, device, topic, payload, content_type, reason, detail, received_at, digest, places)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (topic, digest, reason) do update
    set released_at = null, received_at = excluded.received_at, places = excluded.places
    where quarantine.released_at is not null"""


class Refusal(NamedTuple):
    """A message, whose it is as far as that is known, why it was refused, and which samples were new, if not all."""

    tenant_id: int | None
    device: str | None
    envelope: Envelope
    reason: Rejected
    places: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of table quarantine."""

    quarantine_id: int
    tenant_id: int | None
    device: str | None
    topic: str
    payload: bytes
    content_type: str | None
    reason: str
    detail: str
    received_at: datetime
    released_at: datetime | None
    places: list[int] | None = None
    whole: bool = True  # what is too large is kept with its beginning only

    def envelope(self) -> Envelope:
        """Return the message as it came in, marked as let through."""
        return Envelope(
            self.topic, self.payload, self.received_at, self.content_type, released=Released(self.reason, self.places)
        )


def keep(conn: psycopg.Connection, refusals: Sequence[Refusal]) -> None:
    """Keep refused messages; one that lies here already for the same reason stays one row."""
    if not refusals:
        return
    rows = [
        (
            refusal.tenant_id,
            refusal.device,
            _clean(refusal.envelope.topic)[:500],  # it stands in an index
            refusal.envelope.payload[:KEPT],
            _clean(refusal.envelope.content_type) if refusal.envelope.content_type else None,
            refusal.reason.code,
            _clean(refusal.reason.detail),
            refusal.envelope.received_at,
            sha256(refusal.envelope.payload).digest(),
            refusal.places,
        )
        for refusal in refusals
    ]
    rows.sort(key=lambda row: (row[2], row[8], row[5]))  # in one order for every process: a row that stands is locked
    with conn.cursor() as cursor:
        cursor.executemany(KEEP, rows)


def listed(
    conn: psycopg.Connection, *, reason: str | None = None, device: str | None = None, limit: int = 100, after: int = 0
) -> list[Kept]:
    """Return what lies here, oldest first, from the row after `after` on."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            f"""select {COLUMNS} from quarantine
                where released_at is null and quarantine_id > %(after)s
                    and (%(reason)s::text is null or reason = %(reason)s)
                    and (%(device)s::text is null or device = %(device)s)
                order by quarantine_id limit %(limit)s""",
            {"reason": reason, "device": device, "limit": limit, "after": after},
        ).fetchall()


def counted(conn: psycopg.Connection) -> dict[str, int]:
    """Return how many messages lie here, by reason."""
    return dict(
        conn.execute("select reason, count(*) from quarantine where released_at is null group by reason").fetchall()
    )


def get(conn: psycopg.Connection, quarantine_id: int) -> Kept:
    """Return one message, released or not; raises NotFound."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        found = cursor.execute(
            f"select {COLUMNS} from quarantine where quarantine_id = %s for update", (quarantine_id,)
        ).fetchone()
    if not found:
        raise NotFound(
            f"there is no message {quarantine_id} in quarantine; see those that wait with: wearwell quarantine list"
        )
    return found


def enrolled_since(conn: psycopg.Connection, limit: int = 500) -> list[Kept]:
    """Return messages that were refused because their unit was unknown, and whose unit is enrolled now."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            f"""select {COLUMNS} from quarantine
                where reason = %s and released_at is null
                    and exists (select from unit where unit.device = quarantine.device)
                order by received_at, quarantine_id limit %s for update skip locked""",
            (UnknownUnit.code, limit),
        ).fetchall()


def mark_released(conn: psycopg.Connection, quarantine_ids: Sequence[int], at: datetime) -> None:
    """Note that these messages went through."""
    conn.execute("update quarantine set released_at = %s where quarantine_id = any(%s)", (at, list(quarantine_ids)))


def _clean(text: str) -> str:
    """Return text that PostgreSQL can hold."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:2_000]
