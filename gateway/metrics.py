"""Every Prometheus metric, as a table; a process shows those that it has had something to say about.

Names are `wearwell_<thing>_<unit>[_total]` in base units; no label holds a serial or anything else without bounds.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

PREFIX = "wearwell_"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
AGES = (1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0, 7_776_000.0)
MESSAGES = (1.0, 10.0, 100.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0, 32_000.0, 64_000.0)


class Metric(NamedTuple):
    """One metric without the prefix; `label` is empty for most."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    label: str = ""
    bounds: tuple[float, ...] = SECONDS  # of a histogram


METRICS = (
    Metric("messages_received_total", "counter", "messages that the broker delivered"),
    Metric("messages_quarantined_total", "counter", "messages refused, whole or in part", "reason"),
    Metric("messages_unacknowledged", "gauge", "messages received and not yet acknowledged"),
    Metric("unacknowledged_oldest_seconds", "gauge", "how long the oldest unacknowledged message has waited"),
    Metric(
        "batch_messages", "histogram", "messages in a batch; full batches are as many as the window", bounds=MESSAGES
    ),
    Metric("reading_age_seconds", "histogram", "age of readings on arrival, by their units' clocks", bounds=AGES),
    Metric("readings_stored_total", "counter", "readings committed"),
    Metric("readings_duplicate_total", "counter", "readings that were there already, by who sent them again", "by"),
    Metric("events_recorded_total", "counter", "events of units committed"),
    Metric("gaps_open", "gauge", "stretches of sequence numbers that are missing"),
    Metric("gaps_opened_total", "counter", "gaps found"),
    Metric("gaps_filled_total", "counter", "gaps filled"),
    Metric("gaps_lost_total", "counter", "gaps that their units cannot fill any more"),
    Metric("commit_seconds", "histogram", "time from taking up a batch to its commit"),
    Metric("ingest_lag_seconds", "histogram", "age of a batch's oldest message when it was committed"),
    Metric("receipt_seconds", "histogram", "time from receiving a batch's oldest message to its receipts"),
    Metric("last_commit_timestamp_seconds", "gauge", "Unix time of the last commit of a batch"),
    Metric("database_trouble_total", "counter", "times that a batch had to wait for the database"),
    Metric("broker_connected", "gauge", "1 while this process is connected to the broker"),
    Metric("database_takes", "gauge", "1 while the database takes what ingest gives it"),
    Metric("annex_serves", "gauge", "1 while a second process of ingest stores a share of large batches"),
    Metric("broker_reconnects_total", "counter", "connections made to the broker"),
    Metric("data_free_bytes", "gauge", "room left where the data folder lies"),
    Metric("broker_spilled_total", "counter", "messages let go unacknowledged because the buffer was full"),
    Metric("ingest_ready", "gauge", "1 while broker and database both answer ingest"),
)
BY_NAME = {metric.name: metric for metric in METRICS}


@cache
def _collector(name: str) -> Counter | Gauge | Histogram:
    metric = BY_NAME[name]
    labels = (metric.label,) if metric.label else ()
    if metric.kind == "counter":
        return Counter(PREFIX + name, metric.says, labels)
    if metric.kind == "gauge":
        return Gauge(PREFIX + name, metric.says, labels)
    return Histogram(PREFIX + name, metric.says, labels, buckets=metric.bounds)


class Spread(Collector):
    """A histogram that takes a column of values; the library's own takes them one at a time, which costs too much."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._counts = np.zeros(len(metric.bounds) + 1, np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()
        REGISTRY.register(self)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values."""
        places = np.searchsorted(self.metric.bounds, values)
        with self._lock:
            self._counts += np.bincount(places, minlength=len(self._counts))
            self._sum += float(values.sum())

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name the histogram."""
        return [HistogramMetricFamily(PREFIX + self.metric.name, self.metric.says)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield it as it stands."""
        (family,) = self.describe()
        with self._lock:
            upto, total = np.cumsum(self._counts).tolist(), self._sum
        names = [floatToGoString(bound) for bound in (*self.metric.bounds, math.inf)]  # type: ignore[no-untyped-call]  # the library says no types
        family.add_metric([], list(zip(names, upto, strict=True)), total)
        yield family


_spread = cache(lambda name: Spread(BY_NAME[name]))


def count(name: str, amount: float = 1, label: str = "") -> None:
    """Add to a counter of the table."""
    found = _collector(name)
    assert isinstance(found, Counter)  # noqa: S101  # the table says so
    (found.labels(label) if label else found).inc(amount)


def put(name: str, value: float, label: str = "") -> None:
    """Set a gauge of the table."""
    found = _collector(name)
    assert isinstance(found, Gauge)  # noqa: S101  # the table says so
    (found.labels(label) if label else found).set(value)


def follow(name: str, stands_at: Callable[[], float]) -> None:
    """Let a gauge of the table be asked for whenever somebody reads it."""
    found = _collector(name)
    assert isinstance(found, Gauge)  # noqa: S101  # the table says so
    found.set_function(stands_at)


def value(name: str) -> float:
    """Return what a gauge of the table stands at; zero before it was put."""
    (family,) = _collector(name).collect()  # not the registry's: that would ask every other collector as well
    return float(family.samples[0].value)


def observe(name: str, seconds: float) -> None:
    """Add to a histogram of the table."""
    found = _collector(name)
    assert isinstance(found, Histogram)  # noqa: S101  # the table says so
    found.observe(seconds)


def observe_all(name: str, values: NDArray[np.float64]) -> None:
    """Add many values at once to a histogram of the table that is never added to one by one."""
    _spread(name).add(values)
