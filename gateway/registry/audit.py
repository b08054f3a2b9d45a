"""The audit: who did, or was refused, what. Rows are only ever added; people appear as opaque ids."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

OPERATOR = "operator"  # whoever runs a command that asks for nobody's name: the database's login lets them in


def note(
    conn: psycopg.Connection,
    *,
    actor: str,
    action: str,
    wall: datetime,
    tenant_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add one row; `actor` is staff:3, party:7, OPERATOR, gateway or anonymous, `action` such as staff_signed_in."""
    conn.execute(
        "insert into audit (tenant_id, at, actor, action, detail) values (%s, %s, %s, %s, %s)",
        (tenant_id, wall, actor, action, Jsonb(detail or {})),
    )
