"""Who acts at the bench: a member of staff who may release, known to the audit as an opaque id."""

import psycopg

from gateway.errors import WearwellError
from gateway.registry.staff import RANK


class MayNotRelease(WearwellError):
    """Somebody who may not release models asked for it; the message says who may."""


def actor(conn: psycopg.Connection, tenant_id: int, email: str) -> str:
    """Return staff:ID of the member of staff with that address, who must be editor or admin of the tenant.

    Raises MayNotRelease.
    """
    row = conn.execute(
        """select staff_id, role from staff
           where lower(email) = lower(%s) and tenant_id = %s and disabled_at is null""",
        (email, tenant_id),
    ).fetchone()
    if row is None or RANK[row[1]] < RANK["editor"]:
        raise MayNotRelease(
            f"{email} may not release models here: editors and admins of this manufacturer may;"
            " add one with: wearwell staff add EMAIL --tenant NAME --role editor"
        )
    return f"staff:{row[0]}"
