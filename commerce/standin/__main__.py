"""`python -m commerce.standin`: serve the payment stand-in by itself."""

import argparse
import socket
from collections.abc import Sequence
from contextlib import suppress

import uvicorn

from commerce.standin.app import build


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m commerce.standin", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=12_111, help="port to listen on")
    parser.add_argument("--fd", type=int, help="a listening socket that it inherited, instead of host and port")
    parser.add_argument("--webhook", help="where events are posted to, such as http://127.0.0.1:8000/webhooks/stripe")
    parser.add_argument("--secret", default="", help="what events are signed with")
    parser.add_argument("--pages", help="where a buyer's browser finds the pages, if not where the API is")
    return parser.parse_args(given)


def main() -> None:
    """Serve until interrupted."""
    given = arguments()
    app = build(webhook=given.webhook, secret=given.secret, page_url=given.pages)
    server = uvicorn.Server(uvicorn.Config(app, host=given.host, port=given.port, log_level="info"))
    with suppress(KeyboardInterrupt):
        server.run(sockets=None if given.fd is None else [socket.socket(fileno=given.fd)])


if __name__ == "__main__":
    main()
