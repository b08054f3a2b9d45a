"""Figures of the whole fleet for Prometheus, read from the tables at each scrape by one process, the worker."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from gateway.metrics import PREFIX
from gateway.operate import bands, gaps, refused
from gateway.registry import history

Begin = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


class Figure(NamedTuple):
    """One gauge without the prefix; the query returns values, or labels and values where `label` is set."""

    name: str
    says: str
    query: str
    label: str = ""


FIGURES = (
    Figure("units", "units by their connection", "select connection, count(*) from unit group by 1", "connection"),
    Figure("units_heard", "units with a radio by how long ago they were heard", bands.BY_HEARD, "within"),
    Figure("units_lag", "units heard within a day by how far behind their readings are", bands.BY_LAG, "within"),
    Figure("units_clock", "units heard within a day by what their clock is worth", bands.BY_CLOCK, "clock"),
    Figure(
        "gap_oldest_seconds",
        "how long the oldest open gap of a unit heard within a day has been open, in world time",
        """select coalesce(extract(epoch from %(now)s - min(found_at)), 0) from gap join unit using (unit_id)
           where closed_at is null and last_seen_at > %(now)s - interval '1 day'""",
    ),
    Figure("gap_readings", "readings that are missing in open gaps", f"select missing from ({gaps.OPEN}) open_gaps"),
    Figure(
        "quarantined",
        "refused messages that wait",
        "select reason, count(*) from quarantine where released_at is null group by 1",
        "reason",
    ),
    Figure(
        "quarantine_oldest_seconds",
        "how long the oldest refused message that can be put right has waited, in world time",
        """select coalesce(extract(epoch from %(now)s - min(received_at)), 0) from quarantine
           where released_at is null and reason <> all(%(no_release)s)""",
    ),
    Figure(
        "forecast_oldest_seconds",
        "age of the slot that was scored longest ago, in world time",
        "select coalesce(extract(epoch from %(now)s - min(updated_at)), 0) from slot_state",
    ),
    Figure(
        "rescore_oldest_seconds",
        "how long the first of them has waited, in world time",
        "select coalesce(extract(epoch from %(now)s - min(since)), 0) from rescore",
    ),
    Figure("rescore_waiting", "units that wait for a new forecast", "select count(distinct unit_id) from rescore"),
    Figure("slots", "slots by their stage", "select stage, count(*) from slot_state group by 1", "stage"),
    Figure(
        "drift_alarms",
        "drift alarms that stand, by what drifts",
        "select code, count(*) filter (where alarm) from drift group by 1",
        "code",
    ),
    Figure("prompts", "prompts by their state", "select state, count(*) from prompt group by 1", "state"),
    Figure("orders", "orders by their state", "select state, count(*) from purchase group by 1", "state"),
    Figure(
        "outbox_oldest_seconds",
        "how long the oldest due message has waited, in world time",
        """select coalesce(extract(epoch from %(now)s - min(due_at)), 0) from outbox
           where sent_at is null and failed_at is null and due_at <= %(now)s""",
    ),
    Figure(
        "events_stuck",
        "events that nothing has followed from for a quarter of an hour",
        "select count(*) from event where handled_at is null and recorded_at < %(stuck)s",
    ),
    Figure("database_bytes", "size of the database", "select pg_database_size(current_database())"),
    Figure(
        "jobs",
        "jobs by their status",
        """select status::text, count(j.id) from unnest(enum_range(null::procrastinate_job_status)) status
           left join procrastinate_jobs j using (status) group by 1""",
        "status",
    ),
)


class FleetFigures(Collector):
    """Asks the database at each scrape; a database that is away gives no figures, which is what an alert looks for."""

    def __init__(self, begin: Begin, now: Callable[[], datetime]) -> None:
        self.begin = begin
        self.now = now

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name the gauges without asking the database."""
        return [_gauge(figure) for figure in FIGURES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each figure as it stands."""
        try:
            with self.begin() as conn:
                yield from [self._asked(conn, figure) for figure in FIGURES]
        except (psycopg.OperationalError, PoolTimeout):
            return

    def _asked(self, conn: psycopg.Connection[Any], figure: Figure) -> GaugeMetricFamily:
        gauge, now = _gauge(figure), self.now()
        given = {"now": now, "stuck": history.stuck_before(now), "unit": None, "no_release": list(refused.STUCK)}
        for *labels, value in conn.execute(figure.query.encode(), given):
            gauge.add_metric([str(label) for label in labels], float(value))
        return gauge


def _gauge(figure: Figure) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + figure.name, figure.says, labels=[figure.label] if figure.label else [])
