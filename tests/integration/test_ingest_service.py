"""Ingest as a process: over a real broker, acknowledged and receipted after COMMIT, stopped without loss."""

import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway import metrics
from gateway.db import pool
from gateway.ingest import quarantine
from gateway.ingest.mail import Mail
from gateway.ingest.outcome import Outcome
from gateway.ingest.service import Ingest
from gateway.settings import Settings
from tests.faults import fleet
from tests.faults.fleet import batch
from tests.faults.machinery import Gateway, Mosquitto, wait_for

pytestmark = pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH")


class Device:
    """A unit's client: publishes envelopes and keeps what it hears."""

    def __init__(self, port: int, name: str = "acme.1") -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.client.on_message = lambda _, __, message: self.heard.append((message.topic, json.loads(message.payload)))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(f"ww/v1/{name}/dn/#", 1)

    def say(self, *envelopes: fleet.Envelope) -> None:
        for envelope in envelopes:
            self.client.publish(envelope.topic, envelope.payload, qos=1).wait_for_publish(10)

    def receipts(self) -> list[dict[str, Any]]:
        return [told for topic, told in self.heard if topic.endswith("receipt")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    own = Mosquitto(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[Device]:
    own = Device(broker.port)
    yield own
    own.close()


@pytest.fixture
def started(broker: Mosquitto, dsn: str) -> Iterator[Callable[..., Ingest]]:
    """Start ingest in a thread of this process; stopped at the end."""
    stops: list[tuple[threading.Event, threading.Thread]] = []

    def start(**changes: Any) -> Ingest:
        ingest = Ingest(Settings(mqtt_url=broker.url, mqtt_window=100, **changes), dsn)
        stop = threading.Event()
        thread = threading.Thread(target=ingest.run, args=(stop,))
        thread.start()
        stops.append((stop, thread))
        wait_for(lambda: ingest.source.connected)
        return ingest

    yield start
    for stop, thread in stops:
        stop.set()
        thread.join(20)


def stored(dsn: str) -> int:
    with pool.connect(dsn, pool.Role.GATEWAY) as conn:
        return int(conn.execute("select count(*) from reading").fetchone()[0])  # type: ignore[index]  # there is a row


def enrolled(conn: psycopg.Connection, *serials: str) -> None:
    fleet.enrol(conn, serials or ("1",))
    conn.commit()


def recent(q: int = 1, **changes: Any) -> fleet.Envelope:
    return batch(q, at=datetime.now(UTC) - timedelta(minutes=5), **changes)


def test_reading_is_stored_and_receipted(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest]
) -> None:
    """What a unit publishes is stored, and the unit hears that it is safe."""
    enrolled(conn)
    ingest = started()
    device.say(recent(1), recent(2))
    wait_for(lambda: {"v": 1, "s": 7, "through": 2} in device.receipts())
    assert 2 == stored(dsn)
    assert ingest.ready


def test_gap_is_asked_for_over_the_wire(
    conn: psycopg.Connection, device: Device, started: Callable[..., Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing number is asked for on the unit's command topic; when it comes, the receipt moves on."""
    monkeypatch.setattr("gateway.ingest.gaps.PATIENCE", 0.0)
    enrolled(conn)
    started()
    device.say(recent(1), recent(3))
    wait_for(lambda: any(topic.endswith("cmd") for topic, _ in device.heard))
    asked = next(told for topic, told in device.heard if topic.endswith("cmd"))  # a slow machine asks again meanwhile
    assert ("replay", 2, 2) == (asked["cmd"], asked["from"], asked["to"])
    device.say(recent(2))
    wait_for(lambda: {"v": 1, "s": 7, "through": 3} in device.receipts())


def test_refusal_reaches_the_unit(conn: psycopg.Connection, device: Device, started: Callable[..., Ingest]) -> None:
    """A unit hears what was refused, why, and which of its messages it was."""
    enrolled(conn)
    started()
    device.say(recent(1, samples=[{"pm25": 1e9}]))
    wait_for(lambda: any("error" in told for told in device.receipts()))
    [told] = [told for told in device.receipts() if "error" in told]
    assert ("unbelievable", 7, 1) == (told["error"], told["s"], told["q"])
    assert "pm25" in told["detail"]


def test_unknown_unit_is_let_in_when_it_is_enrolled(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit that spoke before it was enrolled loses nothing, and hears of it without speaking again."""
    monkeypatch.setattr("gateway.ingest.service.RELEASE_EVERY", 0.0)
    started()
    device.say(recent(1))
    wait_for(lambda: any("unknown_unit" == told.get("error") for told in device.receipts()))
    enrolled(conn)
    wait_for(lambda: {"v": 1, "s": 7, "through": 1} in device.receipts())
    assert 1 == stored(dsn)


@pytest.mark.parametrize("prefix", ["", "$share/wearwell/"])
def test_processes_that_do_not_share_are_told(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest],
    monkeypatch: pytest.MonkeyPatch, *, prefix: str,
) -> None:  # fmt: skip
    """Each of them stores what has neither sequence nor time; those that share store it once, and are left in peace."""
    monkeypatch.setattr("gateway.ingest.service.RELEASE_EVERY", 0.0)
    monkeypatch.setattr("gateway.ingest.service.ASK_EVERY", 0.0)
    enrolled(conn)
    two = [started(mqtt_client=name, mqtt_subscriptions=[f"{prefix}ww/v1/+/tlm", "ww/v1/+/evt"]) for name in "ab"]
    device.say(recent(1), recent(2)._replace(payload=b'[{"n":"pm25","v":9}]'))
    if prefix:
        wait_for(lambda: 2 == stored(dsn))
        time.sleep(0.5)
        assert [False, False] == [each.neighbours.warned for each in two]
        assert 2 == stored(dsn)
    else:
        wait_for(lambda: all(each.neighbours.warned for each in two))
        wait_for(lambda: 3 == stored(dsn))


def test_older_brokers_are_spoken_to_in_their_own_version(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest]
) -> None:
    """Over MQTT 3.1.1 the same holds."""
    enrolled(conn)
    started(mqtt_version="3.1.1")
    device.say(*(recent(q) for q in range(1, 31)))
    wait_for(lambda: {"v": 1, "s": 7, "through": 30} in device.receipts())
    assert 30 == stored(dsn)


def test_message_of_megabytes_is_put_aside(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest]
) -> None:
    """Where the broker cannot be told how much is too much, it is quarantined, acknowledged, and holds up nobody."""
    enrolled(conn)
    ingest = started(mqtt_version="3.1.1")
    device.say(recent(1), recent(2)._replace(payload=b" " * 3_000_000), recent(3))
    wait_for(lambda: {"too_large": 1} == quarantine.counted(conn) or conn.rollback())
    wait_for(lambda: 2 == stored(dsn))
    assert ingest.ready


def test_broker_that_refuses_mqtt_5_is_asked_again_in_3_1_1(dsn: str) -> None:
    """A broker that answers "unacceptable protocol version" is connected to anew, in the version it speaks."""
    versions: list[int] = []

    class OldBroker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            version = self.request.recv(1_000)[8]
            versions.append(version)
            self.request.sendall(b"\x20\x02\x00" + (b"\x00" if 4 == version else b"\x01"))
            while self.request.recv(1_000):  # it listens until the client hangs up
                pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), OldBroker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ingest = Ingest(Settings(mqtt_url=f"mqtt://127.0.0.1:{server.server_address[1]}"), dsn)
        try:
            ingest.source.start()
            wait_for(lambda: ingest.source.stale)
            ingest.do_chores()
            wait_for(lambda: ingest.source.connected)
        finally:
            ingest.source.stop()
            ingest.lane.hang_up()
            server.shutdown()
    assert 5 == versions[0]
    assert 4 == versions[-1]


def test_content_type_is_heard(
    conn: psycopg.Connection, dsn: str, broker: Mosquitto, started: Callable[..., Ingest]
) -> None:
    """A message with MQTT 5 properties, at QoS 0 or 1, is read as its content type says."""
    enrolled(conn)
    ingest = started()
    told = cbor2.dumps(json.loads(recent(1).payload))
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/cbor"
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("ww/v1/acme.1/tlm", told, qos=0, properties=properties).wait_for_publish(10)
    wait_for(lambda: 1 == stored(dsn))
    properties.ContentType = "application/json"
    client.publish("ww/v1/acme.1/tlm", told, qos=1, properties=properties).wait_for_publish(10)
    wait_for(lambda: {"bad_text": 1} == quarantine.counted(conn) or conn.rollback())
    client.disconnect()
    client.loop_stop()
    assert ingest.ready


def test_message_survives_a_database_that_is_away(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest]
) -> None:
    """While every connection is cut, nothing is acknowledged; afterwards all is stored, in process."""
    enrolled(conn)
    ingest = started()
    device.say(recent(1))
    wait_for(lambda: 1 == len(device.receipts()))
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"alter database {name} allow_connections false")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        device.say(recent(2), recent(3))
        wait_for(lambda: ingest.trouble)
        time.sleep(0.3)
        assert not ingest.ready
        assert 1 == len(device.receipts())
        assert 2 == metrics.value("messages_unacknowledged")
        assert 0.3 < metrics.value("unacknowledged_oldest_seconds")
        admin.execute(f"alter database {name} allow_connections true")
    wait_for(lambda: {"v": 1, "s": 7, "through": 3} in device.receipts())
    assert ingest.ready
    wait_for(lambda: 0 == metrics.value("messages_unacknowledged"))
    assert 0 == metrics.value("unacknowledged_oldest_seconds")


def test_a_commit_whose_answer_was_lost_is_not_held_against_the_unit(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is tried again, stored once, and counted as what came again by us, not by the unit."""
    enrolled(conn)
    ingest = started()
    settle, tries = ingest.settle, []

    def broken_off(batch: Mail) -> Outcome:
        tries.append(settle(batch))
        if len(tries) == 1:
            raise psycopg.OperationalError("the answer to COMMIT never came")
        return tries[-1]

    monkeypatch.setattr(ingest, "settle", broken_off)
    device.say(recent(1))
    wait_for(lambda: {"v": 1, "s": 7, "through": 1} in device.receipts())
    assert 1 == stored(dsn)
    assert [1, 0] == [outcome.stored for outcome in tries]
    assert (1, 0) == conn.execute("select redelivered, resent from duplicate_hourly").fetchone()


def test_buffer_is_bounded_and_what_it_lets_go_comes_again(
    conn: psycopg.Connection, dsn: str, device: Device, started: Callable[..., Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that find no room are not acknowledged, and delivered again on a new connection."""
    monkeypatch.setattr("gateway.ingest.inbox.PATIENCE", 0.0)
    enrolled(conn)
    ingest = started()
    ingest.inbox.size = 20
    for q in range(1, 101):
        device.client.publish(recent(q).topic, recent(q).payload, qos=1)
    wait_for(lambda: {"v": 1, "s": 7, "through": 100} in device.receipts())
    assert 100 == stored(dsn)


def test_what_alerts_watch_is_there_before_it_happens(broker: Mosquitto, dsn: str) -> None:
    """Prometheus sees no increase of a counter that begins at one, so each begins at nought with the process."""
    code = (
        "from prometheus_client import generate_latest; from gateway.ingest.service import Ingest;"
        " from gateway.settings import Settings; import sys;"
        " Ingest(Settings(mqtt_url=sys.argv[1]), sys.argv[2]); print(generate_latest().decode())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, broker.url, dsn], capture_output=True, text=True, check=True
    ).stdout
    for name in ("broker_spilled_total", "database_trouble_total", "gaps_lost_total", "messages_unacknowledged"):
        assert f"\nwearwell_{name} 0.0" in shown


def test_sigterm_stores_what_is_held(
    conn: psycopg.Connection, dsn: str, broker: Mosquitto, device: Device, tmp_path: Path
) -> None:
    """A clean stop answers 0, and the next start has nothing to lose or double."""
    enrolled(conn)
    with Gateway(tmp_path, dsn, broker.url) as gateway:
        gateway.start()
        wait_for(gateway.connected)
        device.say(recent(1))
        wait_for(device.receipts)
        device.say(*(recent(q) for q in range(2, 60)))
        assert 0 == gateway.kill(signal.SIGTERM)
        device.say(*(recent(q) for q in range(60, 80)))
        gateway.start()
        wait_for(lambda: {"v": 1, "s": 7, "through": 79} in device.receipts())
        gateway.kill(signal.SIGTERM)
    assert 79 == stored(dsn)
