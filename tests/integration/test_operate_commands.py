"""The command line against a real database: data on stdout, talk on stderr, an exit code that says how it ended."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from gateway import cli, clock
from gateway.operate import access
from gateway.registry import credentials, sessions, staff

EXAMPLE = Path(__file__).parents[2] / "gateway" / "demo"
GTIN = "9520000000011"


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs `wearwell` commands in a folder of their own, against one database."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.captured = captured

    def __call__(self, *words: str, **settings: str) -> Ended:
        self.captured.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["wearwell", *words])
            patch.setattr(sys, "stdin", io.StringIO())
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        said = self.captured.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    def good(self, *words: str) -> str:
        """Run what must succeed and return its data."""
        ended = self(*words)
        assert 0 == ended.returncode, ended.stderr
        return ended.stdout


@pytest.fixture
def shell(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A command line with the example manufacturer declared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEARWELL_DATABASE_DSN", dsn)
    monkeypatch.setenv("WEARWELL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    made = Shell(monkeypatch, capsys)
    made.good("declare", str(EXAMPLE / "maker.toml"))
    return made


def test_a_batch_is_enrolled_with_one_secret_each_in_a_file_of_ones_own(shell: Shell, tmp_path: Path) -> None:
    """Secrets go into a new file of mode 0600, and nowhere else."""
    (tmp_path / "units.csv").write_text(f"gtin,serial,radio\n{GTIN},A1,\n{GTIN},A2,yes\n9520000000028,J1,no\n")
    ended = shell("enrol", "--tenant", "example", "--batch", "units.csv", "--out", "secrets.csv")
    assert 0 == ended.returncode, ended.stderr
    assert "" == ended.stdout
    made = list(csv.DictReader((tmp_path / "secrets.csv").read_text().splitlines()))
    assert ["example.A1", "example.A2", ""] == [row["device"] for row in made]
    assert 3 == len({row["secret"] for row in made})
    assert 0o600 == (tmp_path / "secrets.csv").stat().st_mode & 0o777
    assert not any(row["secret"] in ended.stderr for row in made[:2])


def test_a_batch_with_a_mistake_enrols_nobody_and_names_the_line(shell: Shell, tmp_path: Path) -> None:
    """All lines or none; the message says which line and why."""
    (tmp_path / "units.csv").write_text(f"gtin,serial\n{GTIN},A1\n{GTIN},A1\n")
    ended = shell("enrol", "--tenant", "example", "--batch", "units.csv", "--out", "secrets.csv")
    assert 1 == ended.returncode
    assert "line 3" in ended.stderr
    assert not (tmp_path / "secrets.csv").exists()
    assert 0 == json.loads(shell.good("status", "--json"))["units"]["units"]


def test_secrets_are_never_written_over_a_file(shell: Shell, tmp_path: Path) -> None:
    """A file that stands is left alone, and nobody is enrolled."""
    (tmp_path / "units.csv").write_text(f"gtin,serial\n{GTIN},A1\n")
    (tmp_path / "secrets.csv").write_text("precious")
    ended = shell("enrol", "--tenant", "example", "--batch", "units.csv", "--out", "secrets.csv")
    assert 1 == ended.returncode
    assert "precious" == (tmp_path / "secrets.csv").read_text()
    assert 0 == json.loads(shell.good("status", "--json"))["units"]["units"]


def test_one_unit_is_enrolled_and_its_secret_shown_once(shell: Shell) -> None:
    """The secret is data; doing it again is refused in one sentence."""
    words = ("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1", "--json")
    assert "example.A1" == json.loads(shell.good(*words))[0]["device"]
    again = shell(*words)
    assert 1 == again.returncode
    assert "already" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_unit_is_not_enrolled_under_the_gateway_s_own_login(shell: Shell) -> None:
    """It is refused before anything is stored: the broker's files could not be written with it."""
    words = ("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    ended = shell(*words, "--device", "gw", WEARWELL_MQTT_USERNAME="gw")
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "the gateway itself uses it" in ended.stderr
    assert "example.A1" in shell.good(*words)


@pytest.mark.parametrize(
    "words", [("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A2"), ("renew", "example.A1")]
)
def test_a_secret_is_shown_before_the_broker_is_told(
    shell: Shell, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Whoever presses Ctrl-C while the broker does not answer has the only secret of what is stored."""
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")

    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.operate.broker.refresh", interrupted)
    ended = shell(*words, "--json")
    assert 130 == ended.returncode
    (made,) = json.loads(ended.stdout)
    assert lets_in(conn, made["device"], made["secret"])


def test_a_lost_or_revoked_unit_gets_another_secret(shell: Shell, conn: psycopg.Connection) -> None:
    """The new one lets it in, the old one does not; a unit without a radio has none to renew."""
    (first,) = json.loads(shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1", "--json"))
    (second,) = json.loads(shell.good("renew", "example.A1", "--json"))
    assert [False, True] == [lets_in(conn, "example.A1", made["secret"]) for made in (first, second)]
    shell.good("revoke", "example.A1")
    (third,) = json.loads(shell.good("renew", f"{GTIN}/A1", "--json"))
    assert [False, True] == [lets_in(conn, "example.A1", made["secret"]) for made in (second, third)]
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "J1", "--no-radio")
    ended = shell("renew", f"{GTIN}/J1")
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "no radio" in ended.stderr


def lets_in(conn: psycopg.Connection, device: str, secret: str) -> bool:
    conn.rollback()
    logins = dict(line.split(":", 1) for line in credentials.password_file(conn).splitlines())
    return device in logins and access.matches(secret, logins[device])


def test_a_catalogue_taken_twice_is_the_same_and_a_new_price_ends_the_old_offer(
    shell: Shell, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """What did not change stays; a price that did is a new offer from then on."""
    words = ("parts", "import", str(EXAMPLE / "parts.csv"), "--tenant", "example")
    shell.good(*words)
    shell.good(*words)
    count = "select count(*), count(*) filter (where upper_inf(valid)) from offer"
    assert (3, 3) == conn.execute(count).fetchone()
    dearer = (EXAMPLE / "parts.csv").read_text().replace("34.90", "36.90")
    (tmp_path / "dearer.csv").write_text(dearer)
    shell.good("parts", "import", "dearer.csv", "--tenant", "example")
    assert (4, 3) == conn.execute(count).fetchone()
    row = conn.execute("select price_minor, tax_bp from offer where upper_inf(valid) and price_minor > 3000").fetchone()
    assert (3690, 1900) == row


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("slot", "carbon", "has no slot"),
        ("price", "3,50", "not an amount"),
        ("tax_percent", "190", "no tax rate"),
        ("region", "Germany", "line 2"),
        ("model", "9520000000012", "check digit"),
        ("sku", "", "lacks sku"),
    ],
)
def test_a_mistake_in_a_catalogue_is_named_with_its_line(
    shell: Shell, tmp_path: Path, column: str, value: str, says: str
) -> None:
    """Nothing is taken over, and the line at fault is said."""
    rows = list(csv.DictReader((EXAMPLE / "parts.csv").read_text().splitlines()))
    rows[0][column] = value
    with (tmp_path / "parts.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    ended = shell("parts", "import", "parts.csv", "--tenant", "example")
    assert 1 == ended.returncode
    assert "line 2" in ended.stderr
    assert says in ended.stderr


def test_owners_are_registered_with_their_consent(shell: Shell, conn: psycopg.Connection, tmp_path: Path) -> None:
    """Each line is an owner who agreed to be told; a unit nobody knows stops it all."""
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    head = "gtin,serial,email,name,line1,postal_code,city,country\n"
    (tmp_path / "owners.csv").write_text(head + f"{GTIN},A1,owner@example.com,Owner,Street 1,10115,Berlin,DE\n")
    shell.good("owners", "import", "owners.csv", "--tenant", "example")
    assert ("owner@example.com", 1) == conn.execute(
        "select email, (select count(*) from consent where purpose = 'replacement_prompts') from party"
    ).fetchone()
    (tmp_path / "owners.csv").write_text(head + f"{GTIN},ZZ,owner@example.com,,,,,\n")
    ended = shell("owners", "import", "owners.csv", "--tenant", "example")
    assert 1 == ended.returncode
    assert "line 2" in ended.stderr


def test_staff_get_a_password_that_is_printed_once(shell: Shell, conn: psycopg.Connection) -> None:
    """Off a terminal nothing is asked: it is generated when told so, and refused otherwise."""
    assert 2 == shell("staff", "add", "staff@example.com", "--tenant", "example").returncode
    password = shell.good("staff", "add", "staff@example.com", "--tenant", "example", "--generate").strip()
    found = staff.sign_in(conn, "staff@example.com", password)
    assert found is not None
    assert "reader" == found.role


def test_a_new_password_and_a_disabled_person_end_every_session(shell: Shell, conn: psycopg.Connection) -> None:
    """Whoever knew the old password is out at once; who was disabled is let in by nothing but `staff add`."""
    words = ("staff@example.com", "--tenant", "example")

    def signed_in(password: str) -> str:
        found = staff.sign_in(conn, "staff@example.com", password)
        assert found is not None
        return sessions.start(conn, tenant_id=found.tenant_id, staff_id=found.staff_id, wall=clock.wall())

    first = shell.good("staff", "add", *words, "--generate").strip()
    stolen = signed_in(first)
    conn.commit()
    second = shell.good("staff", "add", *words, "--generate").strip()
    assert sessions.find(conn, stolen, clock.wall()) is None
    mine = signed_in(second)
    conn.commit()
    assert "1 session ended" in shell("staff", "disable", "Staff@example.com", "--tenant", "example").stderr
    assert staff.sign_in(conn, "staff@example.com", second) is None
    conn.commit()
    shell.good("staff", "add", *words, "--generate")
    assert sessions.find(conn, mine, clock.wall()) is None
    assert 1 == shell("staff", "disable", "nobody@example.com", "--tenant", "example").returncode
    noted = conn.execute("select actor, action, detail - 'staff_id' from audit order by audit_id").fetchall()
    assert [
        ("operator", "staff_added", {"role": "reader", "sessions_ended": 0}),
        ("operator", "staff_changed", {"role": "reader", "sessions_ended": 1}),
        ("operator", "staff_disabled", {"sessions_ended": 1}),
        ("operator", "staff_changed", {"role": "reader", "sessions_ended": 0}),
    ] == noted


def test_broker_files_hold_every_unit_and_the_gateway(shell: Shell, tmp_path: Path) -> None:
    """The files are readable by their owner only; without the gateway's password nothing is written."""
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    assert 3 == shell("broker-files", "access").returncode
    ended = shell("broker-files", "access", WEARWELL_MQTT_PASSWORD="a long password of ours")
    assert 0 == ended.returncode, ended.stderr
    lines = (tmp_path / "access" / "passwords").read_text().splitlines()
    assert ["wearwell", "example.A1"] == [line.split(":")[0] for line in lines]
    assert all(line.split(":")[1].startswith("$7$") for line in lines)
    assert 0o600 == (tmp_path / "access" / "passwords").stat().st_mode & 0o777


def test_a_revoked_unit_is_in_the_brokers_files_no_more(shell: Shell, conn: psycopg.Connection) -> None:
    """Its credential ends; revoking what has none is said."""
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    shell.good("revoke", "example.A1")
    assert "" == credentials.password_file(conn)
    ended = shell("revoke", "example.A1")
    assert (1, True) == (ended.returncode, "wearwell status example.A1" in ended.stderr)


def test_status_tells_the_fleet_and_one_unit(shell: Shell) -> None:
    """Figures as JSON for machines; a unit is named by its device or by its code."""
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    fleet = json.loads(shell.good("status", "--json"))
    assert {"units": 1, "with_radio": 1, "online": 0, "silent": 1, "last_seen_at": None} == fleet["units"]
    by_device = json.loads(shell.good("status", "example.A1", "--json"))
    by_code = json.loads(shell.good("status", f"{GTIN}/A1", "--json"))
    assert by_code | {"at": None} == by_device | {"at": None}
    assert ["hepa", "water"] == [slot["slot"] for slot in by_device["slots"]]
    unknown = shell("status", "nobody")
    assert 1 == unknown.returncode
    assert "nobody" in unknown.stderr


def test_status_tells_the_world_s_time(shell: Shell) -> None:
    """In an accelerated world how things stand is as of its own time, also in the first command that asks."""
    try:
        told = shell("status", "--json", WEARWELL_PACE="2040-01-01T00:00:00Z,2020-01-01T00:00:00Z,1")
    finally:
        clock.accelerate(None)
    assert "2046" <= json.loads(told.stdout)["at"][:4]


def test_a_quarantined_message_is_listed_shown_and_released(shell: Shell, conn: psycopg.Connection) -> None:
    """A unit's reading that came before its enrolment goes through the door once it is enrolled."""
    batch = json.dumps(
        {"v": 1, "s": 1, "q": 1, "t": clock.now().timestamp(), "c": "synced", "r": [[0, {"runtime": 5}]]}
    )
    conn.execute(
        """insert into quarantine (device, topic, payload, reason, detail, received_at, digest)
           values ('example.A1', 'ww/v1/example.A1/tlm', %s, 'unknown_unit', 'nobody enrolled it', %s, sha256(%s))""",
        (batch.encode(), clock.now(), batch.encode()),
    )
    conn.commit()
    (row,) = json.loads(shell.good("quarantine", "list", "--json"))
    assert ("unknown_unit", "ww/v1/example.A1/tlm") == (row["reason"], row["topic"])
    assert batch in shell.good("quarantine", "show", str(row["id"]))
    ended = shell("quarantine", "release", str(row["id"]))
    assert (1, True) == (ended.returncode, "1 message refused again" in ended.stderr)
    assert "see those that wait with: wearwell quarantine list" in shell("quarantine", "show", "999").stderr
    shell.good("enrol", "--tenant", "example", "--gtin", GTIN, "--serial", "A1")
    shell.good("quarantine", "release", "--reason", "unknown_unit")
    assert (1,) == conn.execute("select count(*) from reading").fetchone()
    assert "nothing is quarantined" in shell("quarantine", "list").stderr


def test_a_simulated_fleet_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """SIGTERM to the command reaches the units: nobody lives on, and their memories are saved."""
    (tmp_path / "fleet.csv").write_text("device,secret\nacme.A1,x\n")
    words = ["--url", "mqtt://127.0.0.1:1", "--credentials", "fleet.csv", "--memory", "memory", "--every", "0.2"]
    command = [sys.executable, "-m", "gateway.cli", "simulate", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as fleet:
        assert fleet.stdout is not None
        fleet.stdout.readline()  # how it goes
        fleet.terminate()
        try:
            fleet.communicate(timeout=30)  # until nobody holds its output any more
        finally:
            with suppress(ProcessLookupError):
                os.killpg(fleet.pid, signal.SIGKILL)
    assert 0 == fleet.returncode
    assert ["acme.A1.json"] == [path.name for path in (tmp_path / "memory").iterdir()]


def test_help_of_a_simulated_fleet_lists_its_arguments(tmp_path: Path) -> None:
    """They are those of the units, which need neither a deployment nor a broker to tell them."""
    command = [sys.executable, "-m", "gateway.cli", "simulate", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60)
    assert (0, True) == (ended.returncode, "--credentials" in ended.stdout), ended.stderr
    assert [] == list(tmp_path.iterdir())


def test_gaps_and_prompts_say_when_there_are_none(shell: Shell) -> None:
    """Nothing on stdout is nothing; the talk says so."""
    for words, said in ((("gaps",), "no gaps"), (("prompts", "--dry-run"), "no order date has come")):
        ended = shell(*words)
        assert (0, "") == (ended.returncode, ended.stdout)
        assert said in ended.stderr


def test_doctor_calls_a_superusers_login_bad(shell: Shell) -> None:
    """Tenants are not kept apart for a superuser, so the verdict fails the command."""
    ended = shell("doctor", "--json")
    verdicts = {row["what"]: row["verdict"] for row in json.loads(ended.stdout)}
    assert "bad" == verdicts["database login"]
    assert "good" == verdicts["migrations"]
    assert 1 == ended.returncode


def test_services_refuse_a_superusers_login(shell: Shell) -> None:
    """A service that could read every tenant does not start, and says what to do."""
    ended = shell("serve", WEARWELL_METRICS_PORT="0", WEARWELL_HTTP_PORT="0")
    assert 3 == ended.returncode
    assert "superuser" in ended.stderr


@pytest.mark.parametrize(
    ("words", "settings", "code", "says"),
    [
        (("status",), {"WEARWELL_DATABASE_DSN": "postgresql://127.0.0.1:1/x"}, 4, "does not answer"),
        (("status",), {"WEARWELL_HTTP_PORT": "many"}, 3, "WEARWELL_HTTP_PORT"),
        (("status",), {"WEARWELL_STRIPE_KEY": "rk_test_1"}, 3, "stripe_webhook_secrets"),
        (("enrol", "--tenant", "example"), {}, 2, "--gtin"),
        (("declare", "no-such.toml"), {}, 1, "no-such.toml"),
        (("prompts",), {}, 2, "--dry-run"),
        (("no-such-command",), {}, 2, "no-such-command"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(
    shell: Shell, words: tuple[str, ...], settings: dict[str, str], code: int, says: str
) -> None:
    """What went wrong, why, what to do; never a traceback."""
    ended = shell(*words, **settings)
    assert code == ended.returncode
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "" == ended.stdout
