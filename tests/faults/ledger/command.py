"""The command `publish`: a fleet against a running gateway, with its progress told."""

import argparse
import csv
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from gateway.errors import ConfigurationError, Exit
from tests.faults.ledger.publisher import Publisher
from tests.faults.ledger.unit import Door, Login

ABOUT = """Plays units that keep a journal against a running gateway, and writes the ledger. The units must be enrolled.
Ctrl-C ends the measuring; what is under way is still waited for, and a second Ctrl-C gives that up too."""
TELL_EVERY = 1.0  # seconds


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `publish` can be told."""
    who = parser.add_argument_group("who").add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--logins", type=Path, help="CSV with columns device and secret, as `enrol --batch --out` writes it"
    )
    who.add_argument("--devices", help="comma separated DEVICE or DEVICE:SECRET, where the broker asks for a secret")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--url", required=True, help="the broker's listener for units: mqtt://host:1883, mqtts://host:8883"
    )
    where.add_argument("--ca", type=Path, help="authority of an mqtts:// broker, PEM; else the system's")
    where.add_argument("--cert", type=Path, help="client certificate, PEM, where the broker asks for one")
    where.add_argument("--key", type=Path, help="its key, where it is not in the same file")
    where.add_argument("--connect-timeout", type=float, default=20, help="seconds in which all units must be let in")
    much = parser.add_argument_group("how much")
    until = much.add_mutually_exclusive_group()
    until.add_argument("--duration", type=float, help="seconds to measure")
    until.add_argument("--batches", type=int, help="batches of each unit; 100 where neither is said")
    much.add_argument("--rate", type=float, default=20, help="batches a second of each unit; 0: as fast as it goes")
    much.add_argument("--samples", type=int, default=3, help="samples in a batch, 1 to 1000, of two values each")
    much.add_argument("--resend", type=float, default=10, help="seconds without a receipt until a unit sends again")
    much.add_argument("--patience", type=float, default=120, help="seconds to wait for the last receipt")
    parser.add_argument("--file", type=Path, required=True, help="the ledger; lines of an earlier run stay in it")
    parser.add_argument("--quiet", action="store_true", help="tell no progress")


def publish(given: argparse.Namespace) -> int:
    """Publish as the command line says; return the exit code."""
    if not 1 <= given.samples <= 1_000:
        raise ConfigurationError("--samples: a batch has 1 to 1000 samples")
    door = Door(given.url, given.ca, given.cert, given.key)
    if not given.url.startswith(("mqtt://", "mqtts://")):
        raise ConfigurationError(f"--url: {given.url!r} is no broker's address; it begins with mqtt:// or mqtts://")
    who = logins(given)
    if problem := knock(door):
        sys.stderr.write(problem + "\n")
        return Exit.UNREACHABLE
    stop = Stop()
    session = int(time.time())  # greater than any session before
    with Publisher(given.file, door, who, session=session, resend=given.resend) as fleet:
        told = Progress(fleet, quiet=given.quiet)
        if not let_in(fleet, given.connect_timeout, stop):
            return Exit.UNREACHABLE
        measure(fleet, given, stop, told)
        settled = fleet.settle(given.patience, lambda: told.look() and stop.times < 2)
        told.say("done" if settled else "not everything is receipted")
        for code, (count, detail) in refusals(fleet).items():
            sys.stderr.write(f"the gateway refused, at {count} units: {code}. {detail}\n")
        return Exit.OK if settled else Exit.FAILED


def logins(given: argparse.Namespace) -> list[Login]:
    """Return whom to play; raises ConfigurationError."""
    found: list[Login] = []
    if given.devices:
        for told in filter(None, given.devices.split(",")):
            device, _, secret = told.strip().partition(":")
            found.append(Login(device, secret or None))
    else:
        with given.logins.open(newline="") as file:
            lines = csv.DictReader(file)
            if not {"device", "secret"} <= set(lines.fieldnames or ()):
                raise ConfigurationError(f"--logins: {given.logins} has no columns device and secret")
            found = [Login(line["device"], line["secret"] or None) for line in lines if line["device"]]
    if not found:
        raise ConfigurationError("no unit is named")
    return found


def knock(door: Door) -> str | None:
    """Say why nobody can connect there, or None."""
    host, port = door.address
    context = door.tls()
    try:
        with socket.create_connection((host, port), timeout=10) as plain:
            if context:
                context.wrap_socket(plain, server_hostname=host).close()
    except OSError as error:
        return f"the broker at {host}:{port} cannot be reached: {error}"
    return None


def let_in(fleet: Publisher, seconds: float, stop: "Stop") -> bool:
    """Wait until every unit is connected; say why where one is not."""
    end = time.monotonic() + seconds
    while troubled := [unit for unit in fleet.units if unit.trouble]:
        if time.monotonic() > end or stop.times:
            why = f"{troubled[0].device}: {troubled[0].trouble}"
            sys.stderr.write(f"{len(troubled)} of {len(fleet.units)} units are not let in, such as {why}\n")
            return False
        time.sleep(0.05)
    return True


def measure(fleet: Publisher, given: argparse.Namespace, stop: "Stop", told: "Progress") -> None:
    """Let the fleet measure for as long, and as often, as it was told."""
    began = time.monotonic()
    batches = given.batches or (None if given.duration else 100)
    done = 0
    while not stop.times and (batches is None or done < batches):
        if given.duration and time.monotonic() - began > given.duration:
            return
        fleet.step(given.samples)
        done += 1
        told.look()
        if given.rate:
            stop.wait(began + done / given.rate - time.monotonic())


def refusals(fleet: Publisher) -> dict[str, tuple[int, str]]:
    """Return what the gateway refused: at how many units, and in its own words."""
    found: dict[str, tuple[int, str]] = {}
    for unit in fleet.units:
        for code, detail in unit.refusals.items():
            found[code] = (found.get(code, (0, ""))[0] + 1, detail)
    return found


class Stop:
    """Counts how often somebody asked for an end, with SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.times = 0
        self._asked = threading.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._ask())

    def _ask(self) -> None:
        self.times += 1
        self._asked.set()

    def wait(self, seconds: float) -> None:
        """Rest, unless somebody asked for an end."""
        if seconds > 0:
            self._asked.wait(seconds)


class Progress:
    """One line now and then, on stderr."""

    def __init__(self, fleet: Publisher, *, quiet: bool) -> None:
        self.fleet, self.quiet = fleet, quiet
        self._began = self._told = time.monotonic()

    def look(self) -> bool:
        """Tell how far the run is, if it is time to; always True."""
        if time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            self.say("")
        return True

    def say(self, word: str) -> None:
        """Tell how far the run is."""
        if self.quiet:
            return
        now = self.fleet.figures()
        sys.stderr.write(
            f"{time.monotonic() - self._began:7.0f} s  attempted {now.attempted}, receipted {now.receipted}, waiting"
            f" {now.attempted - now.receipted}, sent again {now.repeated}"
            + (f", {now.troubled} units without connection" if now.troubled else "")
            + (f": {word}" if word else "")
            + "\n"
        )
