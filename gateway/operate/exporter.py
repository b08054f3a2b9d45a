"""The Prometheus exporter: on loopback, since metrics are nobody else's business."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.registry import Collector

from gateway.errors import ConfigurationError
from gateway.operate.ports import LOOPBACK


@contextmanager
def exported(port: int, *collectors: Collector) -> Iterator[None]:
    """Serve this process's metrics, and what collectors add, on loopback for the time of a `with`; port 0 serves none.

    Raises ConfigurationError when the port is taken.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, addr=LOOPBACK)
    except OSError as error:
        raise ConfigurationError(
            f"WEARWELL_METRICS_PORT {port} cannot be served ({error.strerror}); choose another, or 0 for none"
        ) from None
    for collector in collectors:
        REGISTRY.register(collector)
    try:
        yield
    finally:
        for collector in collectors:
            REGISTRY.unregister(collector)
        server.shutdown()
        server.server_close()
        thread.join(2)
