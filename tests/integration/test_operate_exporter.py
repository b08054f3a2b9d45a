"""What a process says of itself on loopback: metrics, whether it lives, whether it can do its work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import psycopg
import pytest
from psycopg import conninfo

from gateway import metrics
from gateway.db import pool
from gateway.db import readiness as store
from gateway.errors import ConfigurationError
from gateway.ingest import readiness
from gateway.operate import exporter, ports


@pytest.fixture
def gateway_dsn(dsn: str) -> str:
    """The database as ingest and the worker log in."""
    return pool.dsn_for(dsn, pool.Role.GATEWAY)


@contextmanager
def served(database: Callable[[], str | None]) -> Iterator[str]:
    port = ports.free(0)
    with exporter.exported(port, checks={"broker": readiness.broker, "database": database}):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def base(gateway_dsn: str) -> Iterator[str]:
    """What ingest serves on its metrics port."""
    for gauge in ("broker_connected", "database_takes"):
        metrics.put(gauge, 0)
    with served(partial(readiness.database, gateway_dsn)) as address:
        yield address


@contextmanager
def closed(dsn: str) -> Iterator[None]:
    """Let nobody into a database for the time of a `with`."""
    name = conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(conninfo.make_conninfo(dsn, dbname="postgres"), autocommit=True) as owner:
        owner.execute(f"alter database {name} allow_connections false")
        try:
            yield
        finally:
            owner.execute(f"alter database {name} allow_connections true")


@pytest.mark.parametrize(
    ("connected", "takes", "status", "said"),
    [
        (1, 1, 200, {"broker": "ok", "database": "ok"}),
        (0, 1, 503, {"broker": readiness.BROKER_AWAY, "database": "ok"}),
        (1, 0, 503, {"broker": "ok", "database": readiness.NOT_TAKEN}),
        (0, 0, 503, {"broker": readiness.BROKER_AWAY, "database": readiness.NOT_TAKEN}),
    ],
)
def test_ingest_says_what_it_waits_for(
    base: str, connected: int, takes: int, status: int, said: dict[str, str]
) -> None:
    """A broker that is away and a database that takes nothing (a full disk) are named, each for itself."""
    metrics.put("broker_connected", connected)
    metrics.put("database_takes", takes)
    answer = httpx.get(f"{base}/readyz")
    assert (status, {"ready": status == 200, "checks": said}) == (answer.status_code, answer.json())


@pytest.mark.parametrize("connected", [0, 1])
def test_a_database_that_is_away_is_said_whatever_the_broker_does(base: str, dsn: str, connected: int) -> None:
    """The check asks the database itself, and does not take the silence of a broker for a database's answer."""
    metrics.put("broker_connected", connected)
    metrics.put("database_takes", 1)
    with closed(dsn):
        said = httpx.get(f"{base}/readyz").json()
    assert (False, store.AWAY) == (said["ready"], said["checks"]["database"])
    assert ("ok" if connected else readiness.BROKER_AWAY) == said["checks"]["broker"]


def test_a_process_that_waits_still_lives(base: str) -> None:
    """Being away is no reason to be killed; metrics go on, and there is nothing else to see."""
    assert [200, 200, 404] == [httpx.get(f"{base}{path}").status_code for path in ("/healthz", "/metrics", "/")]
    assert "wearwell_broker_connected 0.0" in httpx.get(f"{base}/metrics").text


def test_a_taken_port_is_named(base: str) -> None:
    """One line that says which setting to change."""
    port = int(base.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="WEARWELL_METRICS_PORT"), exporter.exported(port):
        pass


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
def test_metrics_are_served_where_the_setting_says_and_nowhere_else() -> None:
    """Another address for Prometheus in another container; the first stays closed, and a wrong one is said."""
    port = ports.free(0)
    with exporter.exported(port, host="127.0.0.2"):
        assert 200 == httpx.get(f"http://127.0.0.2:{port}/metrics").status_code
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
    with pytest.raises(ConfigurationError, match=r"on 192\.0\.2\.1"), exporter.exported(port, host="192.0.2.1"):
        pass
