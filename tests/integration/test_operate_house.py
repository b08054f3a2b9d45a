"""`wearwell up`: children are looked after, found by other commands, and stopped in order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr

from gateway import clock
from gateway.db import pool
from gateway.operate import exporter, ports
from gateway.operate.fleet_metrics import FIGURES, FleetFigures
from gateway.operate.house import House
from gateway.operate.processes import Program, Supervisor
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]


def wait(happens: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def program(name: str, code: str, **given: float) -> Program:
    return Program(name, (sys.executable, "-u", "-c", code), dict(os.environ), **given)  # type: ignore[arg-type]  # options of the program, by name


def test_lines_are_passed_on_and_a_child_that_ends_is_started_again() -> None:
    """Each line comes with its program's name; an end is said, and after a pause there is a new process."""
    said: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda name, line: said.append((name, line)))
    supervisor.start(program("short", "print('hello')"))
    try:

        def started_again() -> bool:
            supervisor.watch()
            return 2 <= said.count(("short", "hello"))

        assert wait(started_again, 10)
        assert ("short", "ended with 0; starting again in 0.5 s") in said
    finally:
        supervisor.stop()


def test_the_last_started_stops_first_and_who_will_not_is_killed() -> None:
    """Order matters: what writes stops before what it writes to."""
    said: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda name, line: said.append((name, line)))
    gently = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit())); "
        "print('up'); time.sleep(60)"
    )
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    supervisor.start(program("first", gently))
    supervisor.start(program("second", deaf, grace_s=0.5))
    assert wait(lambda: 2 == len(said), 10)
    supervisor.stop()
    assert [("second", "did not stop within 0.5 s; killed"), ("first", "bye")] == said[2:]


