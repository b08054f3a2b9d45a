"""A small deployment to replay into: database and broker embedded, ingest running, units that speak as themselves."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from commerce.desk import Desk
from gateway import settings as configuration
from gateway.app.desk import desk
from gateway.db import pool
from gateway.errors import Unreachable
from gateway.operate import broker, ports
from gateway.operate.house import House, wearwell
from gateway.operate.processes import Program, Say
from gateway.registry import declaration, units
from gateway.registry.units import Unit
from gateway.replay.publisher import Publisher

PATIENCE_S = 60.0  # without any progress: then something is wrong, and saying so beats waiting
GLANCE_S = 0.1


@dataclass(frozen=True, slots=True)
class Speaker:
    """An enrolled unit and the secret that it connects with."""

    unit: Unit
    device: str
    secret: str


@dataclass
class Stage:
    """What a replay needs of the house; `conn` is in the gateway's role and commits by itself after each statement."""

    house: House
    conn: psycopg.Connection
    desk: Desk

    def declare(self, toml: str) -> int:
        """Declare a manufacturer and return its tenant's id."""
        return declaration.declare(self.conn, declaration.read(toml))

    def enrol(self, tenant_id: int, gtin: str, name: str, born: datetime) -> Speaker:
        """Enrol a unit, named by its serial, as of `born`; the broker knows it after `admit`."""
        made = units.enrol(self.conn, tenant_id, gtin, name, device=name, now=born)
        return Speaker(made.unit, name, str(made.secret))

    def admit(self) -> None:
        """Let the broker know everyone who was enrolled; raises Unreachable when it does not act on that."""
        settings = self.house.settings
        if not broker.refresh(self.conn, settings.data_dir, user=settings.mqtt_username):
            raise Unreachable("the broker does not take the new units; see its lines above")

    def publisher(self, speaker: Speaker) -> Publisher:
        """Return the unit's own connection to the broker, not yet open."""
        where = urlsplit(self.house.units_url)
        return Publisher(str(where.hostname), where.port or 1883, speaker.device, speaker.secret)

    def wait(self, query: str, arguments: tuple[object, ...], what: str) -> None:
        """Wait until a query returns no row more; raises Unreachable when its rows stop changing for long."""
        last, since = -1, time.monotonic()
        while left := len(self.conn.execute(query, arguments).fetchall()):
            if left != last:
                last, since = left, time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                raise Unreachable(f"{what}: {left} are missing and nothing moves; see the lines of ingest above")
            self.house.supervisor.watch()
            time.sleep(GLANCE_S)


@contextmanager
def stage(folder: Path, say: Say) -> Iterator[Stage]:
    """Open a stage whose data lie in `folder`, and close everything that it started."""
    folder = folder.resolve()
    settings = configuration.alone(folder, metrics_port=0)
    with House(settings, say, cwd=folder) as house:
        house.prepare()
        port = ports.free(0)
        env = house.env | {"WEARWELL_LOG_LEVEL": "warning", "WEARWELL_METRICS_PORT": str(port)}
        house.supervisor.start(Program("ingest", wearwell("ingest"), env, cwd=folder))
        _listens(house, port)
        with (
            pool.connect(house.database, pool.Role.GATEWAY) as conn,
            pool.open_pool(house.database, pool.Role.GATEWAY, size=1) as transactions,
        ):
            conn.autocommit = True
            yield Stage(house, conn, desk(settings, transactions))


def _listens(house: House, port: int) -> None:
    """Wait until ingest has subscribed: what is published before that reaches nobody."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        house.supervisor.watch()
        with contextlib.suppress(httpx.HTTPError):
            if "\nwearwell_ingest_ready 1.0" in httpx.get(f"http://{ports.LOOPBACK}:{port}/metrics").text:
                return
        time.sleep(GLANCE_S)
    raise Unreachable("ingest does not get ready; see its lines above")
