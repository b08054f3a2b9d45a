"""Declarations as they stood: a version for each that changed something, and what differs."""

from dataclasses import replace

import psycopg
import pytest

from gateway.bench import compare
from gateway.errors import NotFound
from gateway.registry import declaration, declarations, models
from gateway.replenish import delivery, releases, way
from predictors.declaration import LEVEL_FRACTIONS
from tests import bench_field

TOML = bench_field.TOML


def declare(conn: psycopg.Connection, text: str = TOML) -> int:
    return declaration.declare(conn, declaration.read(text))


def test_only_what_changes_something_is_a_version(conn: psycopg.Connection) -> None:
    """Declared twice it is one; with another threshold it is two, and the difference is that threshold."""
    tenant_id = declare(conn)
    declare(conn)
    declare(conn, TOML + "\n# a remark\n")
    assert [1] == [each.version for each in declarations.every(conn, tenant_id)]
    declare(conn, TOML.replace("indicator_eol = 200", "indicator_eol = 180"))
    first, second = declarations.every(conn, tenant_id)
    change = declarations.Change(f"models.{bench_field.GTIN}.slots.hepa.indicator_eol", 200, 180)
    assert [change] == declarations.difference(first.content, second.content)
    assert "indicator_eol = 180" in second.source
    assert first == declarations.one(conn, tenant_id, 1)
    with pytest.raises(NotFound):
        declarations.one(conn, tenant_id, 3)


def test_a_version_cannot_be_changed(conn: psycopg.Connection) -> None:
    """What stood when a forecast was made can be looked up for ever."""
    declare(conn)
    for change in ("update declaration set source = ''", "delete from declaration"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(change)


def test_what_is_declared_reaches_the_models(conn: psycopg.Connection) -> None:
    """Levels as given, else shares of the way from the baseline; a delivery time where no part is sold."""
    declare(conn, TOML.replace("indicator_eol = 200", "indicator_eol = 200\nindicator_baseline = 40\ndelivery_d = 9"))
    slot = models.slots(conn, models.by_gtin(conn, bench_field.GTIN).model_id)[0]
    assert tuple(40 + share * 160 for share in LEVEL_FRACTIONS) == way.declared(slot).levels
    given = replace(slot, levels=[50.0, 100.0])
    assert (50.0, 100.0) == way.declared(given).levels
    unit = bench_field.store(conn, bench_field.field(homes=1, days=30.0), TOML)
    ids = [row[0] for row in conn.execute("select unit_id from unit")]
    assert {9.0} == set(delivery.days(conn, slot, ids, bench_field.at(1.0)).values())
    assert unit.slot_id == slot.slot_id


def test_the_promotion_rule_is_the_declared_one(conn: psycopg.Connection) -> None:
    """Fixed beforehand, in the file; a later file that does not speak of it leaves it."""
    tenant_id = declare(conn)
    assert compare.Rule() == compare.declared_rule(conn, tenant_id)
    declare(conn, TOML + "\n[promotion]\nleast_cycles = 50\nsure = 0.95\n")
    declare(conn, TOML)
    assert compare.Rule(50, 0.95) == compare.declared_rule(conn, tenant_id)


def test_declaring_over_a_release_is_a_change_and_is_kept(conn: psycopg.Connection) -> None:
    """A release let another predictor forecast; the same file again changes that back, and says so."""
    tenant_id = declare(conn)
    slot = models.slots(conn, models.by_gtin(conn, bench_field.GTIN).model_id)[0]
    releases.record(conn, slot, "release", None, "hit", actor="staff:1", note="a drill", now=bench_field.at(1.0))
    stood = declarations.stands(conn, tenant_id)
    declare(conn)
    assert [1, 2] == [each.version for each in declarations.every(conn, tenant_id)]
    change = declarations.Change(f"models.{bench_field.GTIN}.slots.hepa.predictor", "hit", "weibull")
    assert [change] == declarations.difference(stood, declarations.stands(conn, tenant_id))