def test_a_line_is_told_to_a_child() -> None:
    """The demo tells its fleet which part was fitted; a child that is gone says so."""
    said: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda name, line: said.append((name, line)))
    child = supervisor.start(program("echo", "print(input())"))
    assert child.tell("fit it")
    assert wait(lambda: ("echo", "fit it") in said, 10)
    assert wait(lambda: not child.alive, 10)
    assert not child.tell("again")
    supervisor.stop()


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Whoever is left over would go on writing beside the next ones."""
    mark = tmp_path / "pid"
    code = (
        "import os, sys, time; from pathlib import Path; from gateway.operate.processes import Program, Supervisor; "
        "nap = (sys.executable, '-c', 'import time; time.sleep(60)'); "
        f"p = Program('child', nap, dict(os.environ), pid_file=Path({str(mark)!r})); "
        "Supervisor(print).start(p); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert wait(lambda: mark.exists() and mark.read_text(), 20)
    child = int(mark.read_text())
    parent.kill()
    parent.wait()
    assert wait(lambda: not Path(f"/proc/{child}").exists() or "Z" in state(child), 5)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"


def test_the_usual_port_is_taken_when_it_is_free_and_another_when_not() -> None:
    """Two deployments on one machine do not fight."""
    usual = ports.free(0)
    assert usual == ports.free(usual)
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, usual))
        taken.listen()
        assert usual != ports.free(usual)
        assert ports.answers(usual)


def test_a_held_port_stays_ours_while_its_process_starts_and_starts_again() -> None:
    """Another deployment that starts meanwhile gets another port; a caller waits for the process instead of failing."""
    with ports.hold(0) as mine:
        usual = mine.getsockname()[1]
        with ports.hold(usual) as other:
            assert usual != other.getsockname()[1]
        serve = f"import socket; print(socket.socket(fileno={mine.fileno()}).accept()[0].send(b'here'))"
        supervisor = Supervisor(lambda *_: None)
        with socket.create_connection((ports.LOOPBACK, usual)) as caller:
            supervisor.start(Program("web", (sys.executable, "-c", serve), dict(os.environ), listens=mine))
            caller.settimeout(10)
            assert b"here" == caller.recv(4)
        supervisor.stop()


def test_fleet_figures_are_exported_on_loopback(dsn: str, conn: psycopg.Connection) -> None:
    """Every figure can be asked of an empty database; the port is served while the process runs, not longer."""
    with pool.open_pool(dsn, pool.Role.GATEWAY, size=1) as connections:
        registry = CollectorRegistry()
        figures = FleetFigures(connections.connection, clock.now)
        registry.register(figures)
        shown = generate_latest(registry).decode()
        assert [] == [figure.name for figure in FIGURES if f"# TYPE wearwell_{figure.name} gauge" not in shown]
        assert "wearwell_rescore_waiting 0.0" in shown
        port = ports.free(0)
        with exporter.exported(port, figures):
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
            assert "wearwell_outbox_oldest_seconds 0.0" in answer.text
        assert not ports.answers(port, within_s=0)


def after(text: str, mark: str) -> str:
    return text.partition(mark)[2]


@pytest.fixture
def settings_of_our_own(open_folder: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEARWELL_")}
    return env | {"WEARWELL_DATA_DIR": str(open_folder / "data"), "PYTHONPATH": str(ROOT)}


def test_up_runs_everything_and_stops_it_cleanly(
    tmp_path: Path, open_folder: Path, settings_of_our_own: dict[str, str]
) -> None:
    """Pages answer, another command finds the broker and enrols, a killed child comes back, SIGTERM ends it all."""

    def wearwell(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gateway.cli", *words]
        return subprocess.run(
            command, env=settings_of_our_own, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    log = (tmp_path / "up.log").open("w")
    house = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "up"],
        env=settings_of_our_own,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        running = open_folder / "data" / "running.json"
        assert wait(running.exists, 60), (tmp_path / "up.log").read_text()
        found = json.loads(running.read_text())

        def ready() -> bool:
            try:
                return bool(httpx.get(f"{found['public_url']}/readyz", timeout=5).json()["ready"])
            except httpx.HTTPError:
                return False

        assert wait(ready, 60), (tmp_path / "up.log").read_text()
        assert 0 == wearwell("declare", str(ROOT / "gateway" / "demo" / "maker.toml")).returncode
        enrolled = wearwell("enrol", "--tenant", "example", "--gtin", "9520000000011", "--serial", "A1")
        assert "example.A1" in enrolled.stdout
        assert "broker-files" not in enrolled.stderr  # it was told
        verdicts = {row["what"]: row["verdict"] for row in json.loads(wearwell("doctor", "--json").stdout)}
        assert {"good"} == {verdicts[what] for what in ("database login", "migrations", "broker", "anonymous clients")}
        broker = int((open_folder / "data" / "broker" / "pid").read_text())
        os.kill(broker, signal.SIGKILL)
        assert wait(lambda: "connected to the broker" in after((tmp_path / "up.log").read_text(), "ended with -9"), 30)
    finally:
        house.terminate()
        code = house.wait(60)
        log.close()
    said = (tmp_path / "up.log").read_text()
    assert 0 == code, said
    assert "ingest stopped" in said
    assert "Traceback" not in said
    assert not running.exists()
    for key in ("mqtt_url", "units_url", "public_url"):
        assert not ports.answers(int(found[key].rsplit(":", 1)[1]), within_s=0), key
    assert not (open_folder / "data" / "postgres" / "postmaster.pid").exists()


def test_a_port_that_somebody_took_meanwhile_is_given_up(
    dsn: str, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who answers there lets our login in, or is somebody else's broker: then ours starts on other ports."""
    said: list[str] = []
    with ports.hold(0) as taken:
        stolen, free = [taken.getsockname()[1]], ports.free
        monkeypatch.setattr(
            ports, "free", lambda wanted, host=ports.LOOPBACK: stolen.pop() if stolen else free(0, host)
        )
        settings = Settings(data_dir=open_folder, database_dsn=SecretStr(dsn), metrics_port=0, http_port=0)
        with House(settings, lambda _, line: said.append(line)) as house:
            monkeypatch.setattr("gateway.operate.database._superuser", lambda _: False)
            house.prepare()
            port = int(house.units_url.rpartition(":")[2])
            assert ports.answers(port)
            assert taken.getsockname()[1] != port
            assert any("trying another" in line for line in said), said
