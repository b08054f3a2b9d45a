"""The embedded broker lets in whom the registry enrolled, to their own topics, and nobody else."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway import clock
from gateway.db import pool
from gateway.errors import ConfigurationError
from gateway.operate import access, broker, knock, mosquitto, ports
from gateway.operate.processes import Supervisor
from gateway.registry import credentials, declaration, units
from gateway.settings import environment

MAKER = """
tenant = "acme"
name = "Acme"
[[models]]
gtin = "04006381333931"
name = "Purifier"
[[models.slots]]
code = "hepa"
name = "HEPA filter"
life_d = 365
"""


class Peer:
    """A plain client that remembers what it was told."""

    def __init__(self, port: int, user: str | None, password: str | None, client_id: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.code: str | None = None
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv311)
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = lambda *given: setattr(self, "code", str(given[3]))
        self.client.on_message = lambda *given: self.heard.append((given[2].topic, given[2].payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait(lambda: self.code is not None)

    @property
    def in_(self) -> bool:
        return self.code == "Success"

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def wait(happens: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(params=["mosquitto", "amqtt"])
def house(
    request: pytest.FixtureRequest, conn: psycopg.Connection, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[broker.EmbeddedBroker, dict[str, str], Path]]:
    """A running broker with two enrolled units: their secrets by device name."""
    if request.param == "mosquitto" and not mosquitto.find():
        pytest.skip("no Mosquitto on this machine")
    if request.param == "amqtt":
        monkeypatch.setattr(mosquitto, "find", lambda: None)
    tenant = declaration.declare(conn, declaration.read(MAKER))
    secrets = {}
    for serial in ("A1", "B2"):
        made = units.enrol(conn, tenant, "04006381333931", serial, now=clock.now())
        assert made.secret
        assert made.unit.device
        secrets[made.unit.device] = made.secret
    conn.commit()
    supervisor = Supervisor(lambda *_: None)
    own = broker.prepare(conn, open_folder, user="wearwell", env=environment())
    supervisor.start(own.program)
    assert own.lets_us_in(within_s=15)
    assert ports.answers(own.units_port, within_s=5)
    assert ports.answers(own.gateway_port, within_s=5)
    yield own, secrets, open_folder
    supervisor.stop()
    assert not ports.answers(own.units_port, within_s=0)


def test_each_reaches_its_own_topics_only(house: tuple[broker.EmbeddedBroker, dict[str, str], Path]) -> None:
    """A unit's reading arrives at the gateway, its neighbour hears nothing of it and cannot speak in its name."""
    own, secrets, _ = house
    gateway = Peer(own.gateway_port, "wearwell", own.password, "wearwell-ingest-1")
    a, b = (Peer(own.units_port, device, secret, device) for device, secret in secrets.items())
    try:
        assert gateway.in_
        assert a.in_
        assert b.in_
        gateway.client.subscribe([("ww/v1/+/tlm", 1), ("+/+/status/#", 1)])
        b.client.subscribe([("ww/v1/acme.A1/tlm", 1), ("ww/v1/acme.A1/dn/#", 1), ("ww/v1/acme.B2/dn/#", 1)])
        time.sleep(0.5)
        b.client.publish("ww/v1/acme.A1/tlm", b"forged", 1)
        a.client.publish("ww/v1/acme.A1/tlm", b"true", 1)
        a.client.publish("438/acme.A1/status/current", b"adapter", 1)
        gateway.client.publish("ww/v1/acme.A1/dn/receipt", b"for A", 1)
        gateway.client.publish("ww/v1/acme.B2/dn/receipt", b"for B", 1)
        assert wait(lambda: len(gateway.heard) >= 2 and len(b.heard) >= 1)
        time.sleep(0.3)
        assert {("ww/v1/acme.A1/tlm", b"true"), ("438/acme.A1/status/current", b"adapter")} == set(gateway.heard)
        assert [("ww/v1/acme.B2/dn/receipt", b"for B")] == b.heard
    finally:
        for peer in (gateway, a, b):
            peer.close()


