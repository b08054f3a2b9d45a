"""The ledger as a command, as somebody uses it who never saw the code: TLS, a login for each unit, exit codes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.operate import access
from gateway.registry import units
from tests.faults import fleet
from tests.faults.fleet import GTIN, NOW
from tests.faults.ledger.__main__ import main
from tests.faults.machinery import ROOT, Gateway, Mosquitto, answers, end, free_port, wait_for

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(Mosquitto.missing(), reason="Mosquitto is not on the PATH"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on the PATH"),
]
CERTIFICATE = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem"
)
CONFIG = """{user}allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
max_queued_messages 0
log_type error
listener {units} 127.0.0.1
certfile {folder}/ca.pem
keyfile {folder}/key.pem
use_username_as_clientid true
listener {gateway} 127.0.0.1
"""


@pytest.fixture
def logins(conn: psycopg.Connection, tmp_path: Path) -> Path:
    """Three units, with the file of secrets that `wearwell enrol --batch --out` writes."""
    tenant_id = fleet.declare(conn)
    path = tmp_path / "logins.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("gtin", "serial", "device", "secret"))
        for serial in ("1", "2", "3"):
            made = units.enrol(conn, tenant_id, GTIN, serial, now=NOW, device=f"acme.{serial}")
            lines.writerow((GTIN, serial, made.unit.device, made.secret))
    conn.commit()
    return path


@pytest.fixture
def door(conn: psycopg.Connection, logins: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A broker as it is shipped: TLS for units, a password for everybody; its two addresses."""
    ports = free_port(), free_port()
    subprocess.run(["openssl", *CERTIFICATE.split()], cwd=tmp_path, check=True, capture_output=True)
    access.write(conn, tmp_path, gateway_user="wearwell", gateway_password="of the gateway")
    user = "user root\n" if os.geteuid() == 0 else ""
    config = tmp_path / "mosquitto.conf"
    config.write_text(CONFIG.format(user=user, folder=tmp_path, units=ports[0], gateway=ports[1]))
    with (tmp_path / "mosquitto.log").open("ab") as log:
        broker = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=log, stderr=log)
    wait_for(lambda: answers(ports[1]))
    yield f"mqtts://127.0.0.1:{ports[0]}", f"mqtt://127.0.0.1:{ports[1]}"
    end(broker, signal.SIGKILL)


def ledger(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.faults.ledger", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)


def test_a_run_against_a_gateway_that_is_killed(door: tuple[str, str], logins: Path, dsn: str, tmp_path: Path) -> None:
    """Publish over TLS with each unit's own login, while ingest is killed and comes back; then check."""
    units_url, gateway_url = door
    book, ca = str(tmp_path / "run.jsonl"), str(tmp_path / "ca.pem")
    run = ["publish", "--url", units_url, "--ca", ca, "--logins", str(logins), "--file", book, "--resend", "2"]
    with Gateway(tmp_path, dsn, gateway_url, WEARWELL_MQTT_PASSWORD="of the gateway") as gateway:
        gateway.start()
        wait_for(gateway.connected)
        command = [sys.executable, "-m", "tests.faults.ledger", *run, "--duration", "6", "--rate", "10"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as publishing:
            wait_for(lambda: gateway.said("batch"), 60)
            gateway.kill()
            gateway.start()
            _, said = publishing.communicate(timeout=120)
        assert 0 == publishing.returncode, said
        assert "waiting 0" in said.splitlines()[-1]
        again = ledger(*run, "--batches", "5")  # a second run goes on in the same file
        assert 0 == again.returncode, again.stderr
    checked = ledger("check", "--dsn", dsn, "--file", book)
    assert 0 == checked.returncode, checked.stderr
    found = json.loads(checked.stdout)
    assert (True, 0) == (found["clean"], found["missing"])
    assert found["stored"] == found["attempted"] > 15
    with psycopg.connect(dsn) as owner:
        owner.execute("delete from wearwell.reading where seq = 4")
    assert 1 == ledger("check", "--dsn", dsn, "--file", book).returncode


def test_a_check_makes_no_database_to_call_everything_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder where nothing was ever deployed it asks for the database; a ledger that is not there is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEARWELL_DATABASE_DSN", raising=False)
    monkeypatch.delenv("WEARWELL_DATA_DIR", raising=False)
    assert 3 == main(["check", "--file", "run.jsonl"])
    said = capsys.readouterr()
    assert ("", True, True) == (said.out, "--dsn" in said.err, "WEARWELL_DATA_DIR" in said.err)
    assert [] == list(tmp_path.iterdir())
    assert 3 == main(["check", "--file", "run.jsonl", "--dsn", "postgresql://nobody@127.0.0.1:1/none"])
    assert "run.jsonl cannot be used: No such file or directory" in capsys.readouterr().err


@pytest.mark.long
def test_what_cannot_be_is_said(door: tuple[str, str], logins: Path, tmp_path: Path) -> None:
    """A wrong secret, a broker that nobody vouches for, units that nobody enrolled: exit code 4, and why."""
    units_url, _ = door
    to = ["publish", "--url", units_url, "--file", str(tmp_path / "no.jsonl"), "--connect-timeout", "3"]
    ca = ["--ca", str(tmp_path / "ca.pem")]
    for arguments, why in (
        ([*to, *ca, "--devices", "acme.1:wrong"], "Not authorized"),
        ([*to, *ca, "--devices", "acme.9:unknown"], "1 of 1 units are not let in"),
        ([*to, "--logins", str(logins)], "CERTIFICATE_VERIFY_FAILED"),
    ):
        done = ledger(*arguments)
        assert (4, True) == (done.returncode, why in done.stderr), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.long
def test_without_a_gateway_nothing_is_receipted(door: tuple[str, str], logins: Path, tmp_path: Path) -> None:
    """Nobody stores what the broker took: exit code 1, and how much waits."""
    units_url, _ = door
    file = str(tmp_path / "run.jsonl")
    done = ledger(
        "publish", "--url", units_url, "--ca", str(tmp_path / "ca.pem"), "--logins", str(logins), "--file", file,
        "--batches", "2", "--patience", "1",
    )  # fmt: skip
    assert (1, True) == (done.returncode, "waiting 18, sent again 0: not everything is receipted" in done.stderr)
