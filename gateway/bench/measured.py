"""What was measured of a slot: a version that nobody ever measured is released with a caution.

Kept by whoever commits at once: commands and the worker. A notebook that reads would hold the row until its user
commits, and the worker would wait for it.
"""

from collections.abc import Iterable
from datetime import datetime

import psycopg

from gateway.bench import read
from gateway.bench.contender import Contender
from gateway.bench.record import Record
from gateway.registry import models
from gateway.registry.models import Slot
from gateway.replenish import versions
from gateway.replenish.versions import Version

KEEP = """
insert into measured (tenant_id, slot_id, contender, at) values (%s, %s, %s, %s)
on conflict (slot_id, contender) do update set at = greatest(measured.at, excluded.at)"""


def keep(conn: psycopg.Connection, record: Record, contenders: Iterable[Contender], now: datetime) -> None:
    """Keep that these were measured on the record; the declaration alone is no version. The caller commits."""
    of = record.slot
    names = {each.predictor if each.refitted else each.version_id for each in contenders} - {None}
    for name in sorted(map(str, names)):  # always in the same order, so that two wait for each other one way only
        conn.execute(KEEP, (of.tenant_id, of.slot_id, name, now))


def never(conn: psycopg.Connection, of: Slot) -> list[Version]:
    """Return the versions of a slot that nobody has measured, the newest first.

    One that was fitted here counts as measured with its predictor, which is how it was learned: of what came since it
    was made, which alone may judge itself, there is nothing yet on its first day.
    """
    known = {row[0] for row in conn.execute("select contender from measured where slot_id = %s", (of.slot_id,))}
    return [each for each in reversed(versions.of_slot(conn, of.slot_id)) if not known & set(_names(each))]


def caution(conn: psycopg.Connection, version: Version) -> str | None:
    """Return what is to be said of a version that nobody has measured, with the command that would; None of others."""
    of = models.get_slot(conn, version.slot_id)
    if version.model_version_id not in [each.model_version_id for each in never(conn, of)]:
        return None
    return (
        f"caution: nobody has measured version {version.model_version_id}, so nobody knows how far it is off;"
        f" measure it with: {command(conn, of, version)}"
    )


def command(conn: psycopg.Connection, of: Slot, version: Version) -> str:
    """Return the command that measures a version: itself once parts have ended since, else its way of learning."""
    since = version.fitted_on.get("as_of", version.created_at)
    ended = conn.execute(
        "select exists (select from cycle where slot_id = %s and upper(period) > %s)", (of.slot_id, since)
    ).fetchone()
    names = _names(version)
    return f"wearwell model evaluate {read.called(conn, of)} --model {names[0] if ended and ended[0] else names[-1]}"


def _names(version: Version) -> list[str]:
    """Return by which names a version is measured: its number, and the predictor where it was fitted here."""
    number = str(version.model_version_id)
    return [number, version.predictor] if "as_of" in version.fitted_on else [number]