def test_strangers_stay_outside(house: tuple[broker.EmbeddedBroker, dict[str, str], Path]) -> None:
    """No login, a wrong secret, another's secret: refused."""
    own, secrets, _ = house
    for user, password in ((None, None), ("acme.A1", "wrong"), ("acme.A1", secrets["acme.B2"]), ("nobody", "x")):
        peer = Peer(own.units_port, user, password, user or "stranger")
        assert not peer.in_, user
        peer.close()


def test_new_and_revoked_units_are_told_to_the_running_broker(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path], conn: psycopg.Connection
) -> None:
    """A unit enrolled while the broker runs may log in at once; one that was revoked may not any more."""
    own, secrets, folder = house
    live = Peer(own.units_port, "acme.B2", secrets["acme.B2"], "acme.B2")
    gone = []
    live.client.on_disconnect = lambda *given: gone.append(given)
    tenant = conn.execute("select tenant_id from tenant").fetchone()
    assert tenant
    made = units.enrol(conn, tenant[0], "04006381333931", "C3", now=clock.now())
    credentials.revoke(conn, "acme.B2", clock.now())
    conn.commit()
    assert broker.refresh(conn, folder, user="wearwell")

    def may(device: str, secret: str) -> bool:
        peer = Peer(own.units_port, device, secret, device)
        peer.close()
        return peer.in_

    assert wait(lambda: may("acme.C3", made.secret or ""))
    assert not may("acme.B2", secrets["acme.B2"])
    if own.kind != "amqtt":  # which leaves the session, and lets nothing through it any more
        assert wait(lambda: bool(gone))
    live.close()


def test_a_broker_that_missed_the_signal_is_told_again(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path],
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal that comes while it reads its files is lost: whether it acts on the new ones is seen, not assumed."""
    own, _, folder = house
    told: list[signal.Signals] = []
    really = os.kill

    def kill(pid: int, number: signal.Signals) -> None:
        told.append(number)
        if len(told) > 1:
            really(pid, number)

    monkeypatch.setattr(os, "kill", kill)
    assert broker.refresh(conn, folder, user="wearwell")
    assert [signal.SIGHUP, signal.SIGHUP] == told
    assert own.kind


def test_a_broker_that_does_not_act_on_its_files_is_told_of(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path],
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs, it was told, and it lets nobody new in: then nobody is told that it does."""
    _, _, folder = house
    monkeypatch.setattr(broker, "ACTS_S", 1.0)
    assert broker.tell(broker.folder_of(folder), signal.SIGSTOP)
    try:
        assert not broker.refresh(conn, folder, user="wearwell")
    finally:
        broker.tell(broker.folder_of(folder), signal.SIGCONT)
    assert broker.refresh(conn, folder, user="wearwell")


def test_commands_at_the_same_moment_overwrite_nobody(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path], dsn: str
) -> None:
    """Each of several that enrol at once ends with its unit let in."""
    own, _, folder = house

    def enrol(serial: str) -> tuple[bool, str]:
        with pool.connect(dsn, pool.Role.GATEWAY) as mine:
            tenant = mine.execute("select tenant_id from tenant").fetchone()
            assert tenant
            made = units.enrol(mine, tenant[0], "04006381333931", serial, now=clock.now())
            mine.commit()
            return broker.refresh(mine, folder, user="wearwell"), str(made.secret)

    with ThreadPoolExecutor(4) as together:
        done = dict(zip("WXYZ", together.map(enrol, "WXYZ"), strict=True))
    assert {True} == {told for told, _ in done.values()}
    for serial, (_, secret) in done.items():
        assert knock.lets_in(own.host, own.units_port, f"acme.{serial}", secret)


