"""Who calls, as the pages see it: limits count addresses."""

import pytest
from starlette.types import Receive, Scope, Send

from gateway.app import serve
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("peer", "said", "seen"),
    [
        ("192.0.2.7", "203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "198.51.100.9, 203.0.113.5", "203.0.113.5"),  # what stands before it, anybody may have written
        ("198.51.100.1", "203.0.113.5", "198.51.100.1"),
    ],
    ids=["a trusted proxy", "one of a trusted network", "somebody else"],
)
async def test_only_a_trusted_proxy_is_believed_who_calls(peer: str, said: str, seen: str) -> None:
    """Behind it each visitor has an address of their own; nobody else may make one up."""
    calling: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calling.append(scope["client"][0])

    config = serve.config(app, Settings(_env_file=None, trusted_proxies=["192.0.2.7", "10.0.0.0/8"]))
    config.load()
    scope = {"type": "http", "client": (peer, 4711), "headers": [(b"x-forwarded-for", said.encode())]}
    await config.loaded_app(scope, None, None)  # nothing is received or sent
    assert [seen] == calling
