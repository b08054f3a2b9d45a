"""What the arithmetic stands on, measured anew on this machine: `python -m tests.benchmarks.scaling --measure`.

Processor time is counted for each process by the kernel, so that neighbours disturb it less than they disturb a rate.
Every unit speaks once, as in a fleet that is larger than a batch: what is kept beside the readings for each unit is
written for each message then.
"""

import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from gateway.ingest.envelope import Envelope
from tests.benchmarks.ingest.contestants import Wearwell
from tests.benchmarks.ingest.ground import Ground, enrol, ground, readings
from tests.benchmarks.ingest.publisher import Publisher
from tests.benchmarks.scaling.profiles import HOURLY, PROFILES, Profile
from tests.faults.log import Cluster, Log
from tests.faults.machinery import Mosquitto, memory, wait_for

UNITS = {"hourly": 40_000, "minutely": 5_000}  # messages, one from each
CONNECTIONS = 1_000
HANDSHAKES = 300
TICKS = os.sysconf("SC_CLK_TCK")
SEARCH_PATH = "-c search_path=wearwell,public"

Costs = dict[str, dict[str, float]]  # tables of costs.toml


def measure(dsn: str | None, rounds: int, say: Callable[[str], None]) -> Costs:
    """Return what a message of each profile, and a connection, costs: medians of so many rounds."""
    played = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        played.append(_round(dsn, say))
    return {
        table: {name: statistics.median([one[table][name] for one in played]) for name in values}
        for table, values in played[0].items()
    }


def _round(dsn: str | None, say: Callable[[str], None]) -> Costs:
    found: Costs = {}
    for profile in PROFILES:
        with ground(dsn) as here:
            say(f"  {profile.name}: {UNITS[profile.name]:,} units, a message of {profile.readings} readings from each")
            found[profile.name] = _messages(here, profile, UNITS[profile.name])
    with ground(dsn) as here, Cluster() as cluster:
        say(f"  {HOURLY.name}, from a Kafka-protocol log")
        found["kafka"] = {"gateway_us": _from_log(here, HOURLY, UNITS[HOURLY.name], Log(cluster))}
    say(f"  {CONNECTIONS:,} connections, {HANDSHAKES} TLS handshakes")
    with tempfile.TemporaryDirectory() as folder:
        serving, lines = _certificate(Path(folder))
        found["connection"] = {
            "plain_kib": _connections(Path(folder), []),
            "tls_kib": _connections(Path(folder), lines),
            "tls_ms": _handshakes(serving),
        }
    return found


def _messages(here: Ground, profile: Profile, units: int) -> dict[str, float]:
    enrol(here.dsn, units)
    gateway = Wearwell(here)
    start = time.time() // 3_600 * 3_600 - 7_200
    sent = [profile.message(unit, start) for unit in range(units)]
    with psycopg.connect(here.dsn, options=SEARCH_PATH, autocommit=True) as conn:
        backend = conn.execute("select pg_backend_pid()").fetchone()
        assert backend
        broker, server = listener(here.port), parent(backend[0])
        with gateway.running() as process:
            before = tree_cpu_s(process.pid), tree_cpu_s(server), cpu_s(broker)
            wal = _scalar(conn, "select pg_current_wal_lsn() - '0/0'")
            with Publisher(here.port) as publisher:
                publisher.publish(sent)
            wait_for(lambda: readings(here.dsn) == units * profile.readings, 120, every=0.5)
            after = tree_cpu_s(process.pid), tree_cpu_s(server), cpu_s(broker)
            wal = _scalar(conn, "select pg_current_wal_lsn() - '0/0'") - wal
        conn.execute("vacuum")
        stored = _scalar(conn, SIZE.format("reading"))
        rolled = _scalar(conn, SIZE.format("reading_hourly"))
        hours = _scalar(conn, "select count(*) from reading_hourly")
    took = [(b - a) * 1e6 / units for a, b in zip(before, after, strict=True)]
    return {
        "gateway_us": round(took[0], 1),
        "postgres_us": round(took[1], 1),
        "broker_us": round(took[2], 1),
        "payload_bytes": round(sum(len(message.payload) for message in sent) / units),
        "wal_bytes": round(wal / units),
        "reading_bytes": round(stored / (units * profile.readings)),
        "hourly_bytes": round(rolled / hours),
    }


