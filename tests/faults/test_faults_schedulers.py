"""Two gateways and two schedulers side by side, one of each killed: every owner is asked once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from gateway import clock
from gateway.db import pool
from tests.faults.machinery import ROOT, Mosquitto, end, wait_for
from tests.faults.publishing import SERIALS
from tests.faults.rig import Note, Rig
from tests.faults.server import Server
from tests.integration import replenish_fleet

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
]
OWNED = [f"owned-{n}" for n in range(8)]
ASKED = "select count(*), count(distinct cycle_id) from wearwell.prompt"
TOLD = """select count(*), count(distinct prompt) from wearwell.outbox,
    jsonb_array_elements(payload->'prompts') prompt where kind = 'prompt' and channel = 'email'"""


@contextmanager
def scheduler(folder: Path, name: str, dsn: str, url: str, pace: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `wearwell work` as a process of its own while the block runs."""
    env = os.environ | {
        "WEARWELL_DATA_DIR": str(folder),
        "WEARWELL_DATABASE_DSN": dsn,
        "WEARWELL_MQTT_URL": url,
        "WEARWELL_METRICS_PORT": "0",
        "WEARWELL_PACE": pace,
    }
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "work"], env=env, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        end(process, signal.SIGKILL)


def test_two_of_each_ask_once(server: Server, broker: Mosquitto, tmp_path: Path, note: Note) -> None:
    """Eight filters come due while two schedulers look and two gateways store: eight prompts, each told in one mail."""
    with pool.connect(server.dsn, pool.Role.GATEWAY) as conn:
        house = replenish_fleet.build(conn)
        for serial in OWNED:
            unit_id = replenish_fleet.enrol(conn, house, serial)
            replenish_fleet.own(conn, house, unit_id)
            now = replenish_fleet.run(conn, unit_id, 100)
        for serial in SERIALS:
            replenish_fleet.enrol(conn, house, serial)
    pace = f"{now.isoformat()},{clock.wall().isoformat()},8640"  # a tenth of a day a second
    rig = Rig(tmp_path, server.dsn, broker, note)
    with psycopg.connect(server.dsn, autocommit=True) as admin, ExitStack() as stack:
        admin.execute("create role wearwell_service login noinherit in role wearwell_app, wearwell_gateway")
        service = conninfo.make_conninfo(server.dsn, user="wearwell_service")
        gateways = [stack.enter_context(rig.serving(client=f"ingest-{n}")) for n in (1, 2)]
        publishing = stack.enter_context(rig.publishing())
        schedulers = [stack.enter_context(scheduler(tmp_path, f"work-{n}", service, broker.url, pace)) for n in (1, 2)]
        wait_for(lambda: (len(OWNED), len(OWNED)) == admin.execute(ASKED).fetchone(), 240)
        schedulers[0].kill()
        gateways[0].kill()
        stack.enter_context(scheduler(tmp_path, "work-3", service, broker.url, pace))
        publishing.hold(8)
        publishing.finish()
        asked, told = admin.execute(ASKED).fetchone(), admin.execute(TOLD).fetchone()
    assert (len(OWNED), len(OWNED)) == asked == told
    found = rig.clean()
    assert 0 == found.prompted_twice
    note(
        "two gateways and two schedulers, one of each killed",
        found,
        cycles_due=len(OWNED),
        prompts=asked[0],
        mails_naming_them=told[0],
    )
