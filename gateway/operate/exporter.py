"""The Prometheus exporter: on loopback, since metrics are nobody else's business."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from gateway.errors import ConfigurationError
from gateway.operate.ports import LOOPBACK


@contextmanager
def exported(port: int) -> Iterator[None]:
    """Serve this process's metrics on loopback for the time of a `with`; port 0 serves none.

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
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(2)