def _from_log(here: Ground, profile: Profile, units: int, log: Log) -> float:
    """Return the gateway's processor time for a message that it takes from a log, in microseconds."""
    enrol(here.dsn, units)
    gateway = Wearwell(here)
    gateway.env |= log.env
    now = datetime.now(UTC)
    start = time.time() // 3_600 * 3_600 - 7_200
    sent = [Envelope(*profile.message(unit, start), now) for unit in range(units)]
    with gateway.running() as process:
        before = tree_cpu_s(process.pid)
        log.say(*sent)
        wait_for(lambda: readings(here.dsn) == units * profile.readings, 120, every=0.5)
        after = tree_cpu_s(process.pid)
    log.close()
    return round((after - before) * 1e6 / units, 1)


SIZE = """select sum(pg_total_relation_size(oid)) from pg_class
    where oid in (select relid from pg_partition_tree('{0}') union select '{0}'::regclass)"""


def _scalar(conn: psycopg.Connection, query: str) -> float:
    row = conn.execute(query).fetchone()
    return float(row[0]) if row else 0.0


def _connections(folder: Path, tls: list[str]) -> float:
    """Return how much more memory a broker holds with a persistent, subscribed session, in KiB for each."""
    broker = Mosquitto(folder)
    with (broker.folder / "mosquitto.conf").open("a") as conf:
        conf.write("".join(f"{line}\n" for line in tls))
    broker.start()
    try:
        return _held(broker.port, secure=bool(tls))
    finally:
        broker.kill()


def _held(port: int, *, secure: bool) -> float:
    process = listener(port)
    before, clients = memory(process), []
    for number in range(CONNECTIONS):
        name = f"idle.{number:06}".encode()
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        if secure:
            client = _calling().wrap_socket(client)
        body = b"\x00\x04MQTT\x04\x00\x07\x08" + len(name).to_bytes(2) + name
        topic = b"ww/v1/" + name + b"/dn/#"
        subscribe = b"\x00\x01" + len(topic).to_bytes(2) + topic + b"\x01"
        for first, packet in ((0x10, body), (0x82, subscribe)):
            client.sendall(bytes((first, len(packet))) + packet)
            if not client.recv(16):
                raise ConnectionError(f"the broker takes no more than {number} connections here")
        clients.append(client)
    held = (memory(process) - before) / CONNECTIONS
    for client in clients:
        client.close()
    return round(held, 1)


def _certificate(folder: Path) -> tuple[ssl.SSLContext, list[str]]:
    """Make a P-256 key and its certificate; return them as a server's context, and as lines for a broker."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-subj", "/CN=broker"],
        check=True, capture_output=True,
    )  # fmt: skip
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    return serving, [f"certfile {certificate}", f"keyfile {key}"]


def _calling() -> ssl.SSLContext:
    calling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    calling.check_hostname, calling.verify_mode = False, ssl.CERT_NONE
    return calling


def _handshakes(serving: ssl.SSLContext) -> float:
    """Return the processor time of a server's side of a TLS 1.3 handshake, in milliseconds."""
    calling = _calling()
    took = 0.0
    for _ in range(HANDSHAKES):
        one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = serving.wrap_bio(one, other, server_side=True)
        client = calling.wrap_bio(other, one)
        open_sides = {client, server}
        while open_sides:
            for side in tuple(open_sides):
                began = time.process_time()
                try:
                    side.do_handshake()
                    open_sides.discard(side)
                except ssl.SSLWantReadError:
                    pass
                took += (time.process_time() - began) if side is server else 0.0
    return round(took / HANDSHAKES * 1_000, 2)


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def tree_cpu_s(pid: int) -> float:
    """Return the same for a process with its children, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_s(pid) + ended + sum(cpu_s(int(child)) for child in children)


def parent(pid: int) -> int:
    """Return a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def listener(port: int) -> int:
    """Return the Mosquitto of this process's own that listens on a port."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if re.search(rf"mosquitto-{port}/".encode(), command):
            return int(child)
    sys.exit(f"nobody of ours listens on port {port}")
