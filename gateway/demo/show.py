"""`wearwell demo`: makes the world, starts the house on it, and shows it, or walks the loop once."""

import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from rich.live import Live

from gateway import clock, settings
from gateway.db import pool
from gateway.demo import screen, story, world
from gateway.demo.courier import Courier
from gateway.demo.once import Once
from gateway.errors import Conflict, Exit, Unreachable, WearwellError
from gateway.operate import broker, ports
from gateway.operate.house import House
from gateway.operate.processes import Program

START_S = 60.0
FRESH = timedelta(days=3)
LOOK_S = 0.25
STARTING = timedelta(seconds=15)  # about what the processes need until they listen; the world runs meanwhile
DRAW_S = 1.0
PLAIN_S = 10.0
TAIL = 15
SAMPLE_H = 2  # world hours between a unit's samples
REFIT_AT = 1.3  # owners who never tap put in a new part at this true wear


def run(stop: threading.Event, *, once: bool, units: int, speed: float, folder: Path | None, limit_s: float) -> Exit:
    """Run the demo until `stop`, or with `once` until the next cycle has begun; return what to exit with."""
    place = (folder or Path(tempfile.mkdtemp(prefix="wearwell-demo-"))).resolve()
    if (place / world.FLEET).exists():
        raise Conflict(f"{place} holds an earlier demo; remove it, or name another folder")
    demo = Demo(place, units, speed)
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)  # as root, database and broker run in accounts of their own
    try:
        stage = demo.start()
        if once:
            Once(stage.conn, _line, stage.around, stop).walk(limit_s)
        else:
            _show(stage, stop, speed)
            _say("stopping")
    except WearwellError:
        sys.stderr.write(demo.tail())
        raise
    finally:
        demo.house.stop()
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
    return Exit.OK


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands when the demo has begun; `around` keeps its world going between two looks."""

    conn: psycopg.Connection
    world: world.World
    house: House
    courier: Courier

    def around(self) -> None:
        self.house.supervisor.watch()
        self.courier.round(self.conn)
        self.conn.rollback()


class Demo:
    """Everything of one demo, in one folder."""

    def __init__(self, place: Path, units: int, speed: float) -> None:
        self.place = place
        self.units = units
        self.speed = speed
        self.settings = settings.alone(place, metrics_port=0)
        self.house = House(self.settings, self._log, cwd=place)
        self.said: dict[str, deque[str]] = {}
        self.listening = threading.Event()  # the broker knows the ingest: what comes before that, it throws away

    def start(self) -> "Stage":
        """Start services, make the world, and let its time run."""
        _say("starting PostgreSQL and the broker")
        self.house.prepare()
        origin = clock.wall()
        born = origin - world.HISTORY - timedelta(hours=1)
        conn = pool.connect(self.house.database, pool.Role.GATEWAY)
        _say(f"making a manufacturer and {self.units} units with {world.HISTORY.days} days behind them")
        made = world.make(conn, self.place, self.units, born)
        conn.commit()
        if not broker.refresh(conn, self.place, user=self.settings.mqtt_username):
            raise Unreachable("the broker does not take the new units")
        conn.rollback()
        payments = self._start_payments()
        since = clock.wall() + STARTING
        pace = f"{origin.isoformat()},{since.isoformat()},{self.speed}"
        clock.accelerate(clock.pace_from(pace))
        self.house.env |= settings.environment(pace=pace, **payments, log_level="info")
        self.house.start_services(("ingest", "serve"))
        if not self.house.serves(within_s=START_S) or not self.listening.wait(START_S):
            raise Unreachable("the pages or the ingest did not come up within a minute")
        fleet = self.house.supervisor.start(Program("fleet", self._fleet(made, pace), self.house.env, cwd=self.place))
        _say("the units tell what they have lived through")
        deadline = time.monotonic() + START_S
        while story.up_to_date(conn, clock.now() - FRESH) < self.units and time.monotonic() < deadline:
            conn.rollback()
            self.house.supervisor.watch()
            time.sleep(LOOK_S)
        self.house.start_services(("work",))  # only now: who forecasts from half a history prompts for nothing
        return Stage(conn, made, self.house, Courier(fleet.tell, lambda line: self._log("courier", line)))

    def tail(self) -> str:
        """Return the last lines of every process, for whoever has to find out what went wrong."""
        return "".join(f"{name:<8} | {line}\n" for name, lines in self.said.items() for line in lines)

    def _start_payments(self) -> dict[str, str]:
        """Start the stand-in of the payment provider and return the settings that lead to it."""
        held = ports.hold(8090)
        key, secret = f"rk_test_{secrets.token_hex(16)}", f"whsec_{secrets.token_hex(16)}"
        command = (
            *(sys.executable, "-m", "commerce.standin", "--fd", str(held.fileno()), "--secret", secret),
            *("--webhook", f"{self.house.public_url}/webhooks/stripe"),
        )
        self.house.supervisor.start(Program("payments", command, self.house.env, cwd=self.place, listens=held))
        return {
            "stripe_url": f"http://{ports.LOOPBACK}:{held.getsockname()[1]}",
            "stripe_key": key,
            "stripe_webhook_secrets": secret,
        }

    def _fleet(self, made: world.World, pace: str) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "firmware_stubs", "--commands", "--json", "--every", "5", "--flush", "0.5"),
            *("--url", self.house.units_url, "--credentials", str(made.fleet), "--pace", pace),
            *("--mqtt", self.house.mqtt_version),
            *("--history-days", str(world.HISTORY.days), "--sample-hours", str(SAMPLE_H), "--refit-at", str(REFIT_AT)),
        )

    def _log(self, name: str, line: str) -> None:
        if name == "ingest" and "subscribed" in line:
            self.listening.set()
        self.said.setdefault(name, deque(maxlen=TAIL)).append(line)
        with (self.place / "demo.log").open("a") as file:
            file.write(f"{name:<8} | {line}\n")


def _show(stage: Stage, stop: threading.Event, speed: float) -> None:
    """Show the fleet living until `stop`: a picture on a terminal, else a line now and then."""
    base = stage.house.public_url
    where = screen.places(base, stage.world.jug, world.EDITOR, stage.world.password)
    terminal = screen.console()
    if not terminal.is_terminal:
        terminal.print(where)
        _show_plainly(stage, stop)
        return
    with Live(screen.draw(stage.conn, where, base, speed), console=terminal, auto_refresh=False) as live:
        while not stop.wait(DRAW_S):
            stage.around()
            live.update(screen.draw(stage.conn, where, base, speed), refresh=True)


def _show_plainly(stage: Stage, stop: threading.Event) -> None:
    due = 0.0
    while not stop.wait(DRAW_S):
        stage.around()
        if time.monotonic() >= due:
            due = time.monotonic() + PLAIN_S
            found = story.counts(stage.conn)
            stage.conn.rollback()
            _line(", ".join(f"{count:,} {name}" for name, count in found.items()))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