def test_nobody_takes_over_another_units_session(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path],
) -> None:
    """A unit that connects under its neighbour's client id does not throw the neighbour out."""
    own, secrets, _ = house
    a = Peer(own.units_port, "acme.A1", secrets["acme.A1"], "acme.A1")
    thrown = []
    a.client.on_disconnect = lambda *given: thrown.append(given)
    thief = Peer(own.units_port, "acme.B2", secrets["acme.B2"], "acme.A1")
    time.sleep(0.5)
    lost = list(thrown)
    thief.close()
    a.close()
    if (
        own.kind == "amqtt"
    ):  # it refuses the thief, though after closing the other: one reason why it is for a first look
        assert not thief.in_
    else:  # Mosquitto lets the thief in under its own name
        assert [] == lost


def test_a_broker_that_outlived_its_parent_is_ended(
    house: tuple[broker.EmbeddedBroker, dict[str, str], Path], conn: psycopg.Connection
) -> None:
    """Preparing a broker on a folder where one still runs ends that one first."""
    own, _, folder = house
    before = broker.running(broker.folder_of(folder))
    assert before
    broker.prepare(conn, folder, user="wearwell", env=environment())
    assert broker.running(broker.folder_of(folder)) is None
    assert own.kind


@pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="no mosquitto_pub on this machine")
def test_the_fallback_tells_an_mqtt_5_client_at_once_to_speak_3(tmp_path: Path) -> None:
    """amqtt alone would keep such a client waiting for ever."""
    (tmp_path / access.PASSWORDS).write_text(f"unit:{credentials.mosquitto_hash('secret')}\n")
    (tmp_path / access.ACL).write_text("pattern write ww/v1/%u/tlm\n")
    port = ports.free(0)
    fallback = subprocess.Popen(
        [sys.executable, "-m", "gateway.operate.fallback_broker", str(tmp_path), "127.0.0.1", str(port)]
    )
    try:
        assert ports.answers(port, within_s=15)
        command = ["mosquitto_pub", "-p", str(port), "-i", "unit", "-u", "unit", "-P", "secret", "-q", "1"]
        send = [*command, "-t", "ww/v1/unit/tlm", "-m", "x"]
        refused = subprocess.run([*send, "-V", "5"], capture_output=True, timeout=5, check=False)
        assert 0 != refused.returncode
        assert 0 == subprocess.run([*send, "-V", "311"], timeout=5, check=False).returncode
    finally:
        fallback.terminate()
        assert 0 == fallback.wait(10)


@pytest.mark.parametrize(
    ("allowed", "topic", "expected"),
    [
        ("ww/v1/+/tlm", "ww/v1/a/tlm", True),
        ("ww/v1/+/tlm", "ww/v1/+/tlm", True),
        ("ww/v1/a/tlm", "ww/v1/+/tlm", False),
        ("ww/v1/a/dn/#", "ww/v1/a/dn/cmd", True),
        ("ww/v1/a/dn/#", "ww/v1/a/dn/#", True),
        ("ww/v1/a/dn/+", "ww/v1/a/dn/#", False),
        ("+/+/status/#", "$SYS/x/status/y", False),
        ("#", "$SYS/broker/version", False),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
    ],
)
def test_a_rule_covers_what_lies_within_it(allowed: str, topic: str, expected: bool) -> None:
    """A filter asked for is covered only when everything it could match is."""
    assert expected is access.covers(allowed, topic)


def test_a_unit_with_the_gateways_own_login_is_refused(conn: psycopg.Connection, tmp_path: Path) -> None:
    """Whoever shares the gateway's login would reach every unit's topics: no file is written."""
    tenant = declaration.declare(conn, declaration.read(MAKER))
    units.enrol(conn, tenant, "04006381333931", "A1", now=clock.now(), device="gate")
    with pytest.raises(ConfigurationError, match="the gateway's own login"):
        access.write(conn, tmp_path, gateway_user="gate", gateway_password="secret")
    assert [] == list(tmp_path.iterdir())
