"""Promotion: a challenger takes over if and only if the rule lets it."""

from datetime import datetime

import psycopg

from gateway.bench import fit, release, staff
from gateway.bench.compare import Comparison
from gateway.bench.contender import Contender
from gateway.bench.record import Record
from gateway.errors import Conflict


def promote(
    conn: psycopg.Connection, record: Record, found: Comparison, challenger: Contender, *, by: str, now: datetime
) -> int:
    """Release the challenger and return its version; a way of learning is fitted from all that has arrived, first.

    Raises Conflict where the rule does not let it, or the challenger is no version.
    """
    if not found.promote:
        no = "; ".join(criterion.says for criterion in found.criteria if not criterion.met)
        raise Conflict(f"the rule does not let {challenger.name} take over: {no}")
    actor = staff.actor(conn, record.slot.tenant_id, by)
    version_id = challenger.version_id
    if challenger.refitted:
        version_id = fit.fit(conn, record, challenger.predictor, note="", now=now).model_version_id
    if version_id is None:
        raise Conflict(f"{challenger.name} is no version that could be released")
    note = "promoted by the rule: " + "; ".join(criterion.says for criterion in found.criteria)
    release.release(conn, version_id, actor=actor, note=note, now=now)
    return version_id
