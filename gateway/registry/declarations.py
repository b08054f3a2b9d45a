"""Declarations as they stood: a version for each that changed something, and the difference between two."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gateway import clock
from gateway.errors import NotFound

STANDS = """
select jsonb_build_object(
  'name', (select name from tenant where tenant_id = %(tenant)s),
  'channels', (select coalesce(jsonb_object_agg(name, jsonb_build_object('unit', unit, 'kind', kind, 'low', low::text,
     'high', high::text)), '{}') from channel where tenant_id = %(tenant)s),
  'models', (select coalesce(jsonb_object_agg(m.gtin, jsonb_build_object('name', m.name, 'category', m.category,
     'adapter', m.adapter, 'slots', (select coalesce(jsonb_object_agg(s.code, to_jsonb(s) - 'slot_id' - 'tenant_id'
       - 'model_id' - 'code'), '{}') from slot s where s.model_id = m.model_id))), '{}')
     from product_model m where m.tenant_id = %(tenant)s))"""


@dataclass(frozen=True, slots=True)
class Declared:
    """A row of table declaration: the file, and all that stood after it."""

    declaration_id: int
    tenant_id: int
    version: int
    source: str
    content: dict[str, Any]
    sha256: str
    declared_at: datetime


class Change(NamedTuple):
    """One thing that differs between two versions; None where it is not there."""

    what: str
    was: Any
    becomes: Any


def stands(conn: psycopg.Connection, tenant_id: int) -> dict[str, Any]:
    """Return all that stands now of what a tenant declares, a release's change of predictor included."""
    row = conn.execute(STANDS, {"tenant": tenant_id}).fetchone()
    before = latest(conn, tenant_id)
    content: dict[str, Any] = row[0] if row else {}
    return content | {"promotion": before.content.get("promotion") if before else None}


def keep(
    conn: psycopg.Connection,
    tenant_id: int,
    source: str,
    promotion: dict[str, Any] | None,
    stood: dict[str, Any] | None = None,
) -> int | None:
    """Keep what stands now as a version and return its number; None where nothing has changed.

    `stood` is what stood before: a release may have changed it since the last version.
    """
    conn.execute("select pg_advisory_xact_lock(hashtextextended('declaration', %s))", (tenant_id,))
    before = latest(conn, tenant_id)
    content = stands(conn, tenant_id)
    content["promotion"] = promotion or (before.content.get("promotion") if before else None)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    if before and before.sha256 == digest and stood in (None, content):
        return None
    version = before.version + 1 if before else 1
    conn.execute(
        """insert into declaration (tenant_id, version, source, content, sha256, declared_at)
           values (%s, %s, %s, %s, %s, %s)""",
        (tenant_id, version, source, Jsonb(content), digest, clock.now()),
    )
    return version


def latest(conn: psycopg.Connection, tenant_id: int) -> Declared | None:
    """Return what was declared last, or None."""
    found = every(conn, tenant_id)
    return found[-1] if found else None


def every(conn: psycopg.Connection, tenant_id: int) -> list[Declared]:
    """Return every version of a tenant's declaration, oldest first."""
    with conn.cursor(row_factory=class_row(Declared)) as cursor:
        cursor.execute(
            """select declaration_id, tenant_id, version, source, content, sha256, declared_at
               from declaration where tenant_id = %s order by version""",
            (tenant_id,),
        )
        return cursor.fetchall()


def standing_at(conn: psycopg.Connection, tenant_id: int, at: datetime) -> int | None:
    """Return the version of the declaration that stood at a time, None before the first."""
    row = conn.execute(
        "select max(version) from declaration where tenant_id = %s and declared_at <= %s", (tenant_id, at)
    ).fetchone()
    return row[0] if row else None


def one(conn: psycopg.Connection, tenant_id: int, version: int) -> Declared:
    """Return one version. Raises NotFound."""
    found = next((each for each in every(conn, tenant_id) if each.version == version), None)
    if found is None:
        raise NotFound(f"there is no declaration {version}; see those that there are with: wearwell declarations")
    return found


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Change]:
    """Return what differs between the contents of two versions; from None, all that was declared."""
    old = dict(_flat((), before)) if before else {}
    new = dict(_flat((), after))
    return [
        Change(".".join(path), old.get(path), new.get(path))
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]


def _flat(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat((*path, str(key)), each)
    else:
        yield path, value
