"""`wearwell up`: the whole house on one machine, database and broker embedded where none are named."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import psycopg
from pydantic import SecretStr

from gateway.db import pool
from gateway.operate import broker, data_folder, database, ports
from gateway.operate.processes import Program, Say, Supervisor
from gateway.settings import Settings, environment

if TYPE_CHECKING:
    from socket import socket

RUNNING = "running.json"
WATCH_S = 0.2
BROKER_WAIT_S = 15.0
SERVICES = ("work", "serve", "ingest")  # ingest last, so that it stops first and what it stored is still worked on


class House:
    """Starts everything, looks after it, and stops it in reverse; a context manager."""

    def __init__(self, settings: Settings, say: Say, cwd: Path | None = None) -> None:
        self.settings = settings
        self.say = say
        self.cwd = cwd
        self.supervisor = Supervisor(say)
        self.database = ""
        self.mqtt_url = settings.mqtt_url
        self.units_url = settings.mqtt_url
        self.mqtt_version: str = settings.mqtt_version
        self.http_port = settings.http_port
        self.web: socket | None = None
        self.public_url = settings.public_url
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what is embedded, then the services, then say where to find them (`running.json`)."""
        self.prepare()
        self.start_services()

    def prepare(self) -> None:
        """Start database and broker and fix the ports; the services come afterwards (`start_services`)."""
        folder = data_folder.make(self.settings.data_dir)
        self.database = database.dsn(self.settings)
        self.say(
            "database", "embedded PostgreSQL" if self.settings.database_dsn is None else "as WEARWELL_DATABASE_DSN"
        )
        given = {"data_dir": str(folder), "database_dsn": self.database}
        given |= self._start_broker() if "mqtt_url" not in self.settings.model_fields_set else {}
        self.web = ports.hold(self.settings.http_port, self.settings.http_host)
        self.http_port = self.web.getsockname()[1]
        if "public_url" not in self.settings.model_fields_set:
            self.public_url = f"http://{ports.LOOPBACK}:{self.http_port}"
        given |= {"http_port": str(self.http_port), "public_url": self.public_url}
        self.env = environment(**given)

    def start_services(self, names: Sequence[str] = SERVICES) -> None:
        """Start the gateway's own processes, or some of them, and write down where everything is."""
        for i, name in enumerate(names):
            env = self.env | environment_of_metrics(self.settings.metrics_port, i)
            held = self.web if name == "serve" else None
            command = wearwell(name) if held is None else wearwell(name, "--fd", str(held.fileno()))
            self.supervisor.start(Program(name, command, env, cwd=self.cwd, listens=held))
        self._write_down()

    def serves(self, *, within_s: float) -> bool:
        """Tell whether the web answers, looking after everything for at most `within_s` seconds until it does."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.supervisor.watch()
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://{self.settings.http_host}:{self.http_port}/healthz").is_success
            time.sleep(WATCH_S)
        return False

    def watch(self, stop: threading.Event) -> None:
        """Look after everything until `stop` is set."""
        while not stop.wait(WATCH_S):
            self.supervisor.watch()

    def stop(self) -> None:
        """Stop everything that was started here; the embedded database stops with its last user."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (self.settings.data_dir / RUNNING).unlink()
        self.supervisor.stop()
        if self.web is not None:
            self.web.close()
        if self.settings.database_dsn is None:
            database.leave_embedded(self.settings.data_dir)

    def _start_broker(self) -> dict[str, str]:
        with pool.connect(self.database, pool.Role.GATEWAY) as conn:
            own = self._own_broker(conn)
        self.units_url = f"mqtt://{own.host}:{own.units_port}"
        self.mqtt_url = f"mqtt://{own.host}:{own.gateway_port}"
        self.mqtt_version = own.mqtt_version
        self.say("broker", f"{own.kind}; units connect to {self.units_url}")
        return {"mqtt_url": self.mqtt_url, "mqtt_password": own.password, "mqtt_version": own.mqtt_version}

    def _own_broker(self, conn: psycopg.Connection) -> broker.EmbeddedBroker:
        """Start the embedded broker, on other ports where somebody else took those that were free a moment ago."""
        settings = self.settings
        for last in (False, False, True):
            own = broker.prepare(
                conn, settings.data_dir, user=settings.mqtt_username, env=environment(), host=ports.LOOPBACK
            )
            child = self.supervisor.start(own.program)
            deadline = time.monotonic() + BROKER_WAIT_S
            while child.alive and time.monotonic() < deadline:
                if own.lets_us_in(within_s=WATCH_S):
                    return own
            if not last:
                self.say("broker", f"{own.kind} did not come up on port {own.units_port}; trying another")
                child.stop()
        self.say("broker", f"{own.kind} does not answer yet")
        return own

    def _write_down(self) -> None:
        path = self.settings.data_dir / RUNNING
        path.touch(mode=0o600)
        found = {
            "mqtt_url": self.mqtt_url,
            "mqtt_version": self.mqtt_version,
            "units_url": self.units_url,
            "public_url": self.public_url,
        }
        path.write_text(json.dumps(found))


def wearwell(*arguments: str) -> tuple[str, ...]:
    """Return the command line of one of our own commands, run by this Python."""
    return (sys.executable, "-m", "gateway.cli", *arguments)


def environment_of_metrics(port: int, offset: int) -> dict[str, str]:
    """Return the setting that gives each of several processes on one machine a metrics port of its own."""
    chosen = ports.free(port + offset) if port else 0
    return {"WEARWELL_METRICS_PORT": str(chosen)}


def units_door(settings: Settings) -> tuple[str, str]:
    """Return where units connect to and which MQTT is spoken there: a running `wearwell up`, else what is set."""
    place = settings.data_dir / RUNNING
    if "mqtt_url" in settings.model_fields_set or not place.exists():
        return settings.mqtt_url, settings.mqtt_version
    found = json.loads(place.read_text())
    return found["units_url"], found["mqtt_version"]


def join(settings: Settings) -> Settings:
    """Fill in where the embedded broker of a running `wearwell up` listens, for a command beside it."""
    folder = broker.folder_of(settings.data_dir)
    place = settings.data_dir / RUNNING
    if "mqtt_url" in settings.model_fields_set or broker.running(folder) is None or not place.exists():
        return settings
    found = json.loads(place.read_text())
    return settings.model_copy(
        update={
            "mqtt_url": found["mqtt_url"],
            "mqtt_version": found["mqtt_version"],
            "mqtt_password": settings.mqtt_password or SecretStr(broker.gateway_password(folder)),
            "public_url": settings.public_url if "public_url" in settings.model_fields_set else found["public_url"],
        }
    )
