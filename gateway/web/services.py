"""What the web works with, composed once by gateway/app/serve.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from psycopg_pool import ConnectionPool

from commerce.desk import Desk
from gateway.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the routes are given.

    The pool is in Role.APP. Each of `checks` returns why it is not ready, or None, and /readyz asks them all.
    In the demo, /outbox shows the mails of `demo_tenants` (slugs) to this machine.
    """

    pool: ConnectionPool
    desk: Desk
    settings: Settings
    demo: bool = False
    demo_tenants: tuple[str, ...] = ("example",)
    checks: Mapping[str, Callable[[], str | None]] = field(default_factory=dict)


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Asked = Annotated[Services, Depends(services_of)]
