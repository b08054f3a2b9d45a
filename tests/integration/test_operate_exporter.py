"""What a process says of itself on loopback: metrics, whether it lives, whether it can do its work."""

from collections.abc import Iterator

import httpx
import pytest

from gateway import metrics
from gateway.errors import ConfigurationError
from gateway.ingest import readiness
from gateway.operate import exporter, ports


@pytest.fixture
def base() -> Iterator[str]:
    port = ports.free(0)
    for gauge in ("broker_connected", "ingest_ready"):
        metrics.put(gauge, 0)
    checks = {"broker": readiness.broker, "database": readiness.database}
    with exporter.exported(port, checks=checks):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("connected", "ready", "status", "said"),
    [
        (1, 1, 200, {"broker": "ok", "database": "ok"}),
        (0, 0, 503, {"broker": readiness.BROKER_AWAY, "database": "ok"}),
        (1, 0, 503, {"broker": "ok", "database": readiness.DATABASE_AWAY}),
    ],
)
def test_ingest_says_what_it_waits_for(
    base: str, connected: int, ready: int, status: int, said: dict[str, str]
) -> None:
    """A broker or a database that is away is named, with what to check."""
    metrics.put("broker_connected", connected)
    metrics.put("ingest_ready", ready)
    answer = httpx.get(f"{base}/readyz")
    assert (status, {"ready": status == 200, "checks": said}) == (answer.status_code, answer.json())


def test_a_process_that_waits_still_lives(base: str) -> None:
    """Being away is no reason to be killed; metrics go on, and there is nothing else to see."""
    assert [200, 200, 404] == [httpx.get(f"{base}{path}").status_code for path in ("/healthz", "/metrics", "/")]
    assert "wearwell_broker_connected 0.0" in httpx.get(f"{base}/metrics").text


def test_a_taken_port_is_named(base: str) -> None:
    """One line that says which setting to change."""
    port = int(base.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="WEARWELL_METRICS_PORT"), exporter.exported(port):
        pass
