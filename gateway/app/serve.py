"""The process `wearwell serve`: the pages, the API and the webhooks."""

import socket
import sys
from contextlib import suppress

import uvicorn

from gateway.app.desk import desk
from gateway.db.pool import Role, open_pool
from gateway.errors import Exit
from gateway.operate import database, exporter
from gateway.settings import Settings
from gateway.web.app import build
from gateway.web.services import Services


def run(settings: Settings, fd: int | None = None) -> None:
    """Serve the pages until SIGINT or SIGTERM, on the listening socket `fd` if given; open requests are finished."""
    with (
        open_pool(database.dsn(settings), Role.APP) as pool,
        exporter.exported(settings.metrics_port, host=settings.metrics_host),
    ):
        app = build(Services(pool, desk(settings, pool), settings, demo=settings.pace is not None))
        config = uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
        if not server.started:
            sys.exit(Exit.CONFIGURATION)
