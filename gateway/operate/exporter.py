"""What a process says of itself, not to the public: its metrics, whether it lives, whether it can do its work."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from types import MappingProxyType
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, make_wsgi_app
from prometheus_client.registry import Collector

from gateway.errors import ConfigurationError
from gateway.operate.ports import LOOPBACK

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Checks = Mapping[str, Callable[[], str | None]]
"""By name, what returns why the process cannot do its work, or None."""
NONE: Checks = MappingProxyType({})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: whoever watches asks every few seconds."""


@contextmanager
def exported(port: int, *collectors: Collector, checks: Checks = NONE, host: str = LOOPBACK) -> Iterator[None]:
    """Serve /metrics (with what collectors add), /healthz and /readyz for the time of a `with`; port 0 serves none.

    Raises ConfigurationError when the port is taken.
    """
    if not port:
        yield
        return
    try:
        server = make_server(host, port, _routes(checks), server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise ConfigurationError(
            f"WEARWELL_METRICS_PORT {port} cannot be served on {host} ({error.strerror}); choose another, or 0 for none"
        ) from None
    for collector in collectors:
        REGISTRY.register(collector)
    thread = threading.Thread(target=server.serve_forever, name="exporter", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for collector in collectors:
            REGISTRY.unregister(collector)
        server.shutdown()
        server.server_close()
        thread.join(2)


def _routes(checks: Checks) -> "WSGIApplication":
    metrics: WSGIApplication = make_wsgi_app()

    def app(request: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = request["PATH_INFO"]
        if path == "/metrics":
            return metrics(request, start)
        if path == "/healthz":
            status, body = "200 OK", "ok"
        elif path == "/readyz":
            found = {name: check() for name, check in checks.items()}
            status = "503 Service Unavailable" if any(found.values()) else "200 OK"
            said = {name: reason or "ok" for name, reason in found.items()}
            body = json.dumps({"ready": not any(found.values()), "checks": said})
        else:
            status, body = "404 Not Found", "there is /metrics, /healthz and /readyz"
        start(status, [("Content-Type", "application/json" if path == "/readyz" else "text/plain")])
        return [body.encode()]

    return app
