"""What the worker does for the bench: shadows, and a look at drift once a day; what the console and Prometheus show."""

import json
from datetime import timedelta

import psycopg
import pytest
from prometheus_client.core import GaugeMetricFamily

from gateway.bench import drift, fit, read, shadow
from gateway.operate import fleet_metrics
from gateway.registry import alarms, fleet
from gateway.web.console import wanted
from tests import bench_field
from tests.bench_field import at

NOW = at(500.0)


def figure(conn: psycopg.Connection, name: str) -> GaugeMetricFamily:
    class Same:
        def __enter__(self) -> psycopg.Connection:
            return conn

        def __exit__(self, *_: object) -> None:
            return None

    figures = fleet_metrics.FleetFigures(Same, lambda: NOW)
    return next(each for each in figures.collect() if each.name == f"wearwell_{name}")


def test_an_alarm_is_seen_everywhere_until_it_is_over(conn: psycopg.Connection) -> None:
    """Use goes up by half: the worker's look alarms; the console wants attention, Prometheus has the figure."""
    slot = bench_field.store(conn, bench_field.field(homes=30, days=500.0, every_d=10.0))
    assert [slot.slot_id] == drift.aged(conn, NOW)
    assert 0 == drift.watch(conn, slot.slot_id, NOW)
    assert [] == drift.aged(conn, NOW + timedelta(hours=12))
    assert [] == [want for want in wanted(fleet.wants(conn, NOW)) if "Drift" in want.said]
    conn.execute(
        """update forecast set inputs = jsonb_set(inputs, '{h_per_day}',
             to_jsonb((inputs ->> 'h_per_day')::float8 * 1.5)) where made_at > %s""",
        (NOW - timedelta(days=drift.RECENT_D),),
    )
    assert [slot.slot_id] == drift.aged(conn, NOW + timedelta(hours=25))
    assert 1 <= drift.watch(conn, slot.slot_id, NOW)
    assert any(want.href == "/console/drift" for want in wanted(fleet.wants(conn, NOW)))
    standing = {each.code: each.alarm for each in alarms.standing(conn)}
    assert (set(drift.CODES), True) == (set(standing), standing["exposure_rate"])
    values = {sample.labels["code"]: sample.value for sample in figure(conn, "drift_alarms").samples}
    assert values["exposure_rate"] == 1


def test_a_challenger_that_cannot_be_read_keeps_no_other_from_forecasting(
    conn: psycopg.Connection, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its shadow is logged and stays empty."""
    slot = bench_field.store(conn, bench_field.field(homes=6, days=300.0))
    record = read.record(conn, slot, NOW)
    version = fit.fit(conn, record, "weibull", note="", now=at(100.0)).model_version_id
    shadow.start(conn, version, actor="staff:1", now=at(100.0))
    conn.commit()
    with psycopg.connect(dsn) as owner:
        owner.execute("update wearwell.model_version set sha256 = repeat('0', 64), artifact = %s", (json.dumps({}),))
    assert 0 == shadow.forecast_beside(conn)
    assert conn.execute("select count(*) from shadow_forecast").fetchone() == (0,)
