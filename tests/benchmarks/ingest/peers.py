"""Peers: what else carries MQTT into PostgreSQL, given the same messages over the same broker into the same server.

They store less than the gateway does (no receipts, gaps, rollups, quarantine), and not after an acknowledgement that
waits for COMMIT; the ratio is of messages a second all the same.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import conninfo

from tests.benchmarks.ingest.contestants import Drained
from tests.benchmarks.ingest.ground import Ground
from tests.faults.machinery import ROOT, end, wait_for

TABLE = """create table if not exists {0} (device text, channel text, ts timestamptz, value double precision,
    session bigint, seq bigint, received_at timestamptz, primary key (device, channel, ts, session, seq))"""
LIMIT_S = 600.0


class Peer(Protocol):
    """Somebody with a session of its own at the broker."""

    name: str

    def subscribe(self) -> None:
        """Open the session that the broker fills."""

    def drain(self, messages: int, readings: int) -> Drained:
        """Store what waits in the session: so many messages with so many readings."""


class SimpleScript:
    """simple_script.py: what a user would write."""

    name = "aiomqtt + executemany"

    def __init__(self, ground: Ground) -> None:
        with psycopg.connect(ground.dsn) as conn:
            conn.execute(TABLE.format("simple_reading"))
        self.command = [sys.executable, "-m", "tests.benchmarks.ingest.simple_script", str(ground.port), "bench-simple",
                        ground.dsn]  # fmt: skip

    def subscribe(self) -> None:
        subprocess.run([*self.command, "0"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)

    def drain(self, messages: int, readings: int) -> Drained:
        with subprocess.Popen([*self.command, str(messages)], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout
            at = {process.stdout.readline(): time.monotonic() for _ in range(2)}
        return Drained(at[b"done\n"] - at[b"subscribed\n"])


class NodeRed:
    """Node-RED as it is: an MQTT node at QoS 1, a function node that inserts through `pg`."""

    name = "Node-RED + pg"

    def __init__(self, ground: Ground, modules: Path) -> None:
        self.ground, self.modules = ground, modules
        self.folder = ground.folder / "node-red"
        self.folder.mkdir()
        with psycopg.connect(ground.dsn) as conn:
            conn.execute(TABLE.format("node_red_reading"))
        told = conninfo.conninfo_to_dict(ground.dsn)
        pool = {"host": told.get("host"), "port": told.get("port"), "user": told.get("user"),
                "password": told.get("password"), "database": told.get("dbname"), "max": 4}  # fmt: skip
        pool = {name: value for name, value in pool.items() if value}
        settings = (
            "const {Pool} = require('pg');\n"
            f"module.exports = {{uiHost: '127.0.0.1', uiPort: 0, httpAdminRoot: false, flowFile: 'flow.json',\n"
            f"  functionGlobalContext: {{pool: new Pool({json.dumps(pool)})}}}};\n"
        )
        (self.folder / "settings.js").write_text(settings)
        (self.folder / "flow.json").write_text(json.dumps(flow(ground.port)))

    @staticmethod
    def modules_in(folder: Path | None) -> Path | None:
        """Return the node_modules folder that holds both node-red and pg, or None."""
        found = folder / "node_modules" if folder else None
        if shutil.which("node") and found and all((found / name).is_dir() for name in ("node-red", "pg")):
            return found
        return None

    def subscribe(self) -> None:
        process = self._start()
        wait_for(lambda: b"Connected to broker" in (self.folder / "log").read_bytes(), 120.0)
        time.sleep(1.0)
        end(process, signal.SIGKILL)  # on SIGTERM it unsubscribes

    def drain(self, messages: int, readings: int) -> Drained:
        before = self._stored()
        process = self._start()
        try:
            wait_for(lambda: self._stored() > before, 60.0)
            began, first = time.monotonic(), self._stored()
            wait_for(lambda: self._stored() >= before + readings, LIMIT_S, every=0.25)
            took = time.monotonic() - began
        finally:
            end(process, signal.SIGTERM)
        return Drained(took * readings / max(before + readings - first, 1))

    def _start(self) -> "subprocess.Popen[bytes]":
        script = self.modules / "node-red" / "red.js"
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                ["node", str(script), "-u", str(self.folder), "-s", str(self.folder / "settings.js")],
                env=os.environ | {"NODE_PATH": str(self.modules)}, stdout=log, stderr=log,
            )  # fmt: skip

    def _stored(self) -> int:
        with psycopg.connect(self.ground.dsn) as conn:
            row = conn.execute("select count(*) from node_red_reading").fetchone()
            return int(row[0]) if row else 0


INSERT = """const told = msg.payload, device = msg.topic.split('/')[2], now = new Date();
const rows = [];
told.r.forEach(([offset, values], place) => Object.entries(values).forEach(([channel, value]) =>
  rows.push([device, channel, new Date((told.t + offset) * 1000), value, told.s, told.q + place, now])));
const places = rows.map((row, i) => '(' + row.map((_, k) => '$' + (i * row.length + k + 1)).join(',') + ')');
const insert = 'insert into node_red_reading values ' + places.join(',') + ' on conflict do nothing';
await global.get('pool').query(insert, rows.flat());
return null;"""


def flow(port: int) -> list[dict[str, object]]:
    """Return the flow: the broker, an MQTT node that parses JSON, a function node that inserts."""
    return [
        {"id": "tab", "type": "tab", "label": "ingest"},
        {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port), "clientid": "bench-node-red",
         "autoConnect": True, "protocolVersion": "4", "keepalive": "60", "cleansession": False},
        {"id": "in", "type": "mqtt in", "z": "tab", "topic": "ww/v1/+/tlm", "qos": "1", "datatype": "json",
         "broker": "broker", "inputs": 0, "wires": [["insert"]]},
        {"id": "insert", "type": "function", "z": "tab", "func": INSERT, "outputs": 0, "wires": []},
    ]  # fmt: skip
