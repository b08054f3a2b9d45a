"""The process `wearwell serve`: the pages, the API and the webhooks."""

import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from gateway.app.desk import desk
from gateway.db.pool import Role, open_pool
from gateway.errors import Exit
from gateway.operate import database, exporter
from gateway.settings import Settings
from gateway.web.app import build
from gateway.web.services import Services

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def run(settings: Settings, fd: int | None = None) -> None:
    """Serve the pages until SIGINT or SIGTERM, on the listening socket `fd` if given; open requests are finished."""
    with (
        open_pool(database.dsn(settings), Role.APP) as pool,
        exporter.exported(settings.metrics_port, host=settings.metrics_host),
    ):
        app = build(Services(pool, desk(settings, pool), settings, demo=settings.pace is not None))
        server = uvicorn.Server(config(app, settings))
        with suppress(KeyboardInterrupt):
            server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
        if not server.started:
            sys.exit(Exit.CONFIGURATION)


def config(app: "ASGIApp", settings: Settings) -> uvicorn.Config:
    """Return how the app is served; behind a proxy that is trusted, as to whom the proxy says that it serves."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=10,
    )
